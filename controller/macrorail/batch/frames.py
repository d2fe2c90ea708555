"""Loads the frames of one stack from a run or from files, and reads them in order of fusion."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from macrorail.batch.frame_list import FrameFiles, frames_in, frames_named
from macrorail.batch.frame_types import Passed
from macrorail.errors import AlignError, ConfigError
from macrorail.run_folder.events import FrameAligned, FrameLeftOut, values_of
from macrorail.run_folder.journal import JOURNAL, Entry, read_journal
from macrorail.run_folder.manifest import build_manifest
from macrorail.stacking.alignment import Alignment, frame_transforms
from macrorail.stacking.images import Picture, picture_size, read_picture
from macrorail.stacking.stacker import AHEAD, FrameReport, Placed, Stacker, rehearse


@dataclass(frozen=True)
class Source:
    """A frame to stack.

    Attributes
    ----------
    index
        Number of the slice for a run's frame; otherwise the index among the files, from 0.
    path
        Path of the file.
    z_um
        Position of the frame in micrometres; ``None`` when it is unknown.
    scale
        Magnification that the optics predict for the frame, relative to a reference that is the
        same for all frames; ``None`` when it is unknown.
    page
        Index of the picture in a TIFF that contains several pictures, from 0; otherwise ``None``.
    """

    index: int
    path: Path
    z_um: float | None = None
    scale: float | None = None
    page: int | None = None

    @property
    def name(self) -> str:
        """Name by which messages refer to the frame."""
        return self.path.name if self.page is None else f"{self.path.name}, page {self.page + 1}"

    def read(self, spent: Picture | None = None) -> Picture:
        """Read and return the picture; see :func:`macrorail.stacking.images.read_picture`."""
        return read_picture(self.path, spent, self.page)


@dataclass(frozen=True)
class StackFrames:
    """The frames to stack.

    Attributes
    ----------
    frames
        Photographs in the order in which they were taken; a run's frames in its order of fusion.
    size
        Width, height and bits per channel of each frame.
    passed_over
        Files that are not used as frames.
    doubts
        Possible problems with the frames, one sentence each.
    """

    frames: list[Source]
    size: tuple[int, int, int]
    passed_over: tuple[Passed, ...] = ()
    doubts: tuple[str, ...] = field(default_factory=tuple)


def load_frames(sources: list[Path], output: Path | None = None) -> StackFrames:
    """Find and check the frames to stack, and return them without reading their pixels.

    Parameters
    ----------
    sources
        A run folder, a folder of photographs, successive folders of a camera, or files.
    output
        File for the result, which is not used as a frame.

    Raises
    ------
    ConfigError
        A path does not exist or contains no pictures, or folders and files are mixed.
    StackError
        A frame cannot be read, or its size differs from the others.
    """
    for path in sources:
        if not path.exists() and not path.is_symlink():
            raise ConfigError(f"{path} does not exist")
    folders = [path for path in sources if path.is_dir()]
    if folders and len(folders) < len(sources):
        raise ConfigError(f"give one folder, or files; {folders[0]} is a folder among files")
    runs = [path for path in folders if (path / JOURNAL).exists()]
    if runs:
        if len(sources) > 1:
            raise ConfigError(f"give one run; {runs[0]} is one of {len(sources)} folders")
        frames = _frames_of_run(runs[0])
        return StackFrames(frames, picture_size(frames[0].path))
    found = frames_in(folders, output) if folders else frames_named(sources, output)
    return of_files(found)


def check_not_replaced(frames: list[Source], outputs: list[Path]) -> None:
    """Check that no result would replace a frame.

    Raises
    ------
    ConfigError
        A result would replace a frame; the message names the file.
    """
    files = {frame.path.resolve() for frame in frames}
    for output in outputs:
        if output.resolve() in files:
            raise ConfigError(
                f"{output} is one of the frames and would be replaced; choose another output"
            )


def of_files(found: FrameFiles) -> StackFrames:
    """Return the frames of photographs, numbered in their order."""
    frames = [Source(index, one.path, page=one.page) for index, one in enumerate(found.frames)]
    return StackFrames(frames, found.size, found.passed_over, found.doubts)


def chosen(frames: list[Source], wanted: str) -> list[Source]:
    """Return the frames whose numbers are in ``wanted``.

    Parameters
    ----------
    frames
        All frames.
    wanted
        Numbers and ranges such as ``3-9,12``. Frames of a run are numbered by their slices, files
        are numbered from 1.

    Raises
    ------
    ConfigError
        ``wanted`` does not consist of numbers and ranges, or names none of the frames.
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
    """Return the order of fusion, in which each frame follows one of its neighbours.

    The order is from the reference frame to the last frame, then from the frame before the
    reference back to the first frame.
    """
    first = reference_place(reference, len(frames))
    return frames[first:] + frames[:first][::-1]


