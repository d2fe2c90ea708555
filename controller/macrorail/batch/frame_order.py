"""Determines the order in which frames were taken, from the file numbers and capture times.

Three things can disturb the order. A camera's file numbers restart after 9999 (999, 99999) or in
a new folder; programs rename files; and clocks jump. If names and times disagree and one of the
two is clearly right, its order is used. The disagreement is always reported.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median_low

#: A count may lose so many frames at its end and at its new beginning.
_LOST_AT_THE_WRAP = 3
#: Numbers further apart than this do not count frames.
_SPARSE = 4
#: A gap of so many steps is no lost frame, but where a count started over.
_WIDE_GAP = 10
_TICK_S = 1.0


@dataclass(frozen=True)
class Taken:
    """A frame's file and its time of capture.

    Attributes
    ----------
    path
        Path of the file.
    time
        Capture time in seconds on the camera's clock, and whether it includes fractions of a
        second; ``None`` if the file has no capture time.
    """

    path: Path
    time: tuple[float, bool] | None


def order_of(frames: Sequence[Taken]) -> tuple[list[int], list[str]]:
    """Return the indices of the frames in the order in which they were taken, and doubts."""
    by_name = sorted(range(len(frames)), key=lambda place: natural_key(frames[place].path))
    ordered = [frames[place] for place in by_name]
    cut = _wrap(ordered)
    wrapped = None if cut is None else by_name[cut:] + by_name[:cut]
    if any(frame.time is None for frame in frames):
        if wrapped is None:
            return by_name, []
        return wrapped, [_count_passed(frames, wrapped, by_name)]
    if wrapped is not None and _agrees(frames, wrapped):
        return wrapped, [_count_passed(frames, wrapped, by_name)]
    if _agrees(frames, by_name):
        times = {frame.time for frame in frames}
        if len(times) in (1, len(frames)) or not _are_random(ordered):
            return by_name, []
        return by_name, [
            "several frames have the same capture time, and their names have no consecutive "
            "numbers: the order of these frames is uncertain"
        ]
    by_time = sorted(by_name, key=lambda place: frames[place].time or (0.0, False))
    before, after = next(
        (one, two) for one, two in pairwise(by_name) if not _agrees(frames, [one, two])
    )
    where = f"{frames[after].path.name} was taken before {frames[before].path.name}"
    if _is_time_right(ordered, by_time, by_name):
        return by_time, [f"names and capture times disagree ({where}): ordered by capture time"]
    return by_name, [
        f"names and capture times disagree ({where}): ordered by name; for another order, give "
        f"the files one by one"
    ]


def natural_key(path: Path) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Return a sort key that puts frame 9 before frame 10 and keeps a folder's frames together."""
    return _natural(str(path.parent)), _natural(path.name)


def series_of(path: Path) -> tuple[str, int]:
    """Return a file name without its last number, and the number; -1 if there is no number.

    For example, ``IMG_0012.jpg`` gives ``IMG_`` and 12.
    """
    found = re.fullmatch(r"(.*?)(\d+)(\D*)", path.stem)
    return (f"{found[1]}#{found[3]}", int(found[2])) if found else (path.stem, -1)


def _natural(text: str) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", text.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _wrap(ordered: Sequence[Taken]) -> int | None:
    """Return the index of the first frame after the file numbers restarted.

    The result is ``None`` if the file numbers did not restart.
    """
    series = {(frame.path.parent, series_of(frame.path)[0]) for frame in ordered}
    numbers = [series_of(frame.path)[1] for frame in ordered]
    if len(series) != 1 or numbers[0] < 0 or numbers[-1] < 999 - _LOST_AT_THE_WRAP:
        return None
    end = 10 ** len(str(numbers[-1])) - 1
    if numbers[-1] < end - _LOST_AT_THE_WRAP or numbers[0] > 1 + _LOST_AT_THE_WRAP:
        return None
    gaps = [after - before for before, after in pairwise(numbers)]
    widest = max(gaps)
    return gaps.index(widest) + 1 if widest > end // 2 else None


def _count_passed(frames: Sequence[Taken], wrapped: list[int], by_name: list[int]) -> str:
    last, first = frames[by_name[-1]].path.name, frames[by_name[0]].path.name
    begin = frames[wrapped[0]].path.name
    return (
        f"the camera's file numbers restart after {last}: the frames are used in the order "
        f"{begin} ... {last}, {first} ..."
    )


def _agrees(frames: Sequence[Taken], order: Sequence[int]) -> bool:
    """Return whether the capture times never decrease when the frames are put in this order."""
    for before, after in pairwise(order):
        earlier, later = frames[before].time, frames[after].time
        if earlier is None or later is None:
            continue
        # A time in whole seconds may be up to 1 s early compared with a time with fractions.
        slack_s = 0.0 if earlier[1] == later[1] else _TICK_S
        if later[0] < earlier[0] - slack_s:
            return False
    return True


def _are_random(ordered: Sequence[Taken]) -> bool:
    """Return whether most names differ in more than their last number, as a telephone's do."""
    series = {series_of(frame.path)[0] for frame in ordered}
    return len(series) > len(ordered) // 2 and len(series) > 2


def _is_time_right(ordered: Sequence[Taken], by_time: list[int], by_name: list[int]) -> bool:
    """Return whether to trust the order by time and not the numbers in the names.

    ``ordered`` contains the frames in the order of their names. ``by_time`` and ``by_name`` are
    indices of frames in the order of time and of name.
    """
    named = [series_of(frame.path) for frame in ordered]
    numbers = [number for _, number in named]
    if len({series for series, _ in named}) > 1 or numbers[0] < 0:
        return True
    gaps = [after - before for before, after in pairwise(numbers)]
    usual = max(1, median_low(gaps))
    if usual > _SPARSE:  # the numbers are not consecutive
        return True
    # Numbers that restarted leave a gap before the number of the first frame by time.
    cut = by_name.index(by_time[0])
    is_rotation = cut > 0 and by_time == by_name[cut:] + by_name[:cut]
    return is_rotation and gaps[cut - 1] > _WIDE_GAP * usual
