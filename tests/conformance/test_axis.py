"""What every focus axis must do, whatever it is made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from macrorail.devices.interfaces import FocusAxis
from macrorail.errors import DeviceError, LimitError, OperatorStop, PositionInDoubt
from tests.conformance.axes import AXES, AxisWorld, axis_of_rig
from tests.conformance.documented import documented_axis

ALL_AXES = {**AXES, "documented": documented_axis}


@pytest.fixture(params=[*ALL_AXES, "rig"])
def world(request: pytest.FixtureRequest) -> Iterator[AxisWorld]:
    if request.param != "rig":
        with ALL_AXES[request.param]() as made:
            yield made
        return
    path: Path | None = request.config.getoption("--rig")
    if path is None:
        pytest.skip("no rig named: pytest --rig FILE")
    with axis_of_rig(path) as made:
        yield made


@pytest.fixture
def axis(world: AxisWorld) -> Iterator[FocusAxis]:
    made = world.make()
    yield made
    made.close()


@pytest.fixture
def homed(axis: FocusAxis) -> FocusAxis:
    axis.open()
    axis.home()
    return axis


def move(axis: FocusAxis, position_um: float) -> float:
    axis.start_move(position_um)
    return axis.finish_move()


def test_opening_reports_and_moves_nothing(world: AxisWorld, axis: FocusAxis) -> None:
    with world.nothing_moves():
        report = axis.open()
    assert report.travel_um == world.travel_um
    assert report.resolution_um > 0
    assert report.model and report.version


def test_an_axis_arrives_where_it_says(world: AxisWorld, axis: FocusAxis) -> None:
    resolution_um = axis.open().resolution_um
    axis.home()
    for share in (0.02, 0.0208, 0.02, 0.0113, 0.0, 0.1):
        asked_um = world.at(share)
        achieved_um = move(axis, asked_um)
        assert abs(achieved_um - asked_um) <= resolution_um / 2 + 1e-6
        world.assert_at(achieved_um)


def test_a_move_to_where_the_axis_is_already_ends_well(world: AxisWorld, homed: FocusAxis) -> None:
    assert move(homed, world.at(0.02)) == move(homed, world.at(0.02))


def test_a_position_outside_the_travel_moves_nothing(world: AxisWorld, homed: FocusAxis) -> None:
    low_um, high_um = world.travel_um
    with world.nothing_moves():
        for beyond_um in (low_um - 1, high_um + 1, -1e9, 1e9, float("nan"), float("inf")):
            with pytest.raises(LimitError):
                homed.start_move(beyond_um)


def test_a_closest_approach_only_tightens(world: AxisWorld, axis: FocusAxis) -> None:
    own_um, near_um = world.travel_um[1], world.at(0.1)
    assert axis.open(closest_approach_um=own_um + 5_000).travel_um[1] == own_um
    assert axis.open(closest_approach_um=near_um).travel_um[1] == near_um
    axis.home()
    assert move(axis, near_um) <= near_um + 1e-6
    with pytest.raises(LimitError):
        axis.start_move(near_um + 1)


def test_nothing_moves_before_homing(world: AxisWorld, axis: FocusAxis) -> None:
    if axis.open().position_um is not None:
        pytest.skip("this axis knows its position without homing")
    with world.nothing_moves(), pytest.raises(PositionInDoubt):
        axis.start_move(world.at(0.02))


def test_homing_twice_ends_in_the_same_place(world: AxisWorld, homed: FocusAxis) -> None:
    home_um = homed.home()
    world.assert_at(home_um)
    move(homed, world.at(0.02))
    assert homed.home() == home_um
    world.assert_at(home_um)


def test_a_stop_in_a_move_brings_the_axis_to_rest(world: AxisWorld, homed: FocusAxis) -> None:
    homed.start_move(world.at(0.9))
    world.clock.sleep(1.0)
    homed.stop()
    with world.nothing_moves():
        pass
    if world.true_position_um:
        assert world.travel_um[0] < world.true_position_um() < world.at(0.85)
    world.assert_at(move(homed, world.at(0.02)))


def test_a_stop_at_rest_changes_nothing(world: AxisWorld, homed: FocusAxis) -> None:
    move(homed, world.at(0.02))
    with world.nothing_moves():
        homed.stop()
        homed.stop()
    world.assert_at(move(homed, world.at(0.04)))


def test_an_operators_stop_arrives_during_a_move(world: AxisWorld, homed: FocusAxis) -> None:
    homed.start_move(world.at(0.9))
    world.clock.request_stop("Ctrl-C")
    with pytest.raises(OperatorStop, match="Ctrl-C"):
        homed.finish_move()
    homed.stop()
    with world.nothing_moves():
        pass


def test_closing_in_a_move_brings_the_axis_to_rest(world: AxisWorld, homed: FocusAxis) -> None:
    homed.start_move(world.at(0.9))
    homed.close()
    homed.close()
    world.clock.sleep(1.0)
    with world.nothing_moves(), pytest.raises(DeviceError):
        homed.start_move(world.at(0.02))


def test_an_axis_can_be_opened_again(world: AxisWorld, axis: FocusAxis) -> None:
    for _ in range(3):
        axis.open()
        axis.home()
        world.assert_at(move(axis, world.at(0.02)))
        axis.close()
