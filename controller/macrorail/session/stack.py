"""Aligns and blends photographs that exist already, or a run again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from macrorail.batch.frame_list import listed
from macrorail.batch.frame_types import Passed
from macrorail.batch.frames import (
    Source,
    StackFrames,
    add_frames,
    check_company,
    check_not_replaced,
    chosen,
    fusion_order,
    load_frames,
    look_ahead,
    reference_place,
    run_alignment,
)
from macrorail.errors import AlignError, ConfigError, StackError
from macrorail.run_folder.journal import JOURNAL
from macrorail.stacking.alignment import Alignment, load_alignment, save_alignment
from macrorail.stacking.blend import Quality
from macrorail.stacking.images import Picture
from macrorail.stacking.metadata import result_metadata
from macrorail.stacking.register import Motion
from macrorail.stacking.slices import load_slices
from macrorail.stacking.smooth import Method
from macrorail.stacking.stacker import AHEAD, FrameReport, Fused, Stacker
from macrorail.stacking.writing import (
    check_depth_output,
    check_output,
    check_place,
    confidence_path,
    write_beside,
)

Progress = Callable[[str, int, int], object]
"""Called with what is being done, how many frames are done, and how many there are."""


@dataclass(frozen=True)
class StackSettings:
    """How to stack.

    Attributes
    ----------
    quality
        ``fast`` takes less time and memory; ``best`` keeps fine colour.
    reference
        Whose geometry the result has: ``first``, ``middle``, or a number from 1.
    motion
        What may differ between frames besides their focus; ``None`` for a similarity, and for a
        run's frames the alignment that the run has found.
    alignment
        Use the alignment of another set of the same slices: a file, or a run folder.
    slices
        What is known of loose frames: a run's ``plan.json``, or a CSV table.
    only
        Some of the frames, such as ``3-9,12``.
    equalise
        Make all frames as bright, and of the same white, as the reference.
    method
        How frames are blended.
    memory_bytes
        The most memory to take; more is kept in a file in ``scratch``.
    scratch
        Folder of that file.
    depth
        Whether the depth is worked out.
    """

    quality: Quality = "best"
    reference: str = "first"
    motion: Motion | None = None
    alignment: Path | None = None
    slices: Path | None = None
    only: str | None = None
    equalise: bool = True
    method: Method = Method.PYRAMID
    memory_bytes: float = math.inf
    scratch: Path = Path()
    depth: bool = True


@dataclass(frozen=True)
class StackOutputs:
    """Where a stack's results go.

    Attributes
    ----------
    picture
        ``.tif`` (16 bit), ``.png`` or ``.jpg``.
    depth
        Depth map (``.tif``); its confidence is written beside it.
    crop
        Keep only what all frames cover.
    alignment
        JSON file of how the frames are aligned.
    """

    picture: Path
    depth: Path | None = None
    crop: bool = False
    alignment: Path | None = None

    def check(self, loaded: StackFrames) -> None:
        """See that all can be written, before any work is done for it.

        Raises
        ------
        ConfigError
            A result would replace a frame.
        StackError
            A folder is missing, read-only or full, or a type does not fit.
        """
        width, height, _ = loaded.size
        check_output(self.picture, width, height)
        outputs = [self.picture]
        if self.depth is not None:
            check_depth_output(self.depth, width, height)
            outputs += [self.depth, confidence_path(self.depth)]
        if self.alignment is not None:
            check_place(self.alignment)
            outputs.append(self.alignment)
        check_not_replaced(loaded.frames, outputs)


@dataclass(frozen=True)
class Stacked:
    """A finished stack, in memory.

    Attributes
    ----------
    fused
        Picture, depth and reports.
    frames
        In the order in which they were given.
    order
        In the order of fusion; the reference is the first.
    alignment
        The alignment of the frames.
    seconds, seconds_after_last_frame
        Wall time, of all and since the last frame was blended.
    passed_over
        Files that were not taken as frames.
    frame_doubts
        What is doubtful about which files the frames are, and their order.
    """

    fused: Fused
    frames: tuple[Source, ...]
    order: tuple[Source, ...]
    alignment: Alignment
    seconds: float
    seconds_after_last_frame: float
    passed_over: tuple[Passed, ...] = ()
    frame_doubts: tuple[str, ...] = ()

    @property
    def reports(self) -> list[FrameReport | None]:
        """One for each frame, in the order of :attr:`frames`; ``None`` where it was left out."""
        known = {report.index: report for report in self.fused.reports}
        return [known.get(frame.index) for frame in self.frames]

    @property
    def doubts(self) -> list[str]:
        """What is doubtful about frames, and why some were left out."""
        return [*self.frame_doubts, *self.fused.doubts]


def stack_photographs(
    sources: Sequence[Path],
    settings: StackSettings,
    on_progress: Progress = lambda *_: None,
    outputs: StackOutputs | None = None,
    on_note: Callable[[str], object] = lambda _: None,
) -> Stacked:
    """Align and blend files, a folder of photographs, or a run folder.

    Parameters
    ----------
    outputs
        Where results will go; checked before the first frame is read.
    on_note
        Called with what was passed over and what is doubtful about the frames, before the first is
        read.

    Raises
    ------
    ConfigError
        The sources or settings do not fit.
    StackError, AlignError
        A frame cannot be read or aligned.
    """
    if settings.motion is not None and settings.alignment is not None:
        raise ConfigError(
            "give either --align, which computes an alignment, or --alignment, which reuses one"
        )
    loaded = load_frames(list(sources), None if outputs is None else outputs.picture)
    frames = loaded.frames
    if outputs is not None:
        outputs.check(loaded)
    for line in (*listed(loaded.passed_over), *loaded.doubts):
        on_note(line)
    known = _known_alignment(sources, frames, settings)
    wanted = frames if settings.only is None else chosen(frames, settings.only)
    if settings.slices is not None:
        indices = {frame.index for frame in wanted}
        placed = _with_positions(frames, settings.slices)
        wanted = [frame for frame in placed if frame.index in indices]
    order = fusion_order(wanted, settings.reference)
    started_s = time.monotonic()
    stacker = _stacker(settings, known)
    on_progress("looking", 0, len(order))
    look_ahead(stacker, order)
    on_progress("stacking", 0, len(order))
    for done, _ in enumerate(add_frames(stacker, order), start=1):
        on_progress("stacking", done, len(order))
    stacked = _finished(stacker, wanted, order, started_s, on_progress)
    return replace(stacked, passed_over=loaded.passed_over, frame_doubts=loaded.doubts)


def stack_arrays(
    pictures: Sequence[Picture],
    settings: StackSettings,
    z_um: Sequence[float] | None = None,
    on_progress: Progress = lambda *_: None,
) -> Stacked:
    """Align and blend pictures in memory.

    Parameters
    ----------
    pictures
        Each (height, width, 3) uint8 or uint16, BGR, sRGB-encoded; all of one shape and type.
    z_um
        Their positions along the axis, micrometres.

    Raises
    ------
    ConfigError, StackError, AlignError
    """
    if not pictures:
        raise ConfigError("there are no pictures to stack")
    if z_um is not None and len(z_um) != len(pictures):
        raise ConfigError(f"{len(z_um)} positions were given for {len(pictures)} pictures")
    frames = [
        Source(index, Path(f"picture {index + 1}"), None if z_um is None else float(z_um[index]))
        for index in range(len(pictures))
    ]
    order = fusion_order(frames, settings.reference)
    started_s = time.monotonic()
    stacker = _stacker(settings, None)
    if reference_place(settings.reference, len(frames)) in (0, len(frames) - 1):
        for frame in order[:AHEAD]:
            picture = pictures[frame.index]
            stacker.look_ahead(picture, frame.index, frame.z_um, None, frame.path.name)
    for done, frame in enumerate(order, start=1):
        with suppress(AlignError):  # left out, and reported so
            stacker.add(pictures[frame.index], frame.index, frame.z_um, frame.path.name)
        on_progress("stacking", done, len(order))
    check_company(stacker, order)
    return _finished(stacker, frames, order, started_s, on_progress)


def write_stacked(stacked: Stacked, outputs: StackOutputs) -> tuple[str, ...]:
    """Write a stack's picture, and what else is asked for; each file whole or not at all.

    Returns
    -------
    tuple of str
        One sentence for each part of the reference frame's metadata that was left out.

    Raises
    ------
    StackError
        A file cannot be written, or nothing is left by the crop.
    """
    fused = stacked.fused
    x, y, width, height = fused.valid_rect
    kept = (slice(None), slice(None))
    if outputs.crop:
        if width == 0 or height == 0:
            raise StackError("no pixel is covered by all frames; stack without --crop valid")
        kept = (slice(y, y + height), slice(x, x + width))
    metadata = result_metadata(stacked.order[0].path, len(stacked.fused.reports))
    planes = None
    if outputs.depth is not None:
        planes = (outputs.depth, fused.depth[kept], fused.confidence[kept])
    left_out = write_beside((outputs.picture, fused.image[kept], metadata), planes)
    if outputs.alignment is not None:
        save_alignment(outputs.alignment, stacked.alignment)
    return left_out


def _stacker(settings: StackSettings, known: Alignment | None) -> Stacker:
    return Stacker(
        settings.quality,
        settings.motion or Motion.SIMILARITY,
        known,
        equalise=settings.equalise,
        method=settings.method,
        allowed_bytes=settings.memory_bytes,
        scratch=settings.scratch,
        depth=settings.depth,
    )


def _finished(
    stacker: Stacker,
    frames: list[Source],
    order: list[Source],
    started_s: float,
    on_progress: Progress,
) -> Stacked:
    last_frame_s = time.monotonic()
    on_progress("finishing", len(order), len(order))
    fused = stacker.finish()
    done_s = time.monotonic()
    on_progress("writing", len(order), len(order))
    return Stacked(
        fused,
        tuple(frames),
        tuple(order),
        stacker.alignment,
        done_s - started_s,
        done_s - last_frame_s,
    )


def _with_positions(frames: list[Source], path: Path) -> list[Source]:
    """The frames with their positions and scales from a file."""
    known = load_slices(path)
    if len(known) != len(frames):
        raise ConfigError(
            f"{path} describes {len(known)} slices, and there are {len(frames)} frames to stack"
        )
    return [
        replace(frame, z_um=one.position_um, scale=one.scale)
        for frame, one in zip(frames, known, strict=True)
    ]


def _known_alignment(
    sources: Sequence[Path], frames: list[Source], settings: StackSettings
) -> Alignment | None:
    """The alignment that is reused: as asked for, or a run's own."""
    given = settings.alignment
    is_run = (sources[0] / JOURNAL).exists()
    if given is None:
        return run_alignment(sources[0]) if is_run and settings.motion is None else None
    known = run_alignment(given) if given.is_dir() else load_alignment(given)
    if known is None:
        raise ConfigError(f"{given} is a run that has not aligned all of its frames")
    return known.of_slices([frame.index for frame in frames])
