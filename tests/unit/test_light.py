"""The lamp: on for a run, off at every end of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from macrorail.devices import light
from macrorail.devices.light import Light
from macrorail.errors import ConnectError
from macrorail.running.supervision import RunSupervision
from macrorail_sims.bodies.faults import Action, Fault
from tests.virtual import RAIL, VirtualRun, protocol_text

SHORT = protocol_text("10.2 mm", "10.45 mm")


def lamp(folder: Path) -> tuple[Light, Path]:
    burning = folder / "burning"
    return Light(f"touch {burning}", f"rm {burning}"), burning


@pytest.mark.slow
@pytest.mark.parametrize("end", ["done", "stopped", "failed", "a bug"])
def test_it_is_off_at_every_end(tmp_path: Path, end: str) -> None:
    switched, burning = lamp(tmp_path)
    switched.switch_on()
    assert burning.exists()
    run = VirtualRun(
        tmp_path / "run", RAIL, SHORT, supervision=RunSupervision(switch_off=switched.switch_off)
    )
    if end == "stopped":
        run.observe = lambda state: run.clock.request_stop("a test")
    if end == "failed":
        run.bench.body.faults.add(Fault("release", Action.REFUSE, after=2, times=10_000))
    if end == "a bug":
        run.bench.body.develop = lambda shot: 1 / 0
        with pytest.raises(ZeroDivisionError):
            run.run()
    else:
        run.run()
    assert not burning.exists()
    assert run.said("ended")[0]["troubles"] == []


def test_a_lamp_that_cannot_be_switched_off_is_told(tmp_path: Path) -> None:
    switched = Light("true", "echo no answer from the socket; exit 7")
    switched.switch_on()
    run = VirtualRun(
        tmp_path / "run", RAIL, SHORT, supervision=RunSupervision(switch_off=switched.switch_off)
    )
    run.run()
    [told] = run.said("ended")[0]["troubles"]
    assert "may still be on" in told and "no answer from the socket" in told
    assert switched.switch_off() == [], "once is enough"


def test_a_run_does_not_begin_in_the_dark(tmp_path: Path) -> None:
    switched, burning = lamp(tmp_path)
    burning.mkdir()  # so that something is wrong half way
    switched = Light(f"rmdir {burning}; echo the fuse has blown; exit 1", f"touch {burning}")
    with pytest.raises(ConnectError, match=r"cannot be switched on.*the fuse has blown"):
        switched.switch_on()
    assert switched.switch_off() == []
    assert burning.is_file(), "what was begun is undone"


def test_a_command_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(light, "_TIMEOUT_S", 0.2)
    with pytest.raises(ConnectError, match="timed out"):
        Light("exec sleep 60", "true").switch_on()
