"""A simulated machine with three axes and grbl 1.1, after grbl's documentation, in virtual time.

The simulated part of grbl is the part that a camera's axis needs: reports, settings, homing, jogs,
work offsets, soft limits, alarms and resets. Each axis has a carriage and a home switch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

LOCKED = "[MSG:'$H'|'$X' to unlock]\r\n"
_AXES = "XYZA"
_WORD = re.compile(r"([A-Z])(-?(?:\d+\.?\d*|\.\d+))")
_SETTING = re.compile(r"\$(\d+)=(-?\d+(?:\.\d*)?)")
_HOMING_S = 3.0
#: Settings that are printed without decimals.
_WHOLE = {0, 1, 2, 3, 4, 5, 6, 10, 13, 20, 21, 22, 23, 26, 30, 31, 32}

#: Values of grbl's settings for a frame with home switches whose motors stay on.
SETTINGS: dict[int, float] = {
    0: 10,
    1: 255,
    2: 0,
    3: 0,
    4: 0,
    5: 0,
    6: 0,
    10: 1,
    11: 0.010,
    12: 0.002,
    13: 0,
    20: 1,
    21: 0,
    22: 1,
    23: 0,
    24: 25.0,
    25: 3000.0,
    26: 250,
    27: 1.0,
    30: 1000,
    31: 0,
    32: 0,
    **{100 + axis: 250.0 for axis in range(3)},
    **{110 + axis: 3000.0 for axis in range(3)},
    **{120 + axis: 40.0 for axis in range(3)},
    **{130 + axis: 80.0 for axis in range(3)},
}


@dataclass
class _Motion:
    """A straight move of all axes with ramps, in millimetres (machine coordinates) and seconds."""

    start: list[float]
    end: list[float]
    began_s: float
    speed: float
    acceleration: float

    def __post_init__(self) -> None:
        self.way = math.dist(self.start, self.end)
        ramp = self.speed**2 / self.acceleration
        if ramp > self.way:
            self.speed = math.sqrt(self.way * self.acceleration)
        self.ramp_s = self.speed / self.acceleration
        self.lasts_s = self.way / self.speed + self.ramp_s if self.way else 0.0

    def at(self, now_s: float) -> list[float]:
        since = min(max(now_s - self.began_s, 0.0), self.lasts_s)
        left = self.lasts_s - since
        if since < self.ramp_s:
            done = self.acceleration * since**2 / 2
        elif left < self.ramp_s:
            done = self.way - self.acceleration * left**2 / 2
        else:
            done = self.speed * (since - self.ramp_s / 2)
        share = done / self.way if self.way else 1.0
        return [a + share * (b - a) for a, b in zip(self.start, self.end, strict=True)]

    def cancel(self, now_s: float) -> None:
        """Stop the motion with a ramp that starts from the position at ``now_s``."""
        since, here = now_s - self.began_s, self.at(now_s)
        speed = self.acceleration * min(since, self.ramp_s, max(self.lasts_s - since, 0.0))
        brake = speed**2 / (2 * self.acceleration)
        share = brake / self.way if self.way else 0.0
        end = [h + share * (b - a) for h, a, b in zip(here, self.start, self.end, strict=True)]
        left = max(speed / 2, 1e-6)
        self.start, self.end, self.began_s, self.speed = here, end, now_s, left
        self.way = math.dist(here, end)
        self.ramp_s, self.lasts_s = 0.0, self.way / left


class GrblMachine:
    """One machine; a ``macrorail_sims.board.SerialBoard``.

    Parameters
    ----------
    start_mm
        Initial distance of each carriage from its home switch.
    axes
        Number of axes: 3, or 4 for a grbl variant with an axis A.

    Attributes
    ----------
    settings
        The ``$`` settings by number.
    options
        Build options in the answer to ``$I``.
    lines
        Every complete line received, unchanged.
    welcome
        Greeting after a reset.
    """

    welcome = "\r\nGrbl 1.1h ['$' for help]\r\n"

    def __init__(self, start_mm: float = 20.0, axes: int = 3) -> None:
        self._axes = range(axes)
        self.settings = dict(SETTINGS) | {
            key + 3: SETTINGS[key] for key in (100, 110, 120, 130) if axes == 4
        }
        self.options = "V"
        self.lines: list[str] = []
        self.now_s = 0.0
        self._from_switch = [start_mm] * axes
        self._machine = [0.0] * len(self._axes)
        self._out = bytearray()
        self._line = ""
        self._motion: _Motion | None = None
        self._homes_until_s: float | None = None
        self._power_up()

    # ------------------------------------------------------------------------------ interface

    def from_switch_mm(self, axis: int) -> float:
        """Return the true distance of a carriage from its home switch, in millimetres."""
        return self._from_switch[axis]

    @property
    def is_moving(self) -> bool:
        """Whether any carriage is moving or homing."""
        return self._motion is not None or self._homes_until_s is not None

    def run_until(self, world_s: float) -> None:
        """Simulate up to a world time, seconds."""
        self.now_s = max(self.now_s, world_s)
        if self._homes_until_s is not None and self.now_s >= self._homes_until_s:
            self._end_homing()
        if self._motion is not None:
            self._place(self._motion.at(self.now_s))
            if self.now_s >= self._motion.began_s + self._motion.lasts_s:
                self._motion = None
                self._state = "Idle"

    def rx(self, data: bytes) -> None:
        """Receive bytes from the host; real-time commands act at once, even inside a line."""
        for byte in data:
            char = chr(byte)
            if byte in self._real_time:
                self._real_time[byte]()
            elif char in "\r\n":
                self._take_line()
            elif char > " " and byte < 0x80:
                self._line += char.upper()

    def tx(self) -> bytes:
        """Return the bytes that the host has not read yet."""
        taken = bytes(self._out)
        self._out.clear()
        return taken

    def reset(self, cause: str = "pin") -> None:
        """Reset the machine as opening the port does; only the carriages keep their positions."""
        del cause
        self._machine = [0.0] * len(self._axes)
        self._power_up()

    def alarm(self, number: int) -> None:
        """Stop at once with an alarm, as when a limit switch is pressed."""
        self._motion = self._homes_until_s = None
        self._state = "Alarm"
        self._say(f"ALARM:{number}")

    # ------------------------------------------------------------------------------- resets

    def _power_up(self) -> None:
        self._state = "Alarm" if self.settings[22] else "Idle"
        self._real_time: dict[int, Callable[[], None]] = {
            0x18: self._soft_reset,
            ord("?"): self._report,
            0x85: self._cancel,
            ord("!"): self._hold,
            ord("~"): self._go_on,
        }
        self._restart()

    def _restart(self) -> None:
        self._line = ""
        self._motion = self._homes_until_s = None
        self._shift = [0.0] * len(self._axes)
        self._offset_is_news = True
        self._reports = 0
        self._out += self.welcome.encode()
        if self._state == "Alarm":
            self._out += LOCKED.encode()

    def _soft_reset(self) -> None:
        if self._homes_until_s is not None:
            self.alarm(6)
        elif self._motion is not None:
            self.alarm(3)
        elif self._state != "Alarm":
            self._state = "Idle"
        self._restart()

    def _cancel(self) -> None:
        if self._motion is not None:
            self._motion.cancel(self.now_s)

    def _hold(self) -> None:
        if self._motion is not None:
            self._cancel()
        elif self._state == "Idle":
            self._state = "Hold:0"

    def _go_on(self) -> None:
        if self._state == "Hold:0":
            self._state = "Idle"

    # ------------------------------------------------------------------------------- lines

    def _take_line(self) -> None:
        line, self._line = self._line, ""
        self.lines.append(line)
        error = self._obey(line)
        if error is not None:
            self._say("ok" if error == 0 else f"error:{error}")

    def _obey(self, line: str) -> int | None:
        """Execute a line; return grbl's error number, 0 for ok, ``None`` for a later answer."""
        if not line:
            return 0
        if line.startswith("$J="):
            return self._jog(line[3:])
        if line.startswith("$"):
            return self._system(line)
        if self._state in ("Alarm", "Jog"):
            return 9
        words = _words(line)
        return words if isinstance(words, int) else self._shift_zero(words)

    def _system(self, line: str) -> int | None:
        if line == "$$":
            for number, value in sorted(self.settings.items()):
                self._say(f"${number}={value:{'.0f' if number in _WHOLE else '.3f'}}")
            return 0
        if line == "$I":
            self._say("[VER:1.1h.20190830:]")
            self._say(f"[OPT:{self.options},15,128]")
            return 0
        if line == "$X":
            if self._state == "Alarm":
                self._state = "Idle"
                self._say("[MSG:Caution: Unlocked]")
            return 0
        setting = _SETTING.fullmatch(line)
        if setting is not None:
            if self._state not in ("Idle", "Alarm"):
                return 8
            self.settings[int(setting[1])] = float(setting[2])
            return 0
        if line == "$H" or (line[:2] == "$H" and line[2:] in _AXES and self._homes_alone()):
            return self._home(line[2:])
        return 3

    def _home(self, only: str) -> int | None:
        if not self._homes():
            return 5
        if self._state not in ("Idle", "Alarm"):
            return 8
        self._state = "Home"
        self._homes_until_s = self.now_s + _HOMING_S
        self._homing = [_AXES.index(only)] if only else list(self._axes)
        return None

    def _end_homing(self) -> None:
        pull_off = self.settings[27]
        for axis in self._homing:
            self._from_switch[axis] = pull_off
            far = self._direction(axis) > 0
            self._machine[axis] = pull_off - self.settings[130 + axis] if far else -pull_off
        self._homes_until_s = None
        self._state = "Idle"
        self._say("ok")

    def _jog(self, text: str) -> int:
        if self._state not in ("Idle", "Jog"):
            return 8
        words = _words(text)
        if isinstance(words, int):
            return words
        codes = {value for letter, value in words if letter == "G"}
        if codes - {"20", "21", "53", "90", "91"} or any(
            w[0] not in self._letters("GF") for w in words
        ):
            return 16
        places = {letter: float(value) for letter, value in words if letter in _AXES}
        feeds = [float(value) for letter, value in words if letter == "F"]
        if not places:
            return 26
        if not feeds or feeds[0] <= 0:
            return 22
        inch = 25.4 if "20" in codes else 1.0
        target = list(self._machine)
        for letter, value in places.items():
            axis = _AXES.index(letter)
            zero = 0.0 if "53" in codes else self._shift[axis]
            start = self._machine[axis] if "91" in codes else zero
            target[axis] = self._on_grid(axis, start + value * inch)
        if self.settings[20] and not all(map(self._is_within, self._axes, target)):
            return 15
        if target != self._machine:
            speed = min(feeds[0] * inch, self.settings[110]) / 60
            self._motion = _Motion(
                list(self._machine), target, self.now_s, speed, self.settings[120]
            )
            self._state = "Jog"
        return 0

    def _shift_zero(self, words: list[tuple[str, str]]) -> int:
        codes = [value for letter, value in words if letter == "G"]
        if any(code not in ("20", "21", "90", "91", "92", "92.1") for code in codes):
            return 20
        places = {letter: float(value) for letter, value in words if letter in _AXES}
        if any(letter not in self._letters("G") for letter, _ in words):
            return 20
        if "92.1" in codes:
            self._shift = [0.0] * len(self._axes)
        elif "92" in codes:
            if not places:
                return 26
            for letter, value in places.items():
                axis = _AXES.index(letter)
                self._shift[axis] = self._machine[axis] - value
        elif places:
            return 22
        self._offset_is_news = True
        return 0

    # ------------------------------------------------------------------------------- reports

    def _report(self) -> None:
        shown = [self._on_grid(axis, place) for axis, place in enumerate(self._machine)]
        name = "MPos"
        if not int(self.settings[10]) & 1:
            name, shown = "WPos", [m - s for m, s in zip(shown, self._shift, strict=True)]
        fields = [self._state_text(), f"{name}:{_vector(shown)}", "FS:0,0", *self._extra_fields()]
        self._reports += 1
        if self._offset_is_news or self._reports % 10 == 0:
            fields.append(f"WCO:{_vector(self._shift)}")
            self._offset_is_news = False
        self._say(f"<{'|'.join(fields)}>")

    # ------------------------------------------------------------------- differences of dialects

    def _homes(self) -> bool:
        return bool(self.settings[22])

    def _homes_alone(self) -> bool:
        return "H" in self.options

    def _state_text(self) -> str:
        return self._state

    def _extra_fields(self) -> list[str]:
        return []

    # ------------------------------------------------------------------------------- helpers

    def _say(self, line: str) -> None:
        self._out += f"{line}\r\n".encode()

    def _letters(self, others: str) -> str:
        return others + _AXES[: len(self._axes)]

    def _direction(self, axis: int) -> int:
        return 1 if int(self.settings[23]) >> axis & 1 else -1

    def _on_grid(self, axis: int, place: float) -> float:
        steps = self.settings[100 + axis]
        return round(place * steps) / steps

    def _is_within(self, axis: int, place: float) -> bool:
        return -self.settings[130 + axis] - 1e-9 <= place <= 1e-9

    def _place(self, machine: list[float]) -> None:
        for axis, place in enumerate(machine):
            snapped = self._on_grid(axis, place)
            self._from_switch[axis] += self._direction(axis) * (snapped - self._machine[axis])
            self._machine[axis] = snapped


def _words(text: str) -> list[tuple[str, str]] | int:
    """Return the words of a line; for a faulty line, the number of the error that grbl reports."""
    words = _WORD.findall(text)
    if "".join(letter + value for letter, value in words) != text:
        return 1 if text[:1].isdigit() else 2
    letters = [letter for letter, _ in words if letter != "G"]
    if len(set(letters)) != len(letters):
        return 25
    return [(letter, f"{float(value):g}" if letter == "G" else value) for letter, value in words]


def _vector(places: list[float]) -> str:
    return ",".join(f"{place + 0.0:.3f}" for place in places)