def look_ahead(stacker: Stacker, order: list[Source]) -> None:
    """Show the first frames to the stacker in advance if the first frame is at one end."""
    places = [one.index if one.z_um is None else one.z_um for one in order]
    if places[0] in (min(places), max(places)):
        for frame, picture in read_ahead(order[:AHEAD]):
            stacker.look_ahead(picture, frame.index, frame.z_um, frame.scale, frame.name)


def read_ahead(frames: list[Source]) -> Iterator[tuple[Source, Picture]]:
    """Yield frames and their pictures in order, reading the next picture in the background.

    A picture is valid only until the next one is requested, because its memory is reused.
    """
    spent: Picture | None = None
    with ThreadPoolExecutor(1, thread_name_prefix="reader") as reader:
        coming = reader.submit(frames[0].read)
        for frame, following in zip(frames, [*frames[1:], None], strict=True):
            picture = coming.result()
            if following is not None:
                coming = reader.submit(following.read, spent)
            yield frame, picture
            spent = picture


def add_frames(stacker: Stacker, frames: list[Source]) -> Iterator[FrameReport | None]:
    """Add the frames to the stacker in their order, and yield a report for each.

    While a frame is blended, the next frame is aligned and the frame after that is read. So at
    most three pictures are in memory. The report is ``None`` for a frame that cannot be aligned;
    this frame is listed in ``Stacker.left_out``.

    Raises
    ------
    AlignError
        No frame could be aligned to the reference.
    """

    def place(frame: Source, picture: Future[Picture]) -> Placed:
        return stacker.place(picture.result(), frame.index, frame.z_um, frame.name, frame.scale)

    with (
        ThreadPoolExecutor(1, thread_name_prefix="reader") as reader,
        ThreadPoolExecutor(1, thread_name_prefix="ahead") as ahead,
        ThreadPoolExecutor(1, thread_name_prefix="rehearsal") as rehearsal,
    ):
        rehearsal.submit(rehearse, stacker.quality)

        def coming(frame: Source, spent: Picture | None) -> Future[Placed]:
            return ahead.submit(place, frame, reader.submit(frame.read, spent))

        on_the_way = deque(coming(frame, None) for frame in frames[:2])
        for following in [*frames[2:], None, None][: len(frames)]:
            try:
                placed = on_the_way.popleft().result()
            except AlignError:
                if following is not None:
                    on_the_way.append(coming(following, None))
                yield None
                continue
            stacker.lay(placed)
            if following is not None:
                on_the_way.append(coming(following, placed.picture))
            yield stacker.blend(placed)
    require_more_than_reference(stacker, frames)


def require_more_than_reference(stacker: Stacker, frames: list[Source]) -> None:
    """Check that at least one frame was aligned to the reference.

    Raises
    ------
    AlignError
        Only the reference is left; the message gives the reason for the first frame left out.
    """
    if len(frames) > 1 and len(stacker.reports) == 1:
        raise AlignError(
            f"none of the other {len(frames) - 1} frame(s) can be stacked with "
            f"{frames[0].path.name}: {stacker.left_out[0].reason}. If only {frames[0].path.name} "
            f"differs from the others, choose another reference with --reference"
        )


def reference_place(reference: str, count: int) -> int:
    """Return the index of the reference among ``count`` frames, from 0.

    Raises
    ------
    ConfigError
        ``reference`` is not ``first``, ``middle`` or a number from 1 to ``count``.
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
    """Return the alignment that a run recorded; ``None`` unless all fused frames were aligned."""
    entries = read_journal(folder / JOURNAL)
    reports = _last_reports(entries)
    order = _fused_numbers(entries, reports)
    if not all(isinstance(reports.get(number), FrameAligned) for number in order):
        return None
    return Alignment(frame_transforms((values_of(reports[number]) for number in order), "number"))


def _frames_of_run(folder: Path) -> list[Source]:
    """Return a run's frames in the order in which they were fused."""
    entries = read_journal(folder / JOURNAL)
    slices = {one["index"]: one for one in build_manifest(entries)["slices"]}
    known = ((number, slices[number]) for number in _fused_numbers(entries, _last_reports(entries)))
    frames = [
        Source(number, folder / one["frame"], one["achieved_um"], one["scale"])
        for number, one in known
    ]
    if not frames:
        raise ConfigError(f"{folder} is a run without a finished slice, so nothing can be stacked")
    return frames


def _last_reports(entries: list[Entry]) -> dict[int, FrameAligned | FrameLeftOut]:
    """Return the last align/blend report on each slice; a reshot slice has several reports."""
    return {
        entry.event.slice: entry.event
        for entry in entries
        if isinstance(entry.event, FrameAligned | FrameLeftOut)
    }


def _fused_numbers(
    entries: list[Entry], reports: dict[int, FrameAligned | FrameLeftOut]
) -> list[int]:
    """Return the numbers of the slices in order of fusion.

    Slices that were not checked by their image come last; slices that could not be aligned are
    left out.
    """
    manifest = build_manifest(entries)
    order = manifest["fusion_order"]
    unjudged = [one["index"] for one in manifest["slices"] if one["index"] not in order]
    return [n for n in [*order, *unjudged] if not isinstance(reports.get(n), FrameLeftOut)]
