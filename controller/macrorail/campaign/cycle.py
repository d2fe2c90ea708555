"""Measures the steps of a cycle from a run's journal, and estimates how to shorten the cycle.

On a rail, a frame is downloaded while the axis moves and settles, so a cycle takes as long as the
slower of download and move with settling. With a lens as the axis, each frame is received before
the next move. All times are run times (real or simulated).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from macrorail.run_folder import events
from macrorail.run_folder.events import Event
from macrorail.run_folder.journal import Entry

#: Steps of a cycle from one exposure to the next, in their order.
CYCLE = ("move", "settle", "download", "proof", "exposure")
#: Steps of a run that are not part of a cycle.
OTHER = ("starting", "preparing", "searching", "finishing", "trouble")
_PREPARING = (
    events.AxisOpened,
    events.CameraOpened,
    events.CameraDrained,
    events.CameraConfigured,
    events.AxisHomed,
    events.SceneChecked,
    events.RunStarted,
)
_SEARCHING = (events.SearchSampled, events.RangeFound, events.SlicesPlanned)
_TROUBLE = (
    events.FaultOccurred,
    events.RunPaused,
    events.PauseEnded,
    events.RunResumed,
    events.ExposureDiscarded,
    events.SliceLeftOut,
)


@dataclass(frozen=True)
class Cycle:
    """Durations in seconds of one cycle: from the previous slice's exposure to a slice's exposure.

    Attributes
    ----------
    move
        Duration of the axis move.
    settle
        Waiting time after the move.
    download
        Further waiting time until the previous frame has been downloaded.
    proof
        Duration of checking frames and writing the journal.
    exposure
        Duration of the exposure.
    sent
        Duration of the complete download of the previous frame; an upper bound if ``waits`` is
        false.
    waits
        Whether the cycle had to wait for the download.
    """

    move: float
    settle: float
    download: float
    proof: float
    exposure: float
    sent: float
    waits: bool

    @property
    def total(self) -> float:
        """Duration of the cycle, from exposure to exposure, in seconds."""
        return self.move + self.settle + self.download + self.proof + self.exposure


@dataclass
class RunTime:
    """The time spent in a run.

    Attributes
    ----------
    parts
        Seconds of each step; the steps are ``CYCLE`` and ``OTHER``.
    cycles
        Cycles of the run; cycles with faults, pauses or other interruptions are left out.
    serial
        Whether each frame is downloaded before the next move (with a lens as the axis).
    """

    parts: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    cycles: list[Cycle] = field(default_factory=list)
    serial: bool = False


def time_of(entries: Sequence[Entry], settle_s: float) -> RunTime:
    """Return the time spent on each step of a run.

    Parameters
    ----------
    entries
        Entries of the run's journal.
    settle_s
        Waiting time after each move, from the protocol.
    """
    time = RunTime()
    if entries:
        # The clock starts with the run, but the first journal entry is written only when all worker
        # processes have started.
        time.parts["starting"] += entries[0].world_s
    counted = [n for n, entry in enumerate(entries) if isinstance(entry.event, events.SliceCounted)]
    last_counted = counted[-1] if counted else -1
    settle_left = 0.0
    now: defaultdict[str, float] = defaultdict(float)
    exposed_s: float | None = None
    sent = 0.0
    moved = disturbed = counted_first = False
    for number in range(1, len(entries)):
        entry = entries[number]
        spent = max(0.0, entry.world_s - entries[number - 1].world_s)
        settling = min(spent, settle_left)
        settle_left -= settling
        part = _part(entry.event, number > last_counted)
        for name, seconds in (("settle", settling), (part, spent - settling)):
            time.parts[name] += seconds
            now[name] += seconds
        if isinstance(entry.event, events.AxisMoved):
            settle_left, moved = settle_s, True
            time.serial |= counted_first
        elif isinstance(entry.event, events.SliceCounted) and exposed_s is not None:
            sent = entry.world_s - exposed_s
            counted_first = not moved
        elif isinstance(entry.event, events.ExposureMade):
            if exposed_s is not None and not disturbed and not now["preparing"]:
                time.cycles.append(
                    Cycle(
                        move=now["move"],
                        settle=now["settle"],
                        download=now["download"],
                        proof=now["proof"],
                        exposure=now["exposure"],
                        sent=sent,
                        # A shorter wait is only the time needed to read an entry of the journal.
                        waits=now["download"] > 0.02 * sent,
                    )
                )
            now = defaultdict(float)
            exposed_s, sent = entry.world_s, 0.0
            moved = disturbed = counted_first = False
        disturbed |= part in ("trouble", "searching")
    return time


def _part(event: Event, after_last_frame: bool) -> str:
    if isinstance(event, _TROUBLE):
        return "trouble"
    if isinstance(event, _SEARCHING):
        return "searching"
    if isinstance(event, _PREPARING):
        return "preparing"
    if after_last_frame:
        return "finishing"
    match event:
        case events.AxisMoved():
            return "move"
        case events.SliceCounted():
            return "download"
        case events.ExposureMade():
            return "exposure"
        case _:
            return "proof"


@dataclass(frozen=True)
class WhatIf:
    """A possible change, and the estimated duration of a cycle with this change.

    Attributes
    ----------
    change
        The change as text.
    cycle_s
        Estimated median duration of a cycle, seconds.
    gain
        Fraction of the cycle time that is saved, 0..1.
    at_least
        Whether ``gain`` is a lower bound. This is so if no cycle waited for a download. Then
        downloads take at most as long as move and settling, but how long is unknown.
    """

    change: str
    cycle_s: float
    gain: float
    at_least: bool = False


#: Possible changes, each with the factors by which it multiplies the durations of steps.
_CHANGES: tuple[tuple[str, Mapping[str, float]], ...] = (
    ("settle half as long", {"settle": 0.5}),
    ("download twice as fast", {"download": 0.5}),
    ("move in half the time (a faster rail)", {"move": 0.5}),
    ("settle half as long and download twice as fast", {"settle": 0.5, "download": 0.5}),
    ("all three", {"settle": 0.5, "download": 0.5, "move": 0.5}),
)


def what_if(cycles: Sequence[Cycle], serial: bool) -> list[WhatIf]:
    """Return estimates of the time saved by faster steps; empty if there are no cycles.

    A download for which the cycle did not wait is assumed to last as long as move and settling.
    The gain of a shorter settling time is then a lower bound.
    """
    if not cycles:
        return []
    before_s = median(cycle.total for cycle in cycles)
    hidden = not serial and not median(cycle.waits for cycle in cycles)
    gains = []
    for change, factors in _CHANGES:
        after_s = median(_cycle_s(cycle, factors, serial) for cycle in cycles)
        gains.append(WhatIf(change, after_s, 1 - after_s / before_s if before_s else 0.0, hidden))
    return gains


def _cycle_s(cycle: Cycle, factors: Mapping[str, float], serial: bool) -> float:
    def scaled(part: str, seconds: float) -> float:
        return factors.get(part, 1.0) * seconds

    way_s = scaled("move", cycle.move) + scaled("settle", cycle.settle)
    rest_s = cycle.proof + cycle.exposure
    if serial:
        return way_s + scaled("download", cycle.download) + rest_s
    hidden_s = cycle.move + cycle.settle
    sent_s = hidden_s + cycle.download if cycle.waits else min(cycle.sent, hidden_s)
    return max(way_s, scaled("download", sent_s)) + rest_s


def bottlenecks(cycles: Sequence[Cycle]) -> list[tuple[str, float]]:
    """Return the name and median duration in seconds of each step of a cycle, longest first."""
    if not cycles:
        return []
    parts = [(part, median(getattr(cycle, part) for cycle in cycles)) for part in CYCLE]
    return sorted(parts, key=lambda part: -part[1])
