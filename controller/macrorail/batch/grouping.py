"""Groups the photographs of a mixed folder into stacks, by time, focus and file numbers.

The frames of a stack have the same camera, lens, f-number and size. They were taken at regular
intervals, and the focus moves in one direction in about equal steps. A stack ends at a long pause,
where the focus reverses or jumps, or where the file numbers restart. If the focus is known, all
ways of cutting are compared, so that a stray frame is not grouped with the first frame of a stack.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from macrorail.batch.photo import Photo

FEWEST = 3

#: A pause ends a stack if it is this many times the usual interval, and longer by at least this.
_PAUSE = 4.0
_TICK_S = 1.0
#: A pause that ends any stack.
_LONGEST_PAUSE_S = 120.0
#: Number of intervals on each side from which the pace (usual interval) is computed.
_AROUND = 5

#: Largest file number of cameras; the next file has the number 1.
_LAST_NUMBER = 9999
_NEAR_THE_END = 200

#: Costs of irregularities within a stack, relative to the cost 1 of a cut. Chosen with the cases
#: of tests/studies/grouping.py.
_STILL = 0.05
_MISSING = 0.15
_UNEVEN = 0.5
_SLOWER = 0.3
#: Largest number of focus steps between two frames of a stack; largest fraction of a step that
#: counts as no step, or as a deviation from a whole number of steps.
_FAR = 5
_NO_STEP = 0.3


@dataclass(frozen=True)
class Group:
    """The photographs of one stack.

    Attributes
    ----------
    photos
        The photographs, in the order in which they were taken.
    missing
        A sentence for each gap in which frames are missing.
    """

    photos: tuple[Photo, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grouped:
    """The photographs of a folder, grouped into stacks.

    Attributes
    ----------
    stacks
        The stacks, in order of the time of their first frame.
    strays
        Photographs that belong to no stack, each with the reason.
    """

    stacks: tuple[Group, ...]
    strays: tuple[tuple[Photo, str], ...]


def group(photos: Iterable[Photo], fewest: int = FEWEST) -> Grouped:
    """Group photographs into stacks, and return the stacks and the strays.

    Parameters
    ----------
    photos
        The photographs.
    fewest
        Smallest number of frames in a stack; the frames of smaller groups are strays.
    """
    streams: dict[tuple[str, ...], list[Photo]] = defaultdict(list)
    strays: list[tuple[Photo, str]] = []
    numbers = set()
    for photo in photos:
        numbers.add((photo.series, photo.number))
        if photo.taken_s is None:
            strays.append((photo, "has no capture time"))
        else:
            streams[photo.kind].append(photo)
    found: list[Group] = []
    for stream in streams.values():
        stream.sort(key=_order(stream))
        for frames in _cut_by_count(_cut_by_pause(stream)):
            for part in _cut_by_focus(frames):
                if len(part) < fewest:
                    strays += [(photo, _alone(len(part))) for photo in part]
                else:
                    found.append(Group(tuple(part), _missing(part, numbers)))
    found.sort(key=lambda one: one.photos[0].taken_s or 0.0)
    return Grouped(tuple(found), tuple(sorted(strays, key=lambda one: one[0].path)))


def _order(stream: list[Photo]) -> Callable[[Photo], tuple[float, str, int]]:
    """Return a sort key for photographs: the capture time; for equal times the file number.

    If the file numbers restart after 9999, the small numbers are sorted after the large numbers."""
    turns = any(photo.number > _LAST_NUMBER - _NEAR_THE_END for photo in stream)
    shift = _LAST_NUMBER // 2 if turns else 0

    def order(photo: Photo) -> tuple[float, str, int]:
        return photo.taken_s or 0.0, photo.series, (photo.number + shift) % (_LAST_NUMBER + 1)

    return order


def _alone(count: int) -> str:
    return "belongs to no stack" if count == 1 else f"is one of {count} frames, too few for a stack"


def _intervals(frames: Sequence[Photo]) -> list[float]:
    return [(after.taken_s or 0.0) - (before.taken_s or 0.0) for before, after in pairwise(frames)]


def _paces(intervals: list[float]) -> list[float]:
    """Return for each interval the mean of those around it, without their longest quarter."""
    paces = []
    for place in range(len(intervals)):
        around = [
            *intervals[max(0, place - _AROUND) : place],
            *intervals[place + 1 : place + 1 + _AROUND],
        ]
        # A stray photograph has a pause before and after it, so the longest quarter is left out.
        usual = sorted(around)[: max(1, len(around) * 3 // 4)]
        paces.append(sum(usual) / len(usual) if usual else 0.0)
    return paces


def _cut_by_pause(stream: list[Photo]) -> list[list[Photo]]:
    intervals = _intervals(stream)
    # Times in whole seconds are rounded down by up to 1 s, so intervals may seem 1 s too short.
    ticks_s = _TICK_S * (3 if _whole_seconds(stream) else 1)
    parts = [[stream[0]]]
    for photo, interval, pace in zip(stream[1:], intervals, _paces(intervals), strict=True):
        if interval > min(_PAUSE * pace + ticks_s, _LONGEST_PAUSE_S):
            parts.append([])
        parts[-1].append(photo)
    return parts


def _cut_by_count(parts: list[list[Photo]]) -> Iterable[list[Photo]]:
    """Yield the parts, cut where the camera's sequence number does not increase, begins or ends."""
    for part in parts:
        run = [part[0]]
        for before, after in pairwise(part):
            if (before.sequence is None) != (after.sequence is None) or (
                before.sequence is not None
                and after.sequence is not None
                and after.sequence <= before.sequence
            ):
                yield run
                run = []
            run.append(after)
        yield run


