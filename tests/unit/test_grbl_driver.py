"""The grbl driver when the serial line or the machine misbehaves."""

from __future__ import annotations

import random
from typing import Any

import pytest

from macrorail.devices.grbl.axis import GrblRail
from macrorail.devices.grbl.wire import report_of
from macrorail.devices.interfaces import Context
from macrorail.errors import (
    ConnectError,
    DeviceError,
    DeviceLost,
    LimitError,
    PositionInDoubt,
    RailAlarm,
    WireError,
)
from macrorail_sims.clock import VirtualClock
from macrorail_sims.grbl import GrblMachine
from macrorail_sims.virtual_port import VirtualPort
from tests.conformance.axes import grbl_options


class LossyPort(VirtualPort):
    """A line that loses characters: those that ``loses`` says yes to, to and from the machine."""

    def __init__(self, machine: GrblMachine, clock: VirtualClock) -> None:
        super().__init__(machine, clock)
        self.loses: Any = lambda: False
        self.replace: dict[bytes, list[bytes]] = {}

    def write(self, data: bytes) -> int:
        for line, instead in self.replace.items():
            if data.startswith(line) and instead:
                super().write(instead.pop(0))
                return len(data)
        super().write(bytes(byte for byte in data if not self.loses()))
        return len(data)

    def readline(self) -> bytes:
        return bytes(byte for byte in super().readline() if not self.loses())


class Bench:
    """A grbl machine in virtual time and the driver for one of its axes."""

    def __init__(self, letter: str = "Z", **changes: Any) -> None:
        self.clock = VirtualClock()
        self.machine = GrblMachine()
        self.port = LossyPort(self.machine, self.clock)
        self.axis = "XYZ".index(letter)
        options = grbl_options(machine_axis=letter, **changes)
        self.rail = GrblRail(options, Context(self.clock, {"rail": self.port}))

    def ready(self) -> Bench:
        self.rail.open()
        self.rail.home()
        self.move(5_000.0)
        return self

    def move(self, position_um: float) -> float:
        self.rail.start_move(position_um)
        return self.rail.finish_move()

    @property
    def true_um(self) -> float:
        self.machine.run_until(self.clock.now())
        return self.machine.from_switch_mm(self.axis) * 1000

    def later(self, after_s: float, action: Any) -> None:
        due_s, done = self.clock.now() + after_s, []

        def look(now_s: float) -> None:
            if now_s >= due_s and not done:
                done.append(True)
                action()

        self.clock.attach(look)


@pytest.mark.parametrize("letter", ["X", "Y", "Z"])
def test_each_axis_by_its_name_and_no_other_moves(letter: str) -> None:
    bench = Bench(letter).ready()
    others = [a for a in range(3) if a != bench.axis]
    before = [bench.machine.from_switch_mm(a) for a in others]
    assert bench.move(12_000.0) == 12_000.0 == pytest.approx(bench.true_um)
    assert [bench.machine.from_switch_mm(a) for a in others] == before


def test_every_rest_is_approached_from_one_side() -> None:
    bench = Bench().ready()
    bench.machine.lines.clear()
    bench.move(4_000.0)
    assert len([line for line in bench.machine.lines if line.startswith("$J=")]) == 2
    bench.machine.lines.clear()
    bench.move(4_100.0)
    assert len([line for line in bench.machine.lines if line.startswith("$J=")]) == 1


STAGE = b"G21G92Z"
GO = b"$J=G90G21Z0F600.0\n"


@pytest.mark.parametrize("at", range(len(GO)))
def test_no_character_lost_from_the_go_leads_elsewhere(at: int) -> None:
    bench = Bench().ready()
    bench.port.replace[b"$J="] = [GO[:at] + GO[at + 1 :]]
    try:
        assert bench.move(9_000.0) == 9_000.0
    except DeviceError:
        # The line's end was lost: it is not known what grbl made of it.
        assert at == len(GO) - 1
        bench.rail.open()
        bench.rail.home()
        assert bench.move(9_000.0) == 9_000.0
    assert bench.true_um == pytest.approx(9_000.0)


