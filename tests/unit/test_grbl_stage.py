"""A stage of X, Y and a turntable on one grbl machine and one serial line, in virtual time."""

from __future__ import annotations

import pytest

from macrorail.config.stage import StagePosition
from macrorail.devices.grbl.stage import GrblStage
from macrorail.devices.interfaces import Context
from macrorail.errors import LimitError, PositionInDoubt, RailAlarm, WireError
from macrorail_sims.clock import VirtualClock
from macrorail_sims.grbl import GrblMachine
from macrorail_sims.virtual_port import VirtualPort


class Tray:
    """A simulated machine of four axes and the stage on it."""

    def __init__(self, axes: int = 4) -> None:
        self.clock = VirtualClock()
        self.machine = GrblMachine(axes=axes)
        self.machine.settings[133] = 400.0
        port = VirtualPort(self.machine, self.clock)
        axis = {"travel": {"from": "2 mm", "to": "70 mm"}, "speed": "20 mm/s"}
        self.options = GrblStage.Options.model_validate(
            {
                "driver": "grbl",
                "port": "bench",
                "x": {"machine_axis": "X", **axis},
                "y": {"machine_axis": "Y", **axis},
                "turntable": {"from": "5 deg", "to": "365 deg", "full_turn": "12 s"},
            }
        )
        self.stage = GrblStage(self.options, Context(self.clock, {"stage": port}))

    def true(self) -> list[float]:
        return [round(self.machine.from_switch_mm(axis), 3) for axis in (0, 1, 3)]


def test_it_goes_where_it_is_sent_and_knows_where_it_is() -> None:
    tray = Tray()
    assert "grbl, axis X, grbl, axis Y, grbl, axis A" in tray.stage.open()
    tray.stage.home()
    assert tray.stage.move(StagePosition(10_000, 25_000, 90)) == StagePosition(10_000, 25_000, 90)
    assert tray.true() == [10, 25, 90]
    # What is not asked for stays as it is.
    assert tray.stage.move(StagePosition(x_um=60_000)) == StagePosition(60_000, 25_000, 90)
    assert tray.stage.move(StagePosition(turn_deg=5)) == StagePosition(60_000, 25_000, 5)
    assert tray.true() == [60, 25, 5]
    tray.stage.close()
    tray.stage.close()


def test_it_refuses_to_leave_its_travel_before_anything_moves() -> None:
    tray = Tray()
    tray.stage.open()
    tray.stage.home()
    before = tray.true()
    with pytest.raises(LimitError, match=r"y 71 mm is outside the stage's travel of 2 mm"):
        tray.stage.move(StagePosition(10_000, 71_000))
    with pytest.raises(LimitError, match="370 deg is outside"):
        tray.stage.move(StagePosition(10_000, 20_000, 370))
    assert tray.true() == before


def test_it_does_not_move_before_it_knows_where_it_is() -> None:
    tray = Tray()
    tray.stage.open()
    with pytest.raises(PositionInDoubt):
        tray.stage.move(StagePosition(10_000, 20_000))


def test_an_alarm_on_the_way_puts_its_position_in_doubt_until_it_is_homed() -> None:
    tray = Tray()
    tray.stage.open()
    tray.stage.home()

    def strike(now_s: float) -> None:
        if tray.machine.from_switch_mm(0) > 30 and not struck:
            struck.append(now_s)
            tray.machine.alarm(1)

    struck: list[float] = []
    tray.clock.attach(strike)
    with pytest.raises(RailAlarm):
        tray.stage.move(StagePosition(60_000, 20_000))
    assert struck
    with pytest.raises(PositionInDoubt):
        tray.stage.move(StagePosition(60_000, 20_000))
    tray.stage.home()
    assert tray.stage.move(StagePosition(60_000, 20_000)) == StagePosition(60_000, 20_000)


def test_a_turntable_needs_a_machine_that_has_its_axis() -> None:
    with pytest.raises(WireError, match="103"):
        Tray(axes=3).stage.open()


def test_the_time_of_a_move_is_that_of_its_axes_one_after_the_other() -> None:
    options = Tray().options
    here, there = StagePosition(10_000, 10_000, 90), StagePosition(30_000, 20_000, 180)
    assert options.move_s(here, there) == pytest.approx(1.0 + 0.5 + 3.0)
    assert options.move_s(StagePosition(), StagePosition(22_000, 2_000)) == pytest.approx(1.0)
