"""Each row of "When a wire breaks" in firmware/PROTOCOL.md, on the emulated chip and natively."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from macrorail.devices.rail import wire
from macrorail_sims.board import RailBoard
from macrorail_sims.carriage import TICKS_PER_S, WireFault
from macrorail_sims.firmware_native import NativeBoard
from tests.board import Host
from tests.conformance.axes import emulated_board

_TABLE = Path(__file__).resolve().parents[2] / "firmware" / "PROTOCOL.md"
_HEADING = "## When a wire breaks"

_LENGTH = 20_000
_CLEARANCE = 320
_SEARCH = 6_000
_REST = 4_000
_WAY = 100
_SPEED, _ACCELERATION, _SEEK_SPEED = 8_000, 40_000, 4_000
_SILENCE_MS = 300
_LOOSE_MS = 30
_PULSE_MS = 50

#: The words of the columns "nearer" and "steps", steps.
_STEPS = {
    "C": _CLEARANCE,
    "C + 32": _CLEARANCE + 32,
    "2 C": 2 * _CLEARANCE,
    "asked": _WAY,
    "asked + play": _WAY,
    "search": _SEARCH,
    "loose": _LOOSE_MS * _SPEED // 1000 + 1,
    "silence": (_SILENCE_MS + 40) * _SPEED // 1000 + _SPEED**2 // (2 * _ACCELERATION),
}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    how: str
    state: str
    asked: str
    nearer: int
    steps: int
    says: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.what} {self.how}, {self.state}, {self.asked or 'nothing'}".replace(" ", "-")


def _rows() -> list[Row]:
    text = _TABLE.read_text(encoding="utf-8")
    lines = text[text.index(_HEADING) :].splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    return [
        Row(*row[:4], _steps_of(row[4]), _steps_of(row[5]), tuple(filter(None, row[6].split(", "))))
        for row in cells[2:]
    ]


def _steps_of(word: str) -> int:
    return int(word) if word.isdecimal() else _STEPS[word]


class Trial:
    """A rail brought into a row's state, the fault, and what moves from then on."""

    def __init__(self, row: Row, board: RailBoard) -> None:
        self.row = row
        self.host = Host(board)
        self.state = board.state
        self.state.length = _LENGTH
        self.greet()
        {
            "at rest": self._at_rest,
            "at rest, reset": self._reset_at_rest,
            "never homed": self._never_homed,
            "moving towards": self._moving_towards,
            "moving away": self._moving_away,
            "seeking": self._seeking,
            "backing off": self._backing_off,
            "exposing": self._exposing,
        }[row.state]()
        self.start = self.nearest = int(self.state.place)
        self.edges = int(self.state.edges)

    def greet(self) -> None:
        self.host.greet(silence_ms=_SILENCE_MS if "line" in self.row.what else 60_000)
        assert self.host.ask("LIMITS", 0, _LENGTH - 100).error is None

    def run_ms(self, duration_ms: float) -> None:
        """Let time pass and watch the carriage."""
        for _ in range(max(round(duration_ms / 2), 1)):
            self.host.run_ms(2)
            self.nearest = max(self.nearest, int(self.state.place))

    # ------------------------------------------------------------------------------- the states

    def _home(self) -> wire.Answer:
        return self.host.ask("HOME", _SEARCH, _SEEK_SPEED, _CLEARANCE)

    def _at_rest(self) -> None:
        self.state.screw = self.state.place = 700
        assert self._home().error is None
        assert self.host.wait().stop == "done"
        assert self.host.go(_REST).stop == "done"
        self.host.run_ms(100)

    def _reset_at_rest(self) -> None:
        self._at_rest()
        self._reset()

    def _reset(self) -> None:
        self.host.run_ms(100)
        self.host.board.reset("pin")
        self.host.run_ms(20)
        self.greet()

    def _never_homed(self) -> None:
        self.state.screw = self.state.place = _REST

    def _moving_towards(self) -> None:
        self._at_rest()
        assert self.host.ask("GO", _LENGTH - 1_000).error is None
        self.host.run_ms(200)

    def _moving_away(self) -> None:
        self._at_rest()
        assert self.host.go(2 * _REST).stop == "done"
        assert self.host.ask("GO", 400).error is None
        self.host.run_ms(200)

    def _seeking(self) -> None:
        self._at_rest()
        assert self._home().error is None
        self.host.run_ms(300)

    def _backing_off(self) -> None:
        self._never_homed()
        assert self._home().error is None
        while self.state.direction < 0 or self.state.place <= -2:
            self.host.run_ms(2)

    def _exposing(self) -> None:
        self._at_rest()
        assert self.host.ask("EXPOSE", 0, _PULSE_MS).error is None

    # ------------------------------------------------------------------------------- the faults

    def break_it(self) -> None:
        """Let the fault begin; a line's fault lasts two seconds."""
        row, state = self.row, self.state
        kind = {
            "reads pressed": WireFault.PRESSED,
            "read pressed": WireFault.PRESSED,
            "reads open": WireFault.OPEN,
            "bounces": WireFault.LOOSE,
            "is loose": WireFault.LOOSE,
        }.get(row.how)
        if row.how == "is loose":
            state.loose_ticks = _LOOSE_MS * TICKS_PER_S // 1000
        match row.what:
            case "home switch":
                state.min_wire = kind
            case "far switch":
                state.max_wire = kind
            case "both switches" if row.how == "are swapped":
                state.swapped = 1
            case "both switches":
                state.min_wire = state.max_wire = kind
            case "emergency stop" if kind is None:
                assert row.how == "is pressed for 5 ms"
                state.estop = 1
                self.host.run_ms(5)
                state.estop = 0
            case "emergency stop":
                state.estop_wire = kind
            case "motor":
                assert self.host.ask("REST", 50).error is None
                self.run_ms(100)
                assert state.enabled == 0
            case "line to the board":
                self._babble()
            case _:
                raise AssertionError(row)
        self.run_ms(10)

    def _babble(self) -> None:
        noise = random.Random(7)
        for _ in range(500):
            match self.row.how:
                case "babbles x and newline":
                    self.host.board.rx(b"x\n" * 23)
                case "babbles zeros":
                    self.host.board.rx(bytes(46))
                case "babbles noise":
                    self.host.board.rx(noise.randbytes(46))
                case how:
                    assert how == "is silent"
            # 46 bytes take 4 ms at 115200 baud.
            self.run_ms(4)
        self.host.run_ms(100)
        self.host.lines()

    # ------------------------------------------------------------------------------ the outcome

    def outcome(self) -> str:
        """What the board says to what the row asks for."""
        match self.row.asked:
            case "":
                return self._end()
            case "GO towards":
                return self._answer("GO", _REST + _WAY)
            case "GO away":
                return self._answer("GO", _REST - _WAY)
            case "HOME":
                return self._answer("HOME", _SEARCH, _SEEK_SPEED, _CLEARANCE)
            case "HOME five times, resets between":
                for _ in range(4):
                    self._answer("HOME", _SEARCH, _SEEK_SPEED, _CLEARANCE)
                    self._reset()
                return self._answer("HOME", _SEARCH, _SEEK_SPEED, _CLEARANCE)
        raise AssertionError(self.row)

    def _answer(self, *command: str | int) -> str:
        verb, *arguments = command
        error = self.host.ask(str(verb), *map(int, arguments)).error
        return self._end() if error is None else error

    def _end(self) -> str:
        if self.row.state == "exposing":
            shots = wire.shots_of(self.host.ask("SHOTS"))
            assert shots.pulses == 1
            assert 0 < shots.lasted_us <= (_PULSE_MS + 15) * 1000
            assert self.state.release == self.state.focus == 0
            return "released"
        for _ in range(1_000):
            self.run_ms(20)
            status = self.host.status()
            if status.state == "idle":
                return status.stop
        raise AssertionError("it moves on and on")


@pytest.mark.parametrize("kind", ["native", "emulated"])
@pytest.mark.parametrize("row", _rows(), ids=str)
def test_no_more_moves_than_the_table_says(row: Row, kind: str) -> None:
    board = NativeBoard(bootloader_s=0.0) if kind == "native" else emulated_board()
    trial = Trial(row, board)
    trial.break_it()
    said = trial.outcome()
    trial.run_ms(200)
    assert trial.nearest - trial.start <= row.nearer
    assert trial.state.edges - trial.edges <= row.steps
    assert not row.says or said in row.says
    assert trial.state.past_estop == 0
    if said not in ("done", "silence", "released", "limit") and row.says:
        assert not trial.host.status().is_known