def _cut_by_focus(frames: list[Photo]) -> list[list[Photo]]:
    steps, times = _steps(frames)
    cuts = _cheapest_cuts(steps, [time - _tick(frames) for time in times]) if steps else []
    edges = [0, *cuts, len(frames)]
    return [frames[begin:end] for begin, end in pairwise(edges)]


def _steps(frames: list[Photo]) -> tuple[list[float], list[float]]:
    """Return how far focus and time move from each frame to the next, as two lists.

    The first list is in units of the median focus step, the second in units of the median interval
    between frames. Both lists are empty when the focus is unknown or does not change.
    """
    known = [photo.vergence for photo in frames if photo.vergence is not None]
    moves = [after - before for before, after in pairwise(known)]
    sizes = [abs(move) for move in moves if move]
    if len(known) < len(frames) or not sizes:
        return [], []
    step, intervals = median(sizes), _intervals(frames)
    pace = median(intervals) or _TICK_S
    return [move / step for move in moves], [interval / pace for interval in intervals]


def _cheapest_cuts(steps: list[float], times: list[float]) -> list[int]:
    """Return the indices of the frames that begin a new stack, so that the total cost is smallest.

    In each resulting part the focus moves in one direction.

    Parameters
    ----------
    steps, times
        Change of focus and of time from each frame to the next, as returned by :func:`_steps`.
    """
    # The smallest cost and its cuts, by the focus direction of the last part (0: not yet known).
    best: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
    for place, (step, time) in enumerate(zip(steps, times, strict=True), start=1):
        after: dict[int, tuple[float, tuple[int, ...]]] = {}
        for way, (cost, cuts) in best.items():
            _keep(after, 0, cost + 1, (*cuts, place))
            sign = 0 if abs(step) <= _NO_STEP else (1 if step > 0 else -1)
            if abs(step) < _FAR and (sign == 0 or way in (0, sign)):
                _keep(after, sign or way, cost + _cost(abs(step), time), cuts)
        best = after
    return list(min(best.values())[1])


def _keep(
    best: dict[int, tuple[float, tuple[int, ...]]], way: int, cost: float, cuts: tuple[int, ...]
) -> None:
    if way not in best or (cost, cuts) < best[way]:
        best[way] = (cost, cuts)


def _cost(step: float, time: float) -> float:
    """Return the cost of adding the next frame to the same stack; a new stack costs 1.

    ``step`` is in median focus steps, ``time`` in median intervals between frames."""
    if step <= _NO_STEP:
        return _STILL
    whole = max(1, round(step))
    # For each missing frame, a step and an interval are missing too.
    late = max(0.0, time - whole - 0.5)
    return _MISSING * (whole - 1) + _UNEVEN * abs(step - whole) + _SLOWER * late


def _missing(frames: list[Photo], there: set[tuple[str, int]]) -> tuple[str, ...]:
    pairs = list(pairwise(frames))
    # Numbers in names that consist of the time are not consecutive.
    one_more = sum(_between(before, after) == [] for before, after in pairs)
    counting = 2 * one_more >= len(pairs)
    steps, times = _steps(frames)
    tick = _tick(frames)
    sentences = []
    for place, (before, after) in enumerate(pairs):
        lost = _lost_by_count(before, after, there if counting else None)
        if steps and not lost:
            lost = _lost_by_focus(abs(steps[place]), times[place], tick)
        if lost:
            noun = "frame is" if lost == 1 else "frames are"
            sentences.append(
                f"{lost} {noun} missing between {before.path.name} and {after.path.name}"
            )
    return tuple(sentences)


def _tick(frames: list[Photo]) -> float:
    """Return the resolution of the time stamps as a fraction of the median interval.

    The result is 0 if the stamps have fractions of a second."""
    return _TICK_S / (median(_intervals(frames)) or _TICK_S) if _whole_seconds(frames) else 0.0


def _whole_seconds(frames: list[Photo]) -> bool:
    return all((photo.taken_s or 0.0).is_integer() for photo in frames)


def _lost_by_count(before: Photo, after: Photo, there: set[tuple[str, int]] | None) -> int:
    """Return how many frames are missing between two photographs, according to their numbers.

    The camera's sequence numbers are used if both are known, otherwise the file numbers. ``there``
    contains all file numbers that exist; it is ``None`` if file numbers are not consecutive.
    """
    if before.sequence is not None and after.sequence is not None:
        return after.sequence - before.sequence - 1
    if there is None:
        return 0
    between = _between(before, after) or ()
    return sum((before.series, number) not in there for number in between)


def _between(before: Photo, after: Photo) -> list[int] | None:
    """Return the file numbers between those of two files; ``None`` if they do not increase."""
    first, last = before.number, after.number
    if before.series != after.series or first < 0:
        return None
    if last < first and first > _LAST_NUMBER - _NEAR_THE_END and last < _NEAR_THE_END:
        return [*range(first + 1, _LAST_NUMBER + 1), *range(1, last)]
    return list(range(first + 1, last)) if first < last < first + _NEAR_THE_END else None


def _lost_by_focus(step: float, time: float, tick: float) -> int:
    """Return how many frames are missing if both focus and time jump by whole steps; else 0.

    ``step`` is in median focus steps; ``time`` and ``tick`` are in median intervals."""
    whole = round(step)
    leaps = whole >= 2 and abs(step - whole) < _NO_STEP and time >= whole - 0.5 - tick
    return whole - 1 if leaps else 0
