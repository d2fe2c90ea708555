"""A lens whose motor turns and moves no glass: one drive of many, and all of them."""

from __future__ import annotations

from pathlib import Path

from macrorail.run_folder.events import kind_of, values_of
from macrorail.run_folder.journal import Entry
from macrorail.states import FinishReason
from tests.virtual import LENS, VirtualRun

RIG = LENS
for written, wanted in {
    "image_width: 96": "image_width: 480",
    "image_height: 64": "image_height: 320",
    "4.5 um": "11.25 um",
    "near: 10 mm, far: 12 mm": "near: 5 mm, far: 8 mm",
    "magnification: 2": "magnification: 0.677",
}.items():
    assert written in RIG, written
    RIG = RIG.replace(written, wanted)
PROTOCOL = """
specimen: {id: stuck}
range: {near: 4.8 mm, far: 8.2 mm}
overlap: 30 %
settle: 0.3 s
exposure: {aperture: f/8, shutter: 1/8 s, iso: 100}
"""


def run_with(folder: Path, after_slice: int, drives: int) -> VirtualRun:
    """A finished run whose lens got stuck for so many drives behind a slice."""
    run = VirtualRun(folder, RIG, PROTOCOL, by_images=True)

    def heard(entry: Entry) -> None:
        if kind_of(entry.event) == "counted" and values_of(entry.event)["slice"] == after_slice:
            run.bench.body.lens.stuck = drives

    run.listen = heard
    return run


def test_a_drive_that_moved_nothing_is_seen_and_what_it_left_open_is_filled(
    tmp_path: Path,
) -> None:
    run = run_with(tmp_path, after_slice=4, drives=1)
    end = run.run()
    assert end.reason is FinishReason.COMPLETED, end.message
    faults = {verdict["slice"]: verdict["faults"] for verdict in run.said("judged")}
    assert faults.pop(5) == ["missed_move"]
    assert not any(faults.values())
    assert run.said("inserted"), "every plane behind it lay nearer than its journal says"
    # The whole range in truth, though the count lags behind by the drive that was lost.
    assert run.bench.body.lens.state.plane_um > 8_000


def test_a_lens_that_never_moves_proves_nothing(tmp_path: Path) -> None:
    run = run_with(tmp_path, after_slice=1, drives=1_000)
    end = run.run()
    assert end.reason is FinishReason.COVERAGE_NOT_PROVEN
    assert "every frame shows the same plane" in end.message
