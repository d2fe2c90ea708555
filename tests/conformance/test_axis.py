"""What every focus axis must do, whatever it is made of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from controller.errors import DeviceError, LimitError, OperatorStop, PositionInDoubt
from controller.interfaces import FocusAxis
from tests.conformance.axes import AXES, AxisWorld


@pytest.fixture(params=AXES)
def world(request: pytest.FixtureRequest) -> Iterator[AxisWorld]:
    with AXES[request.param]() as made:
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
    before_um = world.true_position_um()
    report = axis.open()
    world.clock.sleep(1.0)
    assert world.true_position_um() == before_um
    low_um, high_um = report.travel_um
    assert low_um < high_um
    assert report.resolution_um > 0
    assert report.model and report.version


def test_an_axis_arrives_where_it_says(world: AxisWorld, homed: FocusAxis) -> None:
    resolution_um = homed.open().resolution_um
    homed.home()
    for asked_um in (2_000.0, 2_033.3, 2_000.0, 1_500.1, 6_000.0):
        achieved_um = move(homed, asked_um)
        assert abs(achieved_um - asked_um) <= resolution_um / 2 + 1e-6
        truth_um = world.true_position_um()
        assert truth_um <= achieved_um + 1e-6
        assert truth_um == pytest.approx(achieved_um - world.slack_um, abs=1e-6)


def test_a_move_to_where_the_axis_is_already_ends_well(homed: FocusAxis) -> None:
    assert move(homed, 2_000.0) == move(homed, 2_000.0)


def test_a_position_outside_the_travel_moves_nothing(world: AxisWorld, axis: FocusAxis) -> None:
    low_um, high_um = axis.open().travel_um
    axis.home()
    before_um = world.true_position_um()
    for beyond_um in (low_um - 1, high_um + 1, -1e9, 1e9, float("nan"), float("inf")):
        with pytest.raises(LimitError):
            axis.start_move(beyond_um)
    world.clock.sleep(0.5)
    assert world.true_position_um() == before_um


def test_a_closest_approach_only_tightens(axis: FocusAxis) -> None:
    own_um = axis.open().travel_um[1]
    assert axis.open(closest_approach_um=own_um + 5_000).travel_um[1] == own_um
    assert axis.open(closest_approach_um=5_000.0).travel_um[1] == 5_000.0
    axis.home()
    assert move(axis, 5_000.0) <= 5_000.0
    with pytest.raises(LimitError):
        axis.start_move(5_001.0)


def test_nothing_moves_before_homing(world: AxisWorld, axis: FocusAxis) -> None:
    if axis.open().position_um is not None:
        pytest.skip("this axis knows its position without homing")
    before_um = world.true_position_um()
    with pytest.raises(PositionInDoubt):
        axis.start_move(2_000.0)
    assert world.true_position_um() == before_um


def test_homing_twice_ends_in_the_same_place(world: AxisWorld, homed: FocusAxis) -> None:
    move(homed, 3_000.0)
    first_um, first_true_um = homed.home(), world.true_position_um()
    move(homed, 1_500.0)
    assert (homed.home(), world.true_position_um()) == (first_um, first_true_um)


def test_a_stop_in_a_move_brings_the_axis_to_rest(world: AxisWorld, homed: FocusAxis) -> None:
    move(homed, 2_000.0)
    homed.start_move(40_000.0)
    world.clock.sleep(1.0)
    homed.stop()
    rest_um = world.true_position_um()
    assert 2_000 < rest_um < 39_000
    world.clock.sleep(1.0)
    assert world.true_position_um() == rest_um
    assert move(homed, 2_000.0) == 2_000.0
    assert world.true_position_um() == 2_000.0 - world.slack_um


def test_a_stop_at_rest_changes_nothing(homed: FocusAxis) -> None:
    move(homed, 2_000.0)
    homed.stop()
    homed.stop()
    assert move(homed, 3_000.0) == 3_000.0


def test_an_operators_stop_arrives_during_a_move(world: AxisWorld, homed: FocusAxis) -> None:
    homed.start_move(40_000.0)
    world.clock.request_stop("Ctrl-C")
    with pytest.raises(OperatorStop, match="Ctrl-C"):
        homed.finish_move()
    homed.stop()
    rest_um = world.true_position_um()
    assert rest_um < 39_000
    world.clock.sleep(0.5)
    assert world.true_position_um() == rest_um


def test_closing_in_a_move_brings_the_axis_to_rest(world: AxisWorld, homed: FocusAxis) -> None:
    homed.start_move(40_000.0)
    homed.close()
    homed.close()
    world.clock.sleep(1.0)
    rest_um = world.true_position_um()
    world.clock.sleep(1.0)
    assert world.true_position_um() == rest_um
    with pytest.raises(DeviceError):
        homed.start_move(2_000.0)


def test_an_axis_can_be_opened_again(world: AxisWorld, axis: FocusAxis) -> None:
    for _ in range(3):
        axis.open()
        axis.home()
        move(axis, 2_000.0)
        axis.close()
    assert world.true_position_um() == 2_000.0 - world.slack_um
