"""Aligns and blends existing photographs, or restacks a run."""

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
    check_not_replaced,
    chosen,
    fusion_order,
    load_frames,
    look_ahead,
    reference_place,
    require_more_than_reference,
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
"""Called with the current step, the number of frames done, and the total number of frames."""


@dataclass(frozen=True)
class StackSettings:
    """Settings of a stack.

    Attributes
    ----------
    quality
        ``fast`` takes less time and memory; ``best`` preserves fine colour detail.
    reference
        Frame to which the others are aligned: ``first``, ``middle``, or a frame's number from 1.
    motion
        Kind of geometric transform between frames. ``None`` uses the recorded alignment for a
        run's frames, and a similarity for other frames.
    alignment
        File or run folder with an alignment of the same slices, which is used and not recomputed.
    slices
        File with the positions of the frames: a run's ``plan.json``, or a CSV table.
    only
        Numbers of the frames to use, such as ``3-9,12``; ``None`` uses all frames.
    equalise
        Match the brightness and white balance of all frames to the reference frame.
    method
        Method of blending the frames.
    memory_bytes
        Largest amount of memory to use, bytes; data beyond this is kept in a file in ``scratch``.
    scratch
        Folder for temporary files.
    depth
        Whether to compute the depth.
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
    """The output files of a stack.

    Attributes
    ----------
    picture
        Path of the picture: ``.tif`` (16 bit), ``.png`` or ``.jpg``.
    depth
        Path of the depth map (``.tif``); the confidence map is written to the same folder.
    crop
        Crop the results to the area that all frames cover.
    alignment
        Path of a JSON file for the alignment of the frames.
    """

    picture: Path
    depth: Path | None = None
    crop: bool = False
    alignment: Path | None = None

    def check(self, loaded: StackFrames) -> None:
        """Check, before any work is done, that all results can be written.

        Raises
        ------
        ConfigError
            A result would overwrite one of the frames.
        StackError
            A folder is missing, read-only or full, or a file type is not supported.
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
    """The results of stacking, in memory.

    Attributes
    ----------
    fused
        Picture, depth and reports.
    frames
        The frames in the order in which they were given.
    order
        The frames in the order of fusion; the first is the reference frame.
    alignment
        The alignment of the frames.
    seconds
        Wall time of the complete stack, seconds.
    seconds_after_last_frame
        Wall time from blending the last frame to the end of the stack, seconds.
    passed_over
        Files that were not used as frames.
    frame_doubts
        Doubts about the choice of files and about the order of the frames.
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
        """Align/blend report of each frame in :attr:`frames`; ``None`` for a frame left out."""
        known = {report.index: report for report in self.fused.reports}
        return [known.get(frame.index) for frame in self.frames]

    @property
    def doubts(self) -> list[str]:
        """Doubts about the frames, and the reasons why frames were left out."""
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
        Output files, which are checked before the first frame is read.
    on_note
        Called before the first frame is read, with each note about skipped files and doubtful
        frames.

    Raises
    ------
    ConfigError
        The sources or the settings are not valid.
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
        Each picture is (height, width, 3) uint8 or uint16, BGR, sRGB-encoded. All pictures have
        the same shape and type.
    z_um
        Positions of the pictures along the axis, micrometres.

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
        with suppress(AlignError):  # the frame is left out and reported as such
            stacker.add(pictures[frame.index], frame.index, frame.z_um, frame.path.name)
        on_progress("stacking", done, len(order))
    require_more_than_reference(stacker, order)
    return _finished(stacker, frames, order, started_s, on_progress)


def write_stacked(stacked: Stacked, outputs: StackOutputs) -> tuple[str, ...]:
    """Write a stack's picture and the other requested files; an error leaves no incomplete file.

    Returns
    -------
    tuple of str
        One sentence for each part of the reference frame's metadata that was left out.

    Raises
    ------
    StackError
        A file cannot be written, or cropping was requested and no area is covered by all frames.
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
    """Return the frames with the positions and scales that the file at ``path`` gives."""
    known = load_slices(path)
    if len(known) != len(frames):
        raise ConfigError(
            f"{path} describes {len(known)} slices, but there are {len(frames)} frames to stack"
        )
    return [
        replace(frame, z_um=one.position_um, scale=one.scale)
        for frame, one in zip(frames, known, strict=True)
    ]


def _known_alignment(
    sources: Sequence[Path], frames: list[Source], settings: StackSettings
) -> Alignment | None:
    """Return the alignment to reuse; ``None`` if the alignment must be computed."""
    given = settings.alignment
    is_run = (sources[0] / JOURNAL).exists()
    if given is None:
        return run_alignment(sources[0]) if is_run and settings.motion is None else None
    known = run_alignment(given) if given.is_dir() else load_alignment(given)
    if known is None:
        raise ConfigError(f"{given} is a run that has not aligned all of its frames")
    return known.of_slices([frame.index for frame in frames])
