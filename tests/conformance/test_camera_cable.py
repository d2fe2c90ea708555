"""A camera on the rail's cable: the real firmware presses a simulated body, its files reach a card.

In virtual time; the same through a serial line and a process of its own stands in
``tests/system/test_cable.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import pytest

from macrorail.devices.rail.cable_camera import RailTriggeredCamera
from macrorail.errors import CameraError, FrameMissing
from macrorail.exif import settings_in
from macrorail.frame import Frame, verify_frame
from macrorail.states import FinishReason, State
from macrorail_sims.bodies.faults import Action, Fault, Reason
from macrorail_sims.carriage import TICKS_PER_S
from tests.virtual import RAIL, VirtualRun, protocol_text

CABLE = RAIL.replace(
    "driver: virtual",
    "driver: cable\n  frame_timeout: 2 s",
    1,  # the camera's; the bench has a driver of that name too
)
HOT_SHOE = CABLE.replace("frame_timeout: 2 s", "frame_timeout: 2 s\n  hot_shoe: true")
BULB = CABLE.replace("frame_timeout: 2 s", "frame_timeout: 2 s\n  bulb: true").replace(
    "seed: 7", "seed: 7\n  set_by_hand: {shutter: Bulb}"
)
SETTINGS = {"shutter": "1/60 s", "aperture": "f/8", "iso": "100"}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[VirtualRun]:
    with opened(CABLE, tmp_path) as made:
        yield made


@contextmanager
def opened(text: str, folder: Path) -> Iterator[VirtualRun]:
    """A rig with its rail and its camera opened; nothing has moved."""
    made = VirtualRun(folder, text)
    assert isinstance(made.camera, RailTriggeredCamera)
    made.camera.use_shutter(made.axis)
    made.axis.open()
    made.camera.open()
    made.camera.configure(SETTINGS)
    yield made
    made.axis.close()
    made.bench.close()


def shoot(rig: VirtualRun, number: int) -> Frame:
    frame = rig.camera.collect(rig.camera.expose(rig.folder / f"{number:04d}"))
    verify_frame(frame)
    return frame


def test_each_press_gives_its_own_frame_and_leaves_the_card_empty(rig: VirtualRun) -> None:
    frames = [shoot(rig, number) for number in (1, 2, 3)]
    assert [frame.camera_name for frame in frames] == [
        *("DSC_0001.JPG", "DSC_0002.JPG", "DSC_0003.JPG")
    ]
    assert len({frame.sha256 for frame in frames}) == 3
    assert cv2.imread(str(frames[0].path)).shape == (64, 96, 3)
    assert list(Path(rig.bench.ports["camera"]).iterdir()) == []
    assert rig.bench.board.state.presses == 3


def test_exposing_returns_after_the_exposure_and_before_the_frame(rig: VirtualRun) -> None:
    before_s = rig.clock.now()
    exposure = rig.camera.expose(rig.folder / "0001")
    assert before_s <= exposure.started_s <= exposure.ended_s - 1 / 60
    assert exposure.ended_s <= rig.clock.now()
    assert not (rig.folder / "0001.jpg").exists()
    rig.camera.collect(exposure)


@pytest.mark.parametrize("reason", [Reason.BUSY, Reason.STORE_FULL, Reason.OUT_OF_FOCUS])
def test_a_press_that_exposes_nothing_is_missed(rig: VirtualRun, reason: Reason) -> None:
    rig.bench.body.faults.add(Fault("release", Action.REFUSE, reason))
    with pytest.raises(FrameMissing, match="0 of 1"):
        shoot(rig, 1)
    assert rig.bench.body.exposures == 0
    assert shoot(rig, 2).camera_name == "DSC_0001.JPG"


def test_with_a_hot_shoe_it_is_known_at_once(tmp_path: Path) -> None:
    with opened(HOT_SHOE, tmp_path) as rig:
        shoot(rig, 1)
        rig.bench.body.faults.add(Fault("release", Action.REFUSE))
        with pytest.raises(CameraError, match="hot shoe"):
            rig.camera.expose(rig.folder / "0002")
        shoot(rig, 2)


def test_a_frame_that_comes_too_late_is_drained_and_not_taken_for_the_next(
    rig: VirtualRun,
) -> None:
    rig.bench.body.faults.add(Fault("release", Action.LATE, delay_s=10.0))
    with pytest.raises(FrameMissing):
        shoot(rig, 1)
    rig.clock.sleep(10.0)
    assert rig.camera.drain() == ["DSC_0001.JPG"]
    assert shoot(rig, 2).camera_name == "DSC_0002.JPG"


def test_a_stale_frame_is_refused(rig: VirtualRun) -> None:
    shoot(rig, 1)
    rig.bench.body.faults.add(Fault("release", Action.STALE))
    with pytest.raises(FrameMissing, match="identical to the previous frame"):
        shoot(rig, 2)


def test_a_bulb_is_held_open_by_the_board_as_long_as_the_protocol_says(tmp_path: Path) -> None:
    with opened(BULB, tmp_path) as rig:
        rig.camera.configure({"shutter": "1.5 s"})
        frame = shoot(rig, 1)
        state = rig.bench.board.state
        held_s = (state.let_go_at - state.pressed_at) / TICKS_PER_S
    assert state.presses == 1
    assert held_s == pytest.approx(1.5, abs=0.01)
    # The body's own lag goes off at the beginning.
    assert settings_in(frame.path)["shutter"] == pytest.approx(1.46, abs=0.01)


def test_a_whole_run_counts_every_slice_once_whatever_the_body_does(tmp_path: Path) -> None:
    run = VirtualRun(tmp_path, CABLE, protocol_text(near="10.2 mm", far="10.5 mm"))
    assert isinstance(run.camera, RailTriggeredCamera)
    run.camera.use_shutter(run.axis)
    run.bench.body.faults.add(Fault("release", Action.REFUSE, after=2))
    run.bench.body.faults.add(Fault("release", Action.LOSE, after=4))
    run.bench.body.faults.add(Fault("release", Action.STALE, after=6))
    end = run.run()
    run.bench.close()
    assert (end.state, end.reason) == (State.DONE, FinishReason.COMPLETED), end.message
    counted = run.said("counted")
    assert sorted(fields["slice"] for fields in counted) == list(range(1, len(run.plan.slices) + 1))
    assert len({fields["sha256"] for fields in counted}) == len(counted)
    assert run.bench.body.exposures > len(counted), "lost and stale frames were shot again"
