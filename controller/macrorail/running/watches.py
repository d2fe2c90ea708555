"""Watches for conditions that a run depends on: disk, power, temperature, a shell command.

Each is a ``macrorail.running.interfaces.Watch``: it answers at once and never raises.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from macrorail.quantity import format_duration, format_fraction, format_size

_POWER_SUPPLIES = Path("/sys/class/power_supply")
_LONGEST_ANSWER_S = 30.0
#: The run continues when the temperature is this many degrees below the limit. Without this margin
#: the run would pause at every slice.
_COOLED_DOWN_C = 5.0
#: Shortest sleep that is reported, in seconds; longer than the time between reading two clocks.
_SHORTEST_SLEEP_S = 2.0


class DiskWatch:
    """Checks that a folder is available and has enough free space.

    Parameters
    ----------
    folder
        The run folder.
    keep_free_bytes
        Space that must stay free.
    held_bytes
        Function that returns how much space is reserved for the run itself.
    """

    def __init__(
        self, folder: Path, keep_free_bytes: float, held_bytes: Callable[[], int] = lambda: 0
    ) -> None:
        self._folder = folder
        self._keep_free_bytes = keep_free_bytes
        self._held_bytes = held_bytes

    def trouble(self) -> str | None:
        """See ``Watch``."""
        try:
            free = shutil.disk_usage(self._folder).free + self._held_bytes()
        except OSError as error:
            return f"{self._folder} cannot be reached: {error.strerror}"
        if not os.access(self._folder, os.W_OK):
            return f"{self._folder} is read-only; make it writable again"
        if free >= self._keep_free_bytes:
            return None
        return (
            f"{self._folder} has {format_size(free)} free, at least "
            f"{format_size(self._keep_free_bytes)} are to be kept free; make room"
        )


class BatteryWatch:
    """Checks the battery charge of a computer that is not connected to mains.

    Parameters
    ----------
    least
        Smallest allowed charge, 0..1.
    supplies
        Folder in which the kernel lists power supplies.
    """

    def __init__(self, least: float, supplies: Path = _POWER_SUPPLIES) -> None:
        self._least = least
        self._supplies = supplies

    def trouble(self) -> str | None:
        """See ``Watch``; a computer without a battery has no trouble."""
        for battery in sorted(self._supplies.glob("BAT*")):
            try:
                charge = int((battery / "capacity").read_text()) / 100
                is_draining = (battery / "status").read_text().strip() == "Discharging"
            except (OSError, ValueError):
                continue
            if is_draining and charge < self._least:
                return f"the computer's battery is at {format_fraction(charge)}; plug it in"
        return None


class TemperatureWatch:
    """Pauses the run while a temperature is too high, until it has fallen again.

    Parameters
    ----------
    hottest_c
        Highest allowed temperature in degrees Celsius.
    sensors
        Paths of files that contain a temperature in thousandths of a degree Celsius; ``*`` in a
        path matches any text.
    """

    def __init__(self, hottest_c: float, sensors: Sequence[str]) -> None:
        self._hottest_c = hottest_c
        self._sensors = sensors
        self._is_hot = False

    def trouble(self) -> str | None:
        """See ``Watch``; unreadable sensors are ignored."""
        limit_c = self._hottest_c - (_COOLED_DOWN_C if self._is_hot else 0.0)
        readings = [(_degrees(path), path) for path in self._paths()]
        hottest = max(((c, path) for c, path in readings if c is not None), default=None)
        self._is_hot = hottest is not None and hottest[0] > limit_c
        if hottest is None or not self._is_hot:
            return None
        return (
            f"{hottest[1]} shows {hottest[0]:.1f} °C, at most {self._hottest_c:g} °C are wanted; "
            f"the run goes on at {self._hottest_c - _COOLED_DOWN_C:g} °C"
        )

    def _paths(self) -> Iterator[Path]:
        for pattern in self._sensors:
            path = Path(pattern).expanduser().absolute()
            yield from Path(path.anchor).glob(str(path.relative_to(path.anchor)))


class SleepWatch:
    """Detects that the computer was asleep, during which everything may have changed.

    Parameters
    ----------
    asleep_s
        Function that returns how many seconds the computer has slept so far.
    """

    def __init__(self, asleep_s: Callable[[], float] | None = None) -> None:
        self._asleep_s = asleep_s or _asleep_s
        self._known_s = self._asleep_s()

    def trouble(self) -> str | None:
        """See ``Watch``; each sleep is reported once. The run pauses for it, and then continues."""
        asleep_s = self._asleep_s()
        slept_s, self._known_s = asleep_s - self._known_s, asleep_s
        if slept_s < _SHORTEST_SLEEP_S:
            return None
        return f"the computer was asleep for {format_duration(slept_s)}"


class QuestionWatch:
    """Runs a shell command of the user at intervals, without waiting for it.

    Parameters
    ----------
    command
        Shell command; exit code 0 means that there is no trouble. With another code the last line
        of its output is the message.
    every_s
        Wall time in seconds between two calls of the command.
    """

    def __init__(self, command: str, every_s: float) -> None:
        self._command = command
        self._every_s = every_s
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="macrorail-ask-")
        self._said = Path(self._folder.name) / "said"
        self._asked_s = float("-inf")
        self._trouble: str | None = None

    def trouble(self) -> str | None:
        """See ``Watch``; returns the result of the command that finished last."""
        now_s = time.monotonic()
        if self._process is not None:
            code = self._process.poll()
            if code is not None:
                self._process = None
                self._trouble = None if code == 0 else self._words(code)
            elif now_s - self._asked_s > _LONGEST_ANSWER_S:
                self._end()
                self._trouble = f"'{self._command}' gave no answer in {_LONGEST_ANSWER_S:g} s"
        elif now_s - self._asked_s >= self._every_s:
            self._ask(now_s)
        return self._trouble

    def close(self) -> None:
        """End the command if it is still running."""
        self._end()
        self._folder.cleanup()

    def _ask(self, now_s: float) -> None:
        self._asked_s = now_s
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                self._command,
                shell=True,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _words(self, code: int) -> str:
        lines = self._said.read_bytes()[-2000:].decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"'{self._command}' ended with {code}"

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _degrees(path: Path) -> float | None:
    try:
        return int(path.read_text()) / 1000
    except (OSError, ValueError):
        return None


def _asleep_s() -> float:
    # CLOCK_BOOTTIME advances while the computer sleeps, CLOCK_MONOTONIC does not.
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
