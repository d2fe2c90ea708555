"""A lens as focus axis, over the real libgphoto2 and over the same body in process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from macrorail.config.lens_file import find_lens_file, load_lens_file
from macrorail.devices.interfaces import Context
from macrorail.devices.lens import LensAxis
from macrorail.errors import (
    CameraUnsupported,
    DeviceLost,
    LimitError,
    OperatorStop,
    PositionInDoubt,
)
from macrorail_sims.bodies.faults import Action, Fault
from macrorail_sims.bodies.lens import SimulatedLens
from tests.conformance.cameras import BodyProcess, CameraWorld, in_process, over_ptpip

AXIS: dict[str, Any] = {
    "driver": "lens",
    "lens": "simulated-105mm",
    "travel": {"from": "0 mm", "to": "15 mm"},
    "closest_approach": "12 mm",
    "speed": "10 mm/s",
}
TABLE_ERROR_UM = 5.0
"""How far the lens file's table, read along straight lines, may lie off the true curve."""


@pytest.fixture(params=["ptpip", "in-process"])
def world(request: pytest.FixtureRequest) -> Iterator[CameraWorld]:
    if request.param == "in-process":
        with in_process() as made:
            yield made
    else:
        with over_ptpip(request.getfixturevalue("body_process")) as made:
            yield made


@pytest.fixture
def axis(world: CameraWorld, camera: Any) -> LensAxis:
    options = LensAxis.Options.model_validate(AXIS)
    made = LensAxis(options, Context(world.clock, camera=camera))
    made.open()
    return made


def move(axis: LensAxis, position_um: float) -> float:
    axis.start_move(position_um)
    return axis.finish_move()


def test_opening_moves_nothing_and_says_that_the_position_is_an_estimate(
    world: CameraWorld, axis: LensAxis
) -> None:
    before = world.facts()["glass_steps"]
    report = axis.open()
    assert report.estimated and report.position_um is None
    assert report.travel_um == (0.0, 12_000.0)
    assert 4 < report.resolution_um < 8
    assert axis.shares_camera
    assert world.facts()["glass_steps"] == before


def test_homing_finds_the_near_stop_from_anywhere(
    world: CameraWorld, camera: Any, axis: LensAxis
) -> None:
    for from_steps in (0, 900, 900, 900):
        if from_steps:
            camera.drive_focus(from_steps)
        assert axis.home() == 0.0
        assert world.facts()["glass_steps"] == 0


def test_the_plane_is_where_the_axis_says_from_either_side(
    world: CameraWorld, axis: LensAxis
) -> None:
    axis.home()
    resolution_um = axis.open().resolution_um
    truth_um = {}
    for asked_um in (2_000.0, 2_100.0, 6_000.0, 2_000.0, 500.0, 11_990.0, 40.0, 6_000.0, 0.0):
        achieved_um = move(axis, asked_um)
        assert abs(achieved_um - asked_um) <= resolution_um / 2
        true_um = world.facts()["plane_um"]
        assert true_um == pytest.approx(achieved_um, abs=TABLE_ERROR_UM)
        # Driven to from near or from far, it is the same plane.
        assert truth_um.setdefault(asked_um, true_um) == true_um


def test_a_plane_outside_the_travel_moves_nothing(world: CameraWorld, axis: LensAxis) -> None:
    axis.home()
    before = world.facts()["glass_steps"]
    for beyond_um in (-1.0, 12_001.0, 1e9, float("nan")):
        with pytest.raises(LimitError):
            axis.start_move(beyond_um)
    axis.finish_move()
    assert world.facts()["glass_steps"] == before


def test_a_closest_approach_only_tightens(axis: LensAxis) -> None:
    assert axis.open(closest_approach_um=14_000).travel_um[1] == 12_000
    assert axis.open(closest_approach_um=5_000).travel_um[1] == 5_000
    axis.home()
    with pytest.raises(LimitError):
        axis.start_move(5_001)


def test_nothing_moves_before_homing(world: CameraWorld, axis: LensAxis) -> None:
    before = world.facts()["glass_steps"]
    with pytest.raises(PositionInDoubt, match="home"):
        axis.start_move(2_000)
    assert world.facts()["glass_steps"] == before


def test_a_stop_asked_for_before_a_move_leaves_the_lens_at_rest(
    world: CameraWorld, axis: LensAxis
) -> None:
    axis.home()
    move(axis, 2_000)
    before = world.facts()["glass_steps"]
    axis.start_move(3_000)
    axis.stop()
    axis.finish_move()
    assert world.facts()["glass_steps"] == before


def test_an_operators_stop_arrives_between_drives(world: CameraWorld, axis: LensAxis) -> None:
    axis.home()
    axis.start_move(10_000)
    world.clock.request_stop("Ctrl-C")
    with pytest.raises(OperatorStop):
        axis.finish_move()
    axis.stop()


