"""The grbl driver on grblHAL and FluidNC, and on boards that greet twice when they are opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from macrorail.devices.grbl.axis import GrblRail
from macrorail.devices.grbl.wire import (
    Welcome,
    alarm_text,
    is_finished,
    number_of,
    report_of,
    settings_of,
    welcome_of,
)
from macrorail.devices.interfaces import Context
from macrorail.errors import ConnectError, RailAlarm, WireError
from macrorail_sims.clock import VirtualClock
from macrorail_sims.grbl import GrblMachine
from macrorail_sims.grbl_dialects import FluidNc, GrblHal, UnoGrbl
from macrorail_sims.virtual_port import VirtualPort
from tests.conformance.axes import grbl_options

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts" / "grbl"


class Bench:
    """A machine in virtual time and the driver for its Z axis."""

    def __init__(self, machine: GrblMachine) -> None:
        self.clock = VirtualClock()
        self.machine = machine
        port = VirtualPort(machine, self.clock)
        self.rail = GrblRail(grbl_options(), Context(self.clock, {"rail": port}))

    def move(self, position_um: float) -> float:
        self.rail.start_move(position_um)
        return self.rail.finish_move()

    @property
    def true_um(self) -> float:
        self.machine.run_until(self.clock.now())
        return self.machine.from_switch_mm(2) * 1000


@pytest.mark.parametrize(
    ("make", "version"),
    [(UnoGrbl, "grbl 1.1h"), (GrblHal, "grblHAL 1.1f"), (FluidNc, "FluidNC v3.7.17")],
)
def test_each_dialect_opens_homes_and_moves(make: Any, version: str) -> None:
    bench = Bench(make())
    assert bench.rail.open().version == version
    bench.rail.home()
    for asked_um in (5_000.0, 12_000.0, 11_000.0):
        assert bench.move(asked_um) == asked_um == pytest.approx(bench.true_um)
    bench.rail.close()
    assert bench.rail.open().version == version, "and again"


@pytest.mark.parametrize("tenths", range(30))
def test_a_board_that_greets_twice_opens_whenever_it_starts(tenths: int) -> None:
    bench = Bench(UnoGrbl(boot_s=tenths / 10 + 0.003))
    bench.rail.open()
    bench.rail.home()
    assert bench.move(5_000.0) == 5_000.0 == pytest.approx(bench.true_um)


def test_grblhal_homes_one_axis_only_where_it_is_set_to() -> None:
    bench = Bench(GrblHal())
    bench.rail.open()
    bench.rail.home()
    assert "$HZ" in bench.machine.lines
    assert bench.machine.from_switch_mm(0) == 20.0
    bench = Bench(GrblHal())
    bench.machine.settings[22] = 1
    bench.rail.open()
    bench.rail.home()
    assert "$H" in bench.machine.lines


def test_grblhal_without_homing_is_refused() -> None:
    bench = Bench(GrblHal())
    bench.machine.settings[22] = 2
    with pytest.raises(ConnectError, match=r"grblHAL has \$22=0: homing is switched off"):
        bench.rail.open()


@pytest.mark.parametrize("make", [GrblMachine, GrblHal, FluidNc])
def test_work_positions_are_refused_before_anything_moves(make: Any) -> None:
    bench = Bench(make())
    bench.machine.settings[10] = 0
    before_um = bench.true_um
    with pytest.raises(ConnectError, match=r"\$10=0: it reports work positions; set \$10=1"):
        bench.rail.open()
    assert bench.true_um == before_um
    assert not [line for line in bench.machine.lines if line.startswith(("$J", "$H"))]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("/axes/z/soft_limits", "false", r"soft limits.*axes/z/soft_limits to true in its config"),
        ("/axes/z/homing/cycle", "0", r"homing is switched off.*axes/z/homing/cycle to 1 or more"),
        ("/stepping/idle_ms", "250", r"motors off at rest.*stepping/idle_ms to 255"),
    ],
)
def test_fluidnc_settings_are_named_as_fluidnc_names_them(name: str, value: str, says: str) -> None:
    machine = FluidNc()
    machine.tree[name] = value
    with pytest.raises(ConnectError, match=says):
        Bench(machine).rail.open()


def test_a_fluidnc_axis_that_is_not_set_up_is_named() -> None:
    machine = FluidNc()
    machine.tree["/axes/z/steps_per_mm"] = "unknown"
    with pytest.raises(WireError, match=r"FluidNC did not give.*/axes/z/steps_per_mm.*axis Z"):
        Bench(machine).rail.open()


def test_a_fluidnc_that_homes_the_other_way_is_understood() -> None:
    machine = FluidNc()
    machine.tree["/axes/z/homing/positive_direction"] = "false"
    machine.settings[23] = 4
    bench = Bench(machine)
    bench.rail.open()
    bench.rail.home()
    assert bench.move(5_000.0) == 5_000.0 == pytest.approx(bench.true_um)


@pytest.mark.parametrize(
    ("line", "welcome"),
    [
        ("Grbl 1.1h ['$' for help]", Welcome("grbl", "1.1h")),
        ("Grbl 1.1f ['$' or '$HELP' for help]", Welcome("grbl", "1.1f")),
        ("GrblHAL 1.1f ['$' or '$HELP' for help]", Welcome("grblHAL", "1.1f")),
        ("grblHAL 1.1f ['$' or '$HELP' for help]", Welcome("grblHAL", "1.1f")),
        ("Grbl 3.7 [FluidNC v3.7.17 (wifi) '$' for help]", Welcome("FluidNC", "v3.7.17")),
        ("Grbl 4.0 [FluidNC v4.0.3 (noradio) '$' for help]", Welcome("FluidNC", "v4.0.3")),
        ("rbl 1.1h ['$' for help]", None),
        ("[MSG:INFO: FluidNC v3.7.17]", None),
    ],
)
def test_welcomes(line: str, welcome: Welcome | None) -> None:
    assert welcome_of(line) == welcome


def test_another_grbl_is_refused_by_name() -> None:
    bench = Bench(UnoGrbl(boot_s=0.2))
    bench.machine.welcome = "\r\nGrbl 0.9j ['$' for help]\r\n"
    with pytest.raises(ConnectError, match=r"grbl 0\.9j; macrorail needs grbl 1\.1, grblHAL or"):
        bench.rail.open()


@pytest.mark.parametrize("dialect", ["grblhal", "fluidnc"])
def test_the_driver_understands_every_line_of_the_transcript(dialect: str) -> None:
    text = (TRANSCRIPTS / f"{dialect}.txt").read_text()
    lines = [line[2:] for line in text.splitlines() if line.startswith("< ")]
    assert len(lines) > 20
    reports = [report_of(line) for line in lines]
    for line, report in zip(lines, reports, strict=True):
        assert (
            report is not None
            or welcome_of(line) is not None
            or is_finished(line)
            or number_of(line, "ALARM") is not None
            or settings_of([line])
            or line.startswith(("[", "$"))
        ), line
        assert (report is None) == (not line.startswith("<")), line
    assert any(report is not None and report.offset_mm is not None for report in reports)


def test_unknown_fields_are_passed_over_and_known_ones_found_wherever_they_stand() -> None:
    report = report_of("<Idle|New:a,b|FS:0,0|WCO:1.000,2.000,3.000|Z9:|MPos:1.000,2.000,3.000>")
    assert report is not None
    assert (report.machine_mm, report.offset_mm) == ((1, 2, 3), (1, 2, 3))
    assert report_of("<Idle|FS:0,0>") is None
    assert report_of("<Idle|MPos:1.000,2.000,3.000|no colon>") is None
    assert report_of("<Sleeping|MPos:1.000,2.000,3.000>") is None


def test_an_alarm_means_what_the_dialect_says() -> None:
    assert "emergency stop" in alarm_text(10, "grblHAL")
    assert "second switch" in alarm_text(10, "grbl")
    assert alarm_text(99, "grbl") == "alarm 99"


def test_an_alarm_on_grblhal_is_told_in_its_own_words() -> None:
    bench = Bench(GrblHal())
    bench.rail.open()
    bench.rail.home()
    bench.rail.start_move(20_000.0)
    bench.clock.sleep(0.3)
    bench.machine.alarm(10)
    with pytest.raises(RailAlarm, match=r"emergency stop is pressed|went into alarm"):
        bench.rail.finish_move()
