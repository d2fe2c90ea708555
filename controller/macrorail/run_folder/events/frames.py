"""Events of a slice: exposed, counted, checked by its image, aligned, fused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from macrorail.run_folder.events.codec import Event


@dataclass(frozen=True, kw_only=True)
class ExposureIntended(Event, kind="intent"):
    """The shutter is about to open; this line is written before the exposure."""

    slice: int
    attempt: int
    target_um: float
    achieved_um: float
    dof_um: float


@dataclass(frozen=True, kw_only=True)
class ExposureMade(Event, kind="exposed"):
    """The shutter has closed; the frame is still in the camera.

    ``exposure`` is the camera's exposure counter.
    """

    slice: int
    attempt: int
    exposure: int
    started_s: float
    ended_s: float


@dataclass(frozen=True, kw_only=True)
class BracketExposed(Event, kind="bracketed"):
    """One exposure of a bracket is on disk.

    Attributes
    ----------
    stem
        File name, without suffix, of the frame that the bracket is merged into.
    ev
        Exposure compensation, EV.
    frame
        Path of this exposure's file, relative to the run folder.
    """

    stem: str
    ev: float
    frame: str
    sha256: str
    size_bytes: int
    camera_name: str


@dataclass(frozen=True, kw_only=True)
class ExposureDiscarded(Event, kind="discarded"):
    """An interrupted exposure left no usable frame; its slice is shot again."""

    slice: int
    attempt: int


@dataclass(frozen=True, kw_only=True)
class SliceCounted(Event, kind="counted"):
    """A slice is done: its frame is on disk and checked.

    Attributes
    ----------
    dof_um
        Depth of field at the slice, micrometres.
    adopted
        Whether the frame was found on disk after an interruption.
    frame
        Path of the frame, relative to the run folder.
    camera_name
        Name of the file in the camera.
    """

    slice: int
    attempt: int
    target_um: float
    achieved_um: float
    dof_um: float
    adopted: bool
    frame: str
    sha256: str
    size_bytes: int
    camera_name: str


@dataclass(frozen=True, kw_only=True)
class SliceLeftOut(Event, kind="left_out"):
    """A slice is left out for now; it is tried again after the other slices."""

    slice: int
    why: str


@dataclass(frozen=True, kw_only=True)
class SlicesInserted(Event, kind="inserted"):
    """Slices are added to the plan, at ``positions_um``."""

    slices: Sequence[int]
    positions_um: Sequence[float]
    why: str


class Verdict(StrEnum):
    """Action that the run takes with a frame after its image was checked."""

    FUSE = "fuse"
    RESHOOT = "reshoot"
    PAUSE = "pause"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class FrameJudged(Event, kind="judged"):
    """The image of a frame was checked.

    Attributes
    ----------
    action
        A value of :class:`Verdict`.
    faults
        Kinds of fault that the image shows.
    why
        The faults as text.
    """

    slice: int
    attempt: int
    action: str
    faults: Sequence[str]
    why: str


@dataclass(frozen=True, kw_only=True)
class FrameRejected(Event, kind="rejected"):
    """The frame of a counted slice was set aside, and the slice is shot again."""

    slice: int
    attempt: int


@dataclass(frozen=True, kw_only=True)
class SlicesRelocated(Event, kind="relocated"):
    """The axis had lost steps; ``achieved_um`` are the slices' true positions, from the images."""

    slices: Sequence[int]
    achieved_um: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class FrameLeftOut(Event, kind="aligned"):
    """A frame could not be aligned; it is left out of the fused picture."""

    slice: int
    error: str


@dataclass(frozen=True, kw_only=True)
class FrameAligned(Event, kind="aligned"):
    """A frame was aligned and blended.

    Attributes
    ----------
    transform
        2x3 affine transform from the frame to the reference, pixels.
    correlation
        Correlation with the neighbouring frame, -1..1.
    expected
        Whether the transform was computed from the optics, because it could not be measured.
    sharpness
        Mean detail of the frame.
    gains
        Brightness factors, one for each channel.
    scale
        Expected magnification relative to the reference frame.
    closing_px
        Difference in pixels between two ways of aligning the frame; ``None`` when not checked.
    trust
        How far the transform can be trusted, 0..1; ``None`` when the transform was supplied.
    doubt
        Why the alignment may be wrong; ``None`` when nothing suggests it.
    """

    slice: int
    transform: Sequence[Sequence[float]]
    correlation: float
    expected: bool
    sharpness: float
    gains: Sequence[float]
    scale: float | None = None
    closing_px: float | None = None
    trust: float | None = None
    doubt: str | None = None


@dataclass(frozen=True, kw_only=True)
class CoverageAssessed(Event, kind="coverage"):
    """The coverage of the range by the slices was assessed.

    Attributes
    ----------
    proven
        Whether the coverage is proven.
    near_um, far_um
        Ends of the range.
    near_covered, far_covered
        Whether the near and the far end are within a slice's depth of field.
    minimum_overlap
        Overlap that is required between neighbouring slices, 0..1.
    gaps
        Pairs of slices that overlap too little: ``near_um``, ``far_um``, ``distance_um``,
        ``dof_um``, ``overlap``.
    overlaps
        ``position_um`` of each slice, and its ``overlap`` with the previous slice.
    images
        Results of checking the coverage with the images; ``None`` when the images were not used.
    """

    proven: bool
    near_um: float
    far_um: float
    near_covered: bool
    far_covered: bool
    minimum_overlap: float
    gaps: Sequence[Mapping[str, float]]
    overlaps: Sequence[Mapping[str, Any]]
    images: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class PictureFused(Event, kind="fused"):
    """The fused picture is on disk.

    Attributes
    ----------
    path
        Path of the picture, relative to the run folder.
    sha256
        SHA-256 of the picture.
    files
        SHA-256 of each file that was written, by file name.
    valid_rect
        x, y, width and height in pixels of the area that all frames cover.
    quality
        Quality measures of the alignment and of the depth map.
    peak_rss_mb
        Peak memory use of align/blend, MB.
    left_out
        Slices that could not be aligned.
    """

    path: str
    sha256: str
    files: Mapping[str, str]
    valid_rect: Sequence[int]
    um_per_px: float
    quality: Mapping[str, Any]
    seconds_after_last_frame: float
    peak_rss_mb: float
    left_out: Sequence[int]