def test_a_drive_that_failed_puts_the_position_in_doubt(
    world: CameraWorld, camera: Any, axis: LensAxis
) -> None:
    axis.home()
    move(axis, 1_000)
    world.add_fault(Fault("drive", Action.DROP))
    with pytest.raises(DeviceLost):
        move(axis, 2_000)
    camera.close()
    camera.open()
    with pytest.raises(PositionInDoubt, match="home"):
        axis.start_move(2_000)
    axis.home()
    assert move(axis, 2_000) == pytest.approx(world.facts()["plane_um"], abs=TABLE_ERROR_UM)


def test_a_lens_that_is_not_where_it_was_left_is_noticed(
    world: CameraWorld, camera: Any, axis: LensAxis
) -> None:
    axis.home()
    move(axis, 1_000)
    camera.drive_focus(-200)  # somebody touched the focus ring
    with pytest.raises(PositionInDoubt, match="end stop"):
        move(axis, 20)


def test_frames_and_moves_take_turns(
    world: CameraWorld, camera: Any, axis: LensAxis, tmp_path: Path
) -> None:
    axis.home()
    for number, position_um in enumerate((1_000, 1_200, 1_400), start=1):
        move(axis, position_um)
        camera.collect(camera.expose(tmp_path / f"{number:04d}"))
    assert world.facts()["exposures"] == 3


def test_a_camera_that_drives_no_lens_is_refused(world: CameraWorld) -> None:
    axis = LensAxis(LensAxis.Options.model_validate(AXIS), Context(world.clock, camera=None))
    with pytest.raises(CameraUnsupported, match="rail"):
        axis.open()


def test_the_shipped_lens_file_is_the_simulated_lens() -> None:
    lens_file = load_lens_file(find_lens_file("simulated-105mm"))
    assert lens_file.name == SimulatedLens.name
    assert lens_file.slack_steps == SimulatedLens.slack_steps
    assert lens_file.travel_steps == SimulatedLens.travel_steps
    for steps in range(0, SimulatedLens.travel_steps + 1, 50):
        truth = SimulatedLens(glass_steps=steps).state
        plane_um = lens_file.position_at(steps)
        assert plane_um == pytest.approx(truth.plane_um, abs=TABLE_ERROR_UM)
        assert lens_file.scale_at(plane_um) == pytest.approx(truth.scale, abs=1e-4)


@pytest.mark.parametrize(
    ("maker", "lens", "largest"),
    [("canon", "simulated-105mm-eos", 3), ("sony", "simulated-105mm-alpha", 7)],
)
def test_a_body_with_sizes_of_drive_goes_far_in_large_ones_and_arrives_in_the_smallest(
    body_process: BodyProcess, maker: str, lens: str, largest: int
) -> None:
    """Fixed sizes of drive, and a stop that one has to trust in."""
    with over_ptpip(body_process, maker=maker) as world:
        camera = world.make()
        camera.open()
        drives: list[tuple[int, int]] = []
        drive = camera.drive_focus

        def told(steps: int, size: int = 1) -> None:
            drives.append((steps, size))
            drive(steps, size)

        camera.drive_focus = told
        options = {**AXIS, "lens": lens}
        axis = LensAxis(
            LensAxis.Options.model_validate(options), Context(world.clock, camera=camera)
        )
        report = axis.open()
        assert report.estimated and report.resolution_um < 55
        assert axis.home() == 0.0
        assert world.facts()["glass_steps"] == 0
        assert sum(abs(steps) for steps, _ in drives) <= 25, (
            "the travel is 572 smallest drives, or 2,000"
        )
        assert {size for _, size in drives} == {largest}
        for asked_um in (2_000.0, 2_500.0, 1_000.0, 11_000.0, 2_000.0, 2_010.0, 30.0):
            drives.clear()
            achieved_um = move(axis, asked_um)
            assert abs(achieved_um - asked_um) <= report.resolution_um / 2
            true_um = world.facts()["plane_um"]
            assert true_um == pytest.approx(achieved_um, abs=TABLE_ERROR_UM)
            assert not drives or (drives[-1][0] > 0 and drives[-1][1] == 1)
            assert sum(abs(steps) for steps, _ in drives) <= 40
        camera.close()


def test_on_a_body_that_is_told_places_the_axis_is_as_exact(body_process: BodyProcess) -> None:
    """A Fujifilm: any number of steps, an end stop that it knows."""
    with over_ptpip(body_process, maker="fuji") as world:
        camera = world.make()
        camera.open()
        axis = LensAxis(LensAxis.Options.model_validate(AXIS), Context(world.clock, camera=camera))
        axis.open()
        assert axis.home() == 0.0
        assert world.facts()["glass_steps"] == 0
        for asked_um in (2_000.0, 1_000.0, 11_000.0):
            achieved_um = move(axis, asked_um)
            assert abs(achieved_um - asked_um) <= 5
            assert world.facts()["plane_um"] == pytest.approx(achieved_um, abs=TABLE_ERROR_UM)
        camera.close()
