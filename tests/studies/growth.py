"""A collection photographed in a simulation: what it takes, and what breaks first.

``python -m tests.studies.growth`` prints the tables of docs/explanation/growth.md. Instruments
shoot trays, operators change them in working hours, frames go over one network to the storage,
workers fetch them, stack them and bring the pictures back; each of these is a queue. Only times and
sizes go in:
what a stack costs was measured (``tests.benchmarks.stack_cost``), a slice's time is what
``macrorail plan`` says of the demo, the rest are assumptions, named as such.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

DAY_S = 86_400.0
_WORK_BEGINS_S, _WORK_ENDS_S = 9 * 3600.0, 17 * 3600.0
_WORK_DAYS = 5

#: Prices, all assumed: an instrument, a core with its share of a machine, an hour of a person, a
#: terabyte kept twice for five years.
_INSTRUMENT, _CORE, _HOUR, _TERABYTE = 12_000, 250, 40, 400


@dataclass(frozen=True)
class Setting:
    """What there is; measured where marked so, assumed otherwise.

    Attributes
    ----------
    slice_s
        From exposure to exposure; planned for the demo's rail.
    stack_cpu_s, frame_cpu_s, result_bytes
        Of align/blend at 24 megapixels; measured.
    move_s, change_s
        To the next specimen of a tray; for an operator to change a tray.
    redone
        Share of stacks that are shot again.
    handling_s
        For somebody to bring a specimen from its drawer onto a tray and back.
    link_bytes_s
        That the network gives, all together.
    cores
        That stack, one stack each.
    """

    specimens: int
    instruments: int = 1
    operators: int = 1
    cores: int = 2
    link_bytes_s: float = 110e6
    frames: int = 60
    frame_bytes: float = 10e6
    slice_s: float = 0.8
    stack_cpu_s: float = 3.2
    frame_cpu_s: float = 0.45
    result_bytes: float = 243e6
    tray: int = 96
    move_s: float = 10.0
    change_s: float = 600.0
    redone: float = 0.02
    handling_s: float = 60.0

    @property
    def shoot_s(self) -> float:
        """One stack, with the way to its place."""
        return self.move_s + self.frames * self.slice_s

    @property
    def compute_s(self) -> float:
        """One stack on one core."""
        return self.stack_cpu_s + self.frames * self.frame_cpu_s

    @property
    def stack_bytes(self) -> float:
        """What one stack leaves on the storage."""
        return self.frames * self.frame_bytes + self.result_bytes


@dataclass
class Outcome:
    """What came of it; times in seconds."""

    total_s: float = 0.0
    shooting_s: float = 0.0
    operating_s: float = 0.0
    link_s: float = 0.0
    computing_s: float = 0.0
    longest_queue: int = 0
    lags_s: list[float] = field(default_factory=list)
    stacks: int = 0


class Simulation:
    """Events in their order; every resource serves whoever came first."""

    def __init__(self, setting: Setting) -> None:
        self._at = setting
        self._events: list[tuple[float, int, str, Any]] = []
        self._count = itertools.count()
        self._left = round(setting.specimens * (1 + setting.redone))
        self._operators = [0.0] * setting.operators
        self._link_free_s = 0.0
        self._idle_cores = setting.cores
        self._waiting: deque[float] = deque()
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """From the first tray on Monday morning to the last picture."""
        for _ in range(self._at.instruments):
            self._later(_WORK_BEGINS_S, "tray", None)
        while self._events:
            now_s, _, kind, data = heapq.heappop(self._events)
            getattr(self, f"_{kind}")(now_s, data)
            self.outcome.total_s = now_s
        return self.outcome

    def _later(self, when_s: float, kind: str, data: Any) -> None:
        heapq.heappush(self._events, (when_s, next(self._count), kind, data))

    def _tray(self, now_s: float, _: Any) -> None:
        """An instrument has an empty place: an operator brings a tray, in working hours."""
        count = min(self._at.tray, self._left)
        if count == 0:
            return
        self._left -= count
        free_s = heapq.heappop(self._operators)
        begin_s = working(max(now_s, free_s), self._at.change_s)
        heapq.heappush(self._operators, begin_s + self._at.change_s)
        self.outcome.operating_s += self._at.change_s
        self._later(begin_s + self._at.change_s + self._at.shoot_s, "shot", count - 1)

    def _shot(self, now_s: float, left: int) -> None:
        """A stack is shot; its frames go to the storage while the next one is shot."""
        self.outcome.stacks += 1
        self.outcome.shooting_s += self._at.shoot_s
        self._send(now_s, self._at.frames * self._at.frame_bytes, "stored", now_s)
        if left:
            self._later(now_s + self._at.shoot_s, "shot", left - 1)
        else:
            self._later(now_s, "tray", None)

    def _send(self, now_s: float, size_bytes: float, then: str, data: Any) -> None:
        took_s = size_bytes / self._at.link_bytes_s
        self._link_free_s = max(now_s, self._link_free_s) + took_s
        self.outcome.link_s += took_s
        self._later(self._link_free_s, then, data)

    def _stored(self, now_s: float, shot_s: float) -> None:
        self._waiting.append(shot_s)
        self.outcome.longest_queue = max(self.outcome.longest_queue, len(self._waiting))
        self._begin(now_s)

    def _begin(self, now_s: float) -> None:
        while self._idle_cores and self._waiting:
            self._idle_cores -= 1
            shot_s = self._waiting.popleft()
            self._send(now_s, self._at.frames * self._at.frame_bytes, "fetched", shot_s)

    def _fetched(self, now_s: float, shot_s: float) -> None:
        self.outcome.computing_s += self._at.compute_s
        self._later(now_s + self._at.compute_s, "computed", shot_s)

    def _computed(self, now_s: float, shot_s: float) -> None:
        self._send(now_s, self._at.result_bytes, "done", shot_s)

    def _done(self, now_s: float, shot_s: float) -> None:
        self.outcome.lags_s.append(now_s - shot_s)
        self._idle_cores += 1
        self._begin(now_s)


def working(when_s: float, long_s: float) -> float:
    """The first moment from ``when_s`` on at which somebody can work for so long."""
    while True:
        day, of_day_s = divmod(when_s, DAY_S)
        if day % 7 < _WORK_DAYS and of_day_s + long_s <= _WORK_ENDS_S:
            return max(when_s, day * DAY_S + _WORK_BEGINS_S)
        when_s = (day + 1) * DAY_S


def row(name: str, setting: Setting) -> str:
    """One simulated project as a row of the table."""
    end = Simulation(setting).run()
    days = end.total_s / DAY_S
    lags = sorted(end.lags_s)
    hours = (end.operating_s + setting.specimens * setting.handling_s) / 3600
    terabytes = end.stacks * setting.stack_bytes / 1e12
    cost = (
        setting.instruments * _INSTRUMENT
        + setting.cores * _CORE
        + hours * _HOUR
        + terabytes * _TERABYTE
    )
    busy = end.shooting_s / (end.total_s * setting.instruments)
    return (
        f"| {name} | {setting.instruments} | {setting.operators} | {setting.cores} | "
        f"{setting.link_bytes_s / 1e6:.0f} | {days:.1f} | {busy:.0%} | "
        f"{hours:,.0f} | {end.link_s / end.total_s:.0%} | "
        f"{end.computing_s / (end.total_s * setting.cores):.0%} | {end.longest_queue} | "
        f"{lags[len(lags) // 2] / 60:.1f} / {lags[-1] / 60:.0f} | "
        f"{terabytes:,.2f} | {cost / 1000:,.0f} |"
    )


_HEAD = (
    "| | instruments | operators | cores | network, MB/s | days | instruments busy | hours of "
    "manual work | network busy | cores busy | longest queue | picture ready after, min (median / "
    "last) | storage, TB | cost, thousand EUR |\n" + "|---" * 14 + "|"
)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.studies.growth", description=__doc__)
    parser.add_argument("--largest", type=int, default=1_000_000)
    arguments = parser.parse_args()
    base = Setting(specimens=10)
    print(
        f"A stack: shot in {base.shoot_s:.0f} s, {base.compute_s:.0f} CPU s, "
        f"{base.stack_bytes / 1e9:.2f} GB\n\n{_HEAD}"
    )
    largest = Setting(arguments.largest, 10, 2, 8, 1.1e9)
    name = f"{arguments.largest:,}"
    for what, setting in (
        ("10", base),
        ("1,000", Setting(1_000)),
        (name, largest),
        (f"{name}, trays of 288", replace(largest, tray=288)),
        (f"{name}, 110 MB/s", replace(largest, link_bytes_s=110e6)),
    ):
        print(row(what, setting), flush=True)
    print(f"\nOne week's work for each, on 110 MB/s, 8 cores, one operator:\n\n{_HEAD}")
    for instruments in (1, 2, 4, 6, 8, 12, 16):
        week = Setting(instruments * 96 * 25, instruments, 1, 8)
        print(row(f"{week.specimens:,}", week), flush=True)
    print(f"\nThe same, 12 instruments, one thing more at a time:\n\n{_HEAD}")
    twelve = Setting(12 * 96 * 25, 12, 1, 8)
    more: dict[str, Any] = {}
    print(row("as above", twelve), flush=True)
    for name, change in (
        ("and 1,100 MB/s", {"link_bytes_s": 1.1e9}),
        ("and a second operator", {"operators": 2}),
        ("and trays of 288", {"tray": 288}),
        ("and a slice in half the time", {"slice_s": 0.4}),
        ("and 16 cores", {"cores": 16}),
    ):
        more |= change
        print(row(name, replace(twelve, **more)), flush=True)


if __name__ == "__main__":
    main()
