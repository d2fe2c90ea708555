"""The simulated world: outlives its controller, is found again, and ends when nobody wants it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from macrorail.config.rig import load_rig
from macrorail.errors import ConnectError
from macrorail_sims.bench import SimulatedBench
from tests.system.test_run_on_real_parts import small_rig

#: Starts a world, says where it is, and waits to be killed.
OWNER = """
import sys, time
from pathlib import Path
from macrorail.config.rig import load_rig
from macrorail_sims.bench import SimulatedBench
rig = load_rig(Path(sys.argv[1]))
bench = SimulatedBench(rig.bench, rig)
bench.start()
print(bench.address, flush=True)
time.sleep(60)
"""


@pytest.fixture
def rig_file(tmp_path: Path) -> Path:
    path = small_rig("rail", tmp_path)
    path.write_text(path.read_text() + "  linger: 2 s\n")
    return path


@pytest.fixture
def abandoned(rig_file: Path) -> Iterator[Path]:
    """The address of a world whose owner was killed with -9."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(rig_file)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        address = Path(owner.stdout.readline().strip())
        owner.kill()
    yield address
    wait_until_gone(address)


def wait_until_gone(address: Path) -> None:
    deadline = time.monotonic() + 30
    while address.exists():
        assert time.monotonic() < deadline, f"the world at {address} does not end"
        time.sleep(0.05)


def at(address: Path, rig_file: Path) -> SimulatedBench:
    rig = load_rig(rig_file)
    assert isinstance(rig.bench, SimulatedBench.Options)
    return SimulatedBench(rig.bench.model_copy(update={"address": str(address)}), rig)


def test_a_world_outlives_its_killed_owner_and_is_found_again(
    abandoned: Path, rig_file: Path
) -> None:
    bench = at(abandoned, rig_file)
    bench.start()
    state = bench.ask("state")
    # Its clock has gone on, and ours agrees with it.
    assert 0 < state["world_s"] <= bench.clock.now()
    assert bench.ports["rail"].startswith("/dev/")
    bench.close()
    wait_until_gone(abandoned)


def test_a_world_that_nobody_owns_ends_by_itself(abandoned: Path, rig_file: Path) -> None:
    wait_until_gone(abandoned)
    with pytest.raises(ConnectError, match="no simulated bench responds"):
        at(abandoned, rig_file).start()


def test_closing_ends_the_world_at_once(rig_file: Path) -> None:
    rig = load_rig(rig_file)
    bench = SimulatedBench(rig.bench, rig)
    bench.start()
    assert bench.address is not None
    address = Path(bench.address)
    assert address.exists()
    bench.close()
    bench.close()
    assert not address.exists()


def test_a_question_it_does_not_know_is_refused_and_survived(rig_file: Path) -> None:
    rig = load_rig(rig_file)
    bench = SimulatedBench(rig.bench, rig)
    bench.start()
    try:
        with pytest.raises(ConnectError, match="refuses nonsense: KeyError"):
            bench.ask("nonsense")
        assert bench.ask("state")["files"] == 0
    finally:
        bench.close()
