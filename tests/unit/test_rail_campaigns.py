"""Small helpings of the campaigns whose full size is named in tests/studies."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from macrorail_sims.firmware_native import NativeBoard
from tests.studies.loose_wires import LooseWires
from tests.studies.noisy_commands import NoisyCommands
from tests.studies.power_cuts import PowerCuts

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 4))
def test_random_commands_on_a_bad_line_are_all_accounted_for(seed: int) -> None:
    campaign = NoisyCommands(NativeBoard(length=20_000, bootloader_s=0.0), seed)
    campaign.run(400)
    assert campaign.counts["done"] > 150
    assert campaign.counts["reset"] > 0
    assert campaign.faults > 40_000


@pytest.mark.parametrize("seed", range(1, 3))
def test_what_is_kept_over_a_power_cut_is_true(seed: int) -> None:
    campaign = PowerCuts(NativeBoard(bootloader_s=0.0), seed)
    campaign.run(200)
    assert min(campaign.counts.values()) > 40


def test_a_loose_wire_is_never_taken_for_the_switch() -> None:
    campaign = LooseWires(seed=1)
    campaign.run(60)
    assert campaign.nearest[False] > 0
    assert set(campaign.counts) <= {"switch_fault", "stuck", "no_switch"}


def test_damaged_lines_are_refused_or_are_what_they_say(tmp_path: Path) -> None:
    made = subprocess.run(
        ["make", "-s", "-C", str(FIRMWARE), "fuzz", f"BUILD={tmp_path}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0 and re.search(r"lib(asan|ubsan)|sanitize", made.stderr):
        pytest.skip("this compiler has no sanitizers")
    assert made.returncode == 0, made.stderr
    ran = subprocess.run(
        [str(tmp_path / "fuzz"), "200000", "1"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    counts = re.findall(r"\d+", ran.stdout)
    assert all(int(count) > 50_000 for count in counts), ran.stdout
