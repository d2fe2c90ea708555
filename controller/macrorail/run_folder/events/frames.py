"""One slice on its way: exposed, counted, judged by its image, aligned, fused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from macrorail.run_folder.events.codec import Event


@dataclass(frozen=True, kw_only=True)
class ExposureIntended(Event, kind="intent"):
    """The shutter is about to open; written before it does."""

    slice: int
    attempt: int
    target_um: float
    achieved_um: float
    dof_um: float


@dataclass(frozen=True, kw_only=True)
class ExposureMade(Event, kind="exposed"):
    """The shutter has closed; the frame is still in the camera.

    ``exposure`` is the camera's own count.
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
        Name without suffix of the frame that the bracket is merged into.
    ev
        Exposure compensation.
    frame
        This exposure's file, relative to the run folder.
    """

    stem: str
    ev: float
    frame: str
    sha256: str
    size_bytes: int
    camera_name: str


@dataclass(frozen=True, kw_only=True)
class ExposureDiscarded(Event, kind="discarded"):
    """An exposure that an interruption cut short has no usable frame; its slice is shot again."""

    slice: int
    attempt: int


@dataclass(frozen=True, kw_only=True)
class SliceCounted(Event, kind="counted"):
    """A slice is done: its frame is on disk and checked.

    Attributes
    ----------
    dof_um
        Depth of field there.
    adopted
        The frame was found on disk after an interruption.
    frame
        Relative to the run folder.
    camera_name
        The file's name in the camera.
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
    """A slice is left out for now; the sweep returns to it at its end."""

    slice: int
    why: str


@dataclass(frozen=True, kw_only=True)
class SlicesInserted(Event, kind="inserted"):
    """Slices are added to the plan, at ``positions_um``."""

    slices: Sequence[int]
    positions_um: Sequence[float]
    why: str


class Verdict(StrEnum):
    """What is done with a frame after its image was judged."""

    FUSE = "fuse"
    RESHOOT = "reshoot"
    PAUSE = "pause"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class FrameJudged(Event, kind="judged"):
    """A frame was judged by its image.

    Attributes
    ----------
    action
        A value of :class:`Verdict`.
    faults
        Kinds of fault that it shows.
    """

    slice: int
    attempt: int
    action: str
    faults: Sequence[str]
    why: str


@dataclass(frozen=True, kw_only=True)
class FrameRejected(Event, kind="rejected"):
    """The frame of a counted slice is set aside; the slice is shot again."""

    slice: int
    attempt: int


@dataclass(frozen=True, kw_only=True)
class SlicesRelocated(Event, kind="relocated"):
    """The axis had lost steps; the images show where these slices truly are."""

    slices: Sequence[int]
    achieved_um: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class FrameLeftOut(Event, kind="aligned"):
    """A frame could not be aligned; the picture is made without it."""

    slice: int
    error: str


@dataclass(frozen=True, kw_only=True)
class FrameAligned(Event, kind="aligned"):
    """A frame was aligned and blended.

    Attributes
    ----------
    transform
        2x3, from the frame to the reference, pixels.
    correlation
        With its neighbour, -1..1.
    expected
        Whether the optics' expectation was used instead of a measurement.
    gains
        Brightness factors, one for each channel.
    scale
        Expected size of the picture relative to the reference's.
    closing_px
        Difference between two ways of aligning it, pixels; ``None`` when not checked.
    trust
        How far the transform can be trusted, 0..1; ``None`` when it was given.
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
    """How well the slices cover the range.

    Attributes
    ----------
    near_covered, far_covered
        Whether both ends are within a slice's depth of field.
    minimum_overlap
        Required, 0..1.
    gaps
        Pairs of slices that overlap too little: ``near_um``, ``far_um``, ``distance_um``,
        ``dof_um``, ``overlap``.
    overlaps
        ``position_um`` of each slice and its ``overlap`` with the one before.
    images
        What the images prove; ``None`` when they were not examined.
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
        Relative to the run folder.
    files
        SHA-256 of each file that was written, by name.
    valid_rect
        x, y, width and height of the part that all frames cover, pixels.
    quality
        Figures of the alignment and of the depth map.
    peak_rss_mb
        Memory that align/blend used, MB.
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
