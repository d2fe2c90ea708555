"""The frames of one stack: which they are, their order of fusion, their pictures."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from macrorail.errors import ConfigError
from macrorail.run_folder.events import FrameAligned, FrameLeftOut, values_of
from macrorail.run_folder.journal import JOURNAL, Entry, read_journal
from macrorail.run_folder.manifest import build_manifest
from macrorail.stacking.alignment import Alignment, lies_of
from macrorail.stacking.images import Picture, is_picture, read_picture
from macrorail.stacking.raw import RAW_SUFFIXES
from macrorail.stacking.stacker import AHEAD, FrameReport, Placed, Stacker, rehearse


@dataclass(frozen=True)
class Source:
    """A frame to stack.

    Attributes
    ----------
    index
        Of its slice in a run, or its place among the files from 0.
    path
        Where it lies.
    z_um
        Its position, micrometres, when it is known: that of a run's frame is.
    scale
        By what the optics say that it has to be enlarged to fit any other one, the same for all.
    """

    index: int
    path: Path
    z_um: float | None = None
    scale: float | None = None


def find_frames(sources: list[Path]) -> list[Source]:
    """The frames that the arguments name, in the order in which they are to be fused.

    Raises
    ------
    ConfigError
        Nothing there, no pictures in it, or folder and files mixed.
    """
    for path in sources:
        if not path.exists():
            raise ConfigError(f"{path} does not exist")
    folders = [path for path in sources if path.is_dir()]
    if folders and len(sources) > 1:
        raise ConfigError(f"give one folder, or files; {folders[0]} is a folder among others")
    if folders and (folders[0] / JOURNAL).exists():
        return _frames_of_run(folders[0])
    paths = sources
    if folders:
        paths = sorted((path for path in folders[0].iterdir() if is_picture(path)), key=_natural)
        # Many cameras write both; the pictures they made are the quicker ones to read.
        developed = [path for path in paths if path.suffix.lower() not in RAW_SUFFIXES]
        paths = developed or paths
        if not paths:
            raise ConfigError(f"{folders[0]} holds no pictures (JPEG, PNG, TIFF or raw)")
    return [Source(index, path) for index, path in enumerate(paths)]


def chosen(frames: list[Source], wanted: str) -> list[Source]:
    """Those of ``frames`` that ``wanted`` names: numbers and ranges such as ``3-9,12``.

    A run's frames go by their slice, files by their place from 1.

    Raises
    ------
    ConfigError
        Not numbers and ranges, or none of the frames.
    """
    numbers: set[int] = set()
    for part in wanted.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or not (last.isdecimal() if dash else True):
            raise ConfigError(f"--only {wanted}: give numbers and ranges, such as 3-9,12")
        numbers.update(range(int(first), int(last or first) + 1))
    kept = [one for one in frames if (one.index + (one.z_um is None)) in numbers]
    if not kept:
        raise ConfigError(f"--only {wanted}: none of the {len(frames)} frames is among them")
    return kept


def fusion_order(frames: list[Source], reference: str) -> list[Source]:
    """The frames from the reference on, then those before it backwards: neighbours stay so."""
    first = reference_place(reference, len(frames))
    return frames[first:] + frames[:first][::-1]


def look_ahead(stacker: Stacker, order: list[Source]) -> None:
    """Let the first frames say how the reference lies, where it stands at an end of the stack."""
    places = [one.index if one.z_um is None else one.z_um for one in order]
    if places[0] in (min(places), max(places)):
        for frame, picture in read_ahead(order[:AHEAD]):
            stacker.look_ahead(picture, frame.index, frame.z_um, frame.scale, frame.path.name)


def read_ahead(frames: list[Source]) -> Iterator[tuple[Source, Picture]]:
    """The frames' pictures in their order, the next one being read while one is used.

    A picture holds until the next one is asked for.
    """
    spent: Picture | None = None
    with ThreadPoolExecutor(1, thread_name_prefix="reader") as reader:
        coming = reader.submit(read_picture, frames[0].path)
        for frame, following in zip(frames, [*frames[1:], None], strict=True):
            picture = coming.result()
            if following is not None:
                coming = reader.submit(read_picture, following.path, spent)
            yield frame, picture
            spent = picture


def add_frames(stacker: Stacker, frames: list[Source]) -> Iterator[FrameReport]:
    """Add the frames in their order; while one is blended the next is aligned, and one more read.

    Three pictures are held, and no more.
    """

    def place(frame: Source, picture: Future[Picture]) -> Placed:
        return stacker.place(
            picture.result(), frame.index, frame.z_um, frame.path.name, frame.scale
        )

    with (
        ThreadPoolExecutor(1, thread_name_prefix="reader") as reader,
        ThreadPoolExecutor(1, thread_name_prefix="ahead") as ahead,
        ThreadPoolExecutor(1, thread_name_prefix="rehearsal") as rehearsal,
    ):
        rehearsal.submit(rehearse, stacker.quality)

        def coming(frame: Source, spent: Picture | None) -> Future[Placed]:
            return ahead.submit(place, frame, reader.submit(read_picture, frame.path, spent))

        on_the_way = deque(coming(frame, None) for frame in frames[:2])
        for following in [*frames[2:], None, None][: len(frames)]:
            placed = on_the_way.popleft().result()
            stacker.lay(placed)
            if following is not None:
                on_the_way.append(coming(following, placed.picture))
            yield stacker.blend(placed)


def reference_place(reference: str, count: int) -> int:
    """Place from 0 of the reference among ``count`` frames.

    Raises
    ------
    ConfigError
        Not ``first``, ``middle`` or a number from 1 to ``count``.
    """
    if reference == "first":
        return 0
    if reference == "middle":
        return count // 2
    if reference.isdecimal() and 1 <= int(reference) <= count:
        return int(reference) - 1
    raise ConfigError(
        f"--reference {reference}: must be first, middle or a number from 1 to {count}"
    )


def run_alignment(folder: Path) -> Alignment | None:
    """How a run aligned its frames; ``None`` unless it has placed all that it fused."""
    entries = read_journal(folder / JOURNAL)
    reports = _last_reports(entries)
    order = _fused_numbers(entries, reports)
    if not all(isinstance(reports.get(number), FrameAligned) for number in order):
        return None
    return Alignment(lies_of((values_of(reports[number]) for number in order), "number"))


def _frames_of_run(folder: Path) -> list[Source]:
    """A run's frames in the order in which they were fused."""
    entries = read_journal(folder / JOURNAL)
    slices = {one["index"]: one for one in build_manifest(entries)["slices"]}
    known = ((number, slices[number]) for number in _fused_numbers(entries, _last_reports(entries)))
    frames = [
        Source(number, folder / one["frame"], one["achieved_um"], one["scale"])
        for number, one in known
    ]
    if not frames:
        raise ConfigError(f"{folder} is a run without a finished slice; there is nothing to stack")
    return frames


def _last_reports(entries: list[Entry]) -> dict[int, FrameAligned | FrameLeftOut]:
    """What align/blend reported last about each slice; a frame shot again is reported again."""
    return {
        entry.event.slice: entry.event
        for entry in entries
        if isinstance(entry.event, FrameAligned | FrameLeftOut)
    }


def _fused_numbers(
    entries: list[Entry], reports: dict[int, FrameAligned | FrameLeftOut]
) -> list[int]:
    """Slices in their order of fusion, those that no one had come to judge at the end; without
    those that could not be aligned."""
    manifest = build_manifest(entries)
    order = manifest["fusion_order"]
    unjudged = [one["index"] for one in manifest["slices"] if one["index"] not in order]
    return [n for n in [*order, *unjudged] if not isinstance(reports.get(n), FrameLeftOut)]


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key under which frame 9 comes before frame 10."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
