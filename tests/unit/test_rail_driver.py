"""The rail's driver when things go wrong: what it raises, and what it no longer trusts then."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from macrorail.clock import WorldClock
from macrorail.devices.interfaces import Context
from macrorail.devices.rail import wire
from macrorail.devices.rail.axis import SerialRail
from macrorail.errors import (
    ConnectError,
    DeviceLost,
    DeviceTimeout,
    LimitError,
    PositionInDoubt,
    RailAlarm,
    WireError,
)
from macrorail_sims.carriage import Carriage, WireFault
from macrorail_sims.clock import VirtualClock
from macrorail_sims.firmware_native import NativeBoard
from macrorail_sims.virtual_port import VirtualPort
from tests.board import Noise, clean
from tests.conformance.axes import rail_options


class FaultyPort(VirtualPort):
    """A port whose line can be noisy, cut, or answered by another program."""

    def __init__(self, board: NativeBoard, clock: VirtualClock) -> None:
        super().__init__(board, clock)
        self.distort: Any = clean
        self.cut = False
        self.answer: Any = None
        self._invented = b""

    def write(self, data: bytes) -> int:
        if self.answer is not None:
            self._invented += self.answer(data)
            return len(data)
        if not self.cut:
            super().write(self.distort(data))
        return len(data)

    def readline(self) -> bytes:
        if self._invented:
            line, feed, self._invented = self._invented.partition(b"\n")
            return line + feed
        return bytes(self.distort(super().readline()))


class QuietPort(FaultyPort):
    """A port whose opening does not reset the board, as on boards with the reset line cut."""

    def open(self) -> None:
        self.is_open = True


class Bench:
    """A rail in virtual time, with everything a test wants to get hold of."""

    def __init__(self, **changes: Any) -> None:
        self.clock = VirtualClock()
        self.board = NativeBoard()
        self.port = FaultyPort(self.board, self.clock)
        options = rail_options(**changes)
        self.carriage = Carriage(self.board.state, options.um_per_step)
        self.rail = SerialRail(options, Context(self.clock, {"rail": self.port}))

    def ready(self) -> Bench:
        """Opened, homed, and 5 mm from the home switch."""
        self.rail.open()
        self.rail.home()
        self.move(5_000.0)
        return self

    def move(self, position_um: float) -> float:
        self.rail.start_move(position_um)
        return self.rail.finish_move()

    def later(self, after_s: float, action: Any) -> None:
        """Do something when so much world time has passed."""
        due_s = self.clock.now() + after_s
        done: list[bool] = []

        def look(now_s: float) -> None:
            if now_s >= due_s and not done:
                done.append(True)
                action()

        self.clock.attach(look)


def recovers(bench: Bench) -> None:
    """After a fault the rail refuses to move until it is homed, and then is as good as before."""
    with pytest.raises(PositionInDoubt):
        bench.rail.start_move(5_000.0)
    bench.rail.home()
    assert bench.move(5_000.0) == 5_000.0
    assert bench.carriage.position_um(bench.clock.now()) == 5_000.0


def test_a_reset_in_a_move_loses_the_device_and_says_so() -> None:
    bench = Bench().ready()
    bench.later(1.0, bench.board.reset)
    with pytest.raises(DeviceLost, match=r"reset.*position is in doubt.*home"):
        bench.move(40_000.0)
    with pytest.raises(PositionInDoubt):
        bench.rail.start_move(5_000.0)
    assert bench.rail.open().position_um is None
    recovers(bench)


def test_a_reset_between_moves_is_not_missed() -> None:
    bench = Bench().ready()
    bench.board.reset()
    bench.clock.sleep(3.0)
    edges = bench.board.state.edges
    with pytest.raises(DeviceLost):
        bench.move(6_000.0)
    assert bench.board.state.edges == edges


def test_a_board_that_was_not_reset_is_brought_to_rest_and_keeps_its_position() -> None:
    bench = Bench().ready()
    bench.rail.start_move(40_000.0)
    bench.clock.sleep(1.0)
    port = QuietPort(bench.board, bench.clock)
    rail = SerialRail(rail_options(), Context(bench.clock, {"rail": port}))
    report = rail.open()
    assert report.position_um == bench.carriage.position_um(bench.clock.now())
    assert 5_000 < report.position_um < 20_000
    rail.start_move(6_000.0)
    assert rail.finish_move() == 6_000.0
    assert bench.carriage.position_um(bench.clock.now()) == 6_000.0
    with pytest.raises(DeviceLost, match="another program"):
        bench.rail.finish_move()


def test_the_emergency_stop_raises_an_alarm() -> None:
    bench = Bench().ready()
    bench.later(1.0, lambda: bench.carriage.press_estop(True))
    with pytest.raises(RailAlarm, match=r"emergency stop.*in doubt.*release") as alarm:
        bench.move(40_000.0)
    assert alarm.value.code == "estop"
    with pytest.raises(RailAlarm, match="release the emergency stop"):
        bench.rail.home()
    bench.carriage.press_estop(False)
    recovers(bench)


def test_an_emergency_stop_at_rest_is_answer_text_at_the_next_move() -> None:
    bench = Bench().ready()
    bench.carriage.press_estop(True)
    bench.clock.sleep(0.1)
    bench.carriage.press_estop(False)
    edges = bench.board.state.edges
    with pytest.raises(PositionInDoubt, match=r"the emergency stop was pressed.*home the rail"):
        bench.rail.start_move(6_000.0)
    assert bench.board.state.edges == edges
    recovers(bench)


def test_a_broken_wire_of_the_home_switch_moves_nothing_and_is_named() -> None:
    bench = Bench().ready()
    bench.move(44_900.0)
    bench.board.state.min_wire = WireFault.PRESSED
    edges = bench.board.state.edges
    for _ in range(3):
        with pytest.raises(RailAlarm, match=r"switch.*cannot be at it.*check the wires") as alarm:
            bench.rail.home()
        assert alarm.value.code == "switch_fault"
        bench.rail.open()
    assert bench.board.state.edges == edges
    bench.board.state.min_wire = WireFault.WHOLE
    recovers(bench)


def test_firmware_that_is_too_old_is_refused_and_says_how_to_flash() -> None:
    bench = Bench()
    bench.port.answer = answering("ok {said} 0.1.0 power lost 0")
    with pytest.raises(ConnectError, match=r"firmware 0\.1\.0.*0\.2\.0.*macrorail firmware flash"):
        bench.rail.open()


def test_a_limit_switch_raises_an_alarm() -> None:
    bench = Bench().ready()
    bench.board.state.length = 20_000
    with pytest.raises(RailAlarm, match="specimen end") as alarm:
        bench.move(40_000.0)
    assert alarm.value.code == "limit_max"
    assert bench.board.state.past_switch == 0
    recovers(bench)


def test_a_cut_line_times_out_and_the_board_stops_by_itself() -> None:
    bench = Bench().ready()

    def cut() -> None:
        bench.port.cut = True

    bench.later(1.0, cut)
    with pytest.raises(DeviceTimeout, match="check the cable"):
        bench.move(40_000.0)
    bench.clock.sleep(3.0)
    edges = bench.board.state.edges
    bench.clock.sleep(1.0)
    assert bench.board.state.edges == edges
    assert bench.carriage.position_um(bench.clock.now()) < 25_000
    bench.port.cut = False
    with pytest.raises(DeviceLost, match="open it again"):
        bench.rail.home()
    bench.rail.open()
    recovers(bench)


@pytest.mark.parametrize("seed", range(6))
def test_moves_come_out_right_on_a_noisy_line(seed: int) -> None:
    bench = Bench().ready()
    noise = Noise(seed, 0.006)
    bench.port.distort = noise
    for step in range(20):
        asked_um = 5_000.0 + 40 * step
        try:
            achieved_um = bench.move(asked_um)
        except RailAlarm as alarm:
            assert alarm.code == "emergency", "a damaged byte now and then becomes that byte"
            bench.rail.home()
            achieved_um = bench.move(asked_um)
        assert achieved_um == asked_um
        assert bench.carriage.position_um(bench.clock.now()) == asked_um
    assert noise.faults > 10


def test_the_play_of_the_screw_never_shows() -> None:
    bench = Bench()
    bench.board.state.play = 64
    bench.ready()
    for asked_um in (5_000.0, 8_000.0, 7_900.0, 7_910.0, 7_905.0, 1_000.0, 5_000.0):
        assert bench.move(asked_um) == asked_um
        assert bench.carriage.position_um(bench.clock.now()) == asked_um - 40.0


@pytest.mark.parametrize(
    ("from_um", "to_um", "lost_um"), [(5_000.0, 8_000.0, 62.5), (8_000.0, 5_000.0, -62.5)]
)
def test_a_jam_is_found_by_touching_the_home_switch_again(
    from_um: float, to_um: float, lost_um: float
) -> None:
    bench = Bench(backlash="0 um").ready()
    bench.move(from_um)
    bench.carriage.jam(100)
    assert bench.move(to_um) == to_um
    assert bench.carriage.position_um(bench.clock.now()) == to_um - lost_um
    assert bench.rail.check_count() == lost_um
    assert bench.move(to_um) == to_um
    assert bench.carriage.position_um(bench.clock.now()) == to_um
    assert bench.rail.check_count() == 0.0


def test_a_board_that_does_not_answer_is_not_a_rail() -> None:
    bench = Bench()
    bench.port.cut = True
    with pytest.raises(ConnectError, match="answers as a macrorail board"):
        bench.rail.open()


def answering(text: str) -> Any:
    """A board that gives one answer to everything, with the sequence number it was asked with."""

    def answer(line: bytes) -> bytes:
        asked = wire.check(line.strip())
        assert asked is not None
        sequence, _, said = asked.partition(" ")
        answer_text = f"{sequence} {text.format(said=said)}".encode()
        return answer_text + b"*%08X\n" % zlib.crc32(answer_text)

    return answer


def test_another_version_of_the_wire_is_named() -> None:
    bench = Bench()
    bench.port.answer = answering("er version {said} 7")
    with pytest.raises(ConnectError, match=r"version 7 of the serial protocol.*version 1"):
        bench.rail.open()


@pytest.mark.parametrize("text", ["ok GO 12345", "er outside GO 12345", "ok", "ok STOP"])
def test_an_answer_to_another_command_is_not_taken(text: str) -> None:
    bench = Bench().ready()
    bench.port.answer = answering(text)
    with pytest.raises(WireError, match="home it"):
        bench.move(40_000.0)
    bench.port.answer = None
    with pytest.raises(PositionInDoubt):
        bench.rail.start_move(5_000.0)


def test_a_count_that_differs_from_the_target_is_not_believed() -> None:
    bench = Bench().ready()
    bench.rail.start_move(6_000.0)
    motion = bench.rail._motion
    bench.port.answer = answering(f"ok STATUS idle 9599 1 {motion} done 0 0")
    with pytest.raises(PositionInDoubt, match=r"is at step 9599 instead of 9600"):
        bench.rail.finish_move()


def test_ports_that_cannot_be_opened_say_why(tmp_path: Path) -> None:
    options = rail_options(port=str(tmp_path / "ttyUSB9"))
    with pytest.raises(ConnectError, match=r"no such port.*plugged in"):
        SerialRail(options, Context(WorldClock())).open()
    with pytest.raises(ConnectError, match="no bench"):
        SerialRail(rail_options(), Context(WorldClock())).open()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speed": "20 mm/s"}, r"32000 steps/s.*50 to 20000"),
        ({"speed": "10 um/s"}, r"16 steps/s"),
        ({"acceleration": "1 m/s2"}, r"1600000 steps/s²"),
        ({"travel": {"from": "0 mm", "to": "60 mm"}}, "home switch"),
        ({"backlash": "150 um"}, "twice 'backlash'"),
        ({"lead": "0 mm"}, "greater than 0"),
        ({"host_silence": "10 ms"}, "greater than or equal to 0.1"),
    ],
)
def test_a_rig_the_board_cannot_do_is_refused_before_it_is_opened(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError) as refusal:
        rail_options(**changes)
    assert re.search(message, str(refusal.value))


def test_a_closest_approach_short_of_the_travel_is_refused() -> None:
    with pytest.raises(LimitError, match="no travel"):
        Bench().rail.open(closest_approach_um=500.0)