@pytest.mark.parametrize("at", range(len(b"G21G92Z-4.000\n")))
def test_a_target_that_lost_a_character_is_noticed_before_anything_moves(at: int) -> None:
    bench = Bench().ready()
    places: list[float] = []
    bench.clock.attach(lambda now_s: places.append(bench.true_um))
    line = b"G21G92Z4.000\n"
    bench.port.replace[STAGE] = [line[:at] + line[at + 1 :]]
    assert bench.move(9_000.0) == 9_000.0
    assert bench.true_um == pytest.approx(9_000.0)
    assert all(5_000 - 1e-6 <= place <= 9_000 + 1e-6 for place in places)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_moves_come_out_right_or_are_not_claimed_on_a_line_that_loses_characters(seed: int) -> None:
    bench = Bench().ready()
    chance = random.Random(seed)
    lost = 0

    def loses() -> bool:
        nonlocal lost
        lose = chance.random() < 0.004
        lost += lose
        return lose

    targets = random.Random(seed)
    for _ in range(25):
        bench.port.loses = loses
        asked_um = float(targets.randrange(2_000, 44_000, 4))
        try:
            achieved_um = bench.move(asked_um)
        except DeviceError:
            bench.port.loses = lambda: False
            bench.rail.open()
            bench.rail.home()
            continue
        assert achieved_um == asked_um
        assert bench.true_um == pytest.approx(asked_um)
        assert bench.true_um <= 45_000
    assert lost > 10


def test_reports_with_characters_missing_are_no_reports() -> None:
    whole = "<Idle|MPos:-1.000,-12.500,3.250|FS:0,0|WCO:0.000,0.000,5.000>"
    report = report_of(whole)
    assert report is not None
    assert report.machine_mm == (-1.0, -12.5, 3.25) and report.offset_mm == (0, 0, 5)
    unnoticed = {
        whole[:at] + whole[at + 1 :]
        for at in range(len(whole))
        if report_of(whole[:at] + whole[at + 1 :]) is not None
    }
    # These are why a report counts only when it is said twice.
    assert 0 < len(unnoticed) < 10


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        (22, 0, r"\$22=0: homing is switched off; set \$22=1"),
        (20, 0, r"\$20=0: soft limits.*\$20=1"),
        (13, 1, r"\$13=1: it reports inches"),
        (1, 25, r"\$1=25.*\$1=255"),
        (112, 300, r"\$112=300 mm/min; lower 'speed'"),
    ],
)
def test_settings_that_do_not_do_are_named(key: int, value: float, says: str) -> None:
    bench = Bench()
    bench.machine.settings[key] = value
    with pytest.raises(ConnectError, match=says):
        bench.rail.open()


def test_a_travel_that_grbl_has_not_is_refused() -> None:
    bench = Bench()
    bench.machine.settings[132] = 50.0
    with pytest.raises(LimitError, match=r"\$132"):
        bench.rail.open()


def test_an_alarm_in_a_move_says_what_happened() -> None:
    bench = Bench().ready()
    bench.later(1.0, lambda: bench.machine.alarm(1))
    with pytest.raises(RailAlarm, match=r"limit switch|went into alarm") as alarm:
        bench.move(40_000.0)
    assert alarm.value.code in ("grbl_1", "grbl_alarm")
    with pytest.raises(PositionInDoubt):
        bench.rail.start_move(5_000.0)
    bench.rail.home()
    assert bench.move(5_000.0) == 5_000.0 == pytest.approx(bench.true_um)


def test_a_reset_in_a_move_is_noticed() -> None:
    bench = Bench().ready()
    bench.later(1.0, bench.machine.reset)
    with pytest.raises((DeviceLost, RailAlarm)):
        bench.move(40_000.0)
    with pytest.raises(PositionInDoubt):
        bench.rail.start_move(5_000.0)


def test_a_hold_by_hand_is_told() -> None:
    bench = Bench().ready()
    bench.machine.rx(b"!")
    with pytest.raises(RailAlarm, match="on hold"):
        bench.rail.start_move(6_000.0)


def test_work_positions_are_refused_before_anything_moves() -> None:
    bench = Bench()
    bench.machine.settings[10] = 0
    before_um = bench.true_um
    with pytest.raises(ConnectError, match=r"\$10=0: it reports work positions; set \$10=1"):
        bench.rail.open()
    assert bench.true_um == before_um


def test_one_axis_homes_alone_where_grbl_was_built_for_it() -> None:
    bench = Bench("X")
    bench.machine.options = "VH"
    bench.rail.open()
    bench.rail.home()
    assert "$HX" in bench.machine.lines
    assert bench.machine.from_switch_mm(2) == 20.0


def test_closing_gives_other_programs_their_zero_back() -> None:
    bench = Bench().ready()
    bench.rail.close()
    assert bench.machine.lines[-1] == "G92.1"


def test_something_else_at_the_port_is_not_grbl() -> None:
    bench = Bench()
    bench.port.loses = lambda: True
    with pytest.raises(ConnectError, match="answers as grbl"):
        bench.rail.open()


def test_a_line_that_never_arrives_whole_is_given_up() -> None:
    bench = Bench().ready()
    bench.port.replace[b"$J="] = [b"$J=G90\n"] * 10
    with pytest.raises(WireError, match="in any of 6 attempts"):
        bench.move(9_000.0)
    assert bench.true_um == pytest.approx(5_000.0)
