"""Align/blend of one stack: frames are added one at a time; the result is a picture and its depth.

Memory use does not depend on the number of frames. The result depends only on the frames, their
positions and the order in which they are added. The same frames in the same order give the same
pixels, whether they arrive during a run or are read from a folder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from macrorail.errors import AlignError, StackError
from macrorail.stacking.align import Aligner, Placement
from macrorail.stacking.alignment import Alignment, FrameTransform
from macrorail.stacking.blend import Blender, Quality
from macrorail.stacking.depth import DepthMap, DepthTracker
from macrorail.stacking.exposure import NO_GAINS, Equalisation, Equaliser, Gains, apply_gains
from macrorail.stacking.feather import feather
from macrorail.stacking.images import Picture, read_picture
from macrorail.stacking.look import Look, look
from macrorail.stacking.loop_closure import ClosureError
from macrorail.stacking.memory import fits
from macrorail.stacking.reach import reached_spans, valid_rect
from macrorail.stacking.register import Motion, Transform
from macrorail.stacking.resample import lay
from macrorail.stacking.smooth import Method, SmoothBlender, mix
from macrorail.stacking.store import Store

#: Number of frames at the beginning that should be examined before the first is aligned.
AHEAD = 6
#: Frames with a side shorter than this cannot be stacked.
SMALLEST_PX = 16


@dataclass(frozen=True)
class FrameReport:
    """How one frame was aligned and blended.

    Attributes
    ----------
    index
        Index of the slice.
    name
        File name, or the index when the frame came from memory.
    transform
        (2, 3) float64: frame pixel coordinates (x, y; the first pixel's centre is 0, 0) to
        reference pixel coordinates.
    correlation
        Correlation of fine detail with the neighbouring frame it was aligned to, -1..1; 1 for the
        reference.
    expected
        True when the frame shows too little detail to align it and was placed where the steady
        course of the axis predicts it.
    sharpness
        Mean over the frame of the sharpness used for the weights, 8-bit display steps, >= 0.
    gains
        Factors by which blue, green and red light were multiplied to match the reference.
    scale
        Scale predicted from the optics; ``None`` when the optics are not known.
    closing
        Comparison of the chain of neighbours with a direct alignment; only for every third frame.
    trust
        How far the transform can be trusted, 0..1; ``None`` when the transform was given.
    doubts
        Sentences about possible faults of the frame.
    """

    index: int
    name: str
    transform: Transform
    correlation: float
    expected: bool
    sharpness: float
    gains: Gains = NO_GAINS
    scale: float | None = None
    closing: ClosureError | None = None
    trust: float | None = None
    doubts: tuple[str, ...] = ()

    @property
    def doubt(self) -> str | None:
        """Text about possible faults of this frame; ``None`` when there are no such faults."""
        doubts = list(self.doubts)
        if self.closing is not None and self.closing.is_doubtful:
            doubts.append(
                f"{self.name} may be misaligned: direct alignment to {self.closing.onto} differs "
                f"by {self.closing.error_px:.1f} px, at most {self.closing.bound_px} px are "
                f"expected; look at the edges there, or leave the frame out"
            )
        return "; ".join(doubts) or None


@dataclass(frozen=True)
class LeftOut:
    """A frame that was not used for the picture.

    Attributes
    ----------
    index
        Index of the slice.
    name
        Name of the frame in messages.
    reason
        Reason why the frame could not be used, a sentence without its full stop; names the frame.
    """

    index: int
    name: str
    reason: str


@dataclass(frozen=True)
class Fused:
    """A finished stack.

    Attributes
    ----------
    image
        (height, width, 3) uint16, BGR, sRGB-encoded, in the reference frame's geometry.
    depth_map
        Depth and its confidence; ``None`` if depth was not requested. Depth is in micrometres if
        every frame was added with its position, otherwise in slices.
    valid_rect
        (x, y, width, height): the part of the picture that every frame covers.
    reports
        Reports of the fused frames in the order of fusion.
    left_out
        Frames that could not be aligned or are unusable.
    """

    image: NDArray[np.uint16]
    depth_map: DepthMap | None
    valid_rect: tuple[int, int, int, int]
    reports: tuple[FrameReport, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def doubts(self) -> list[str]:
        """Return sentences about possible faults of single frames; left-out frames come first."""
        kept = [report.doubt for report in self.reports if report.doubt is not None]
        return [f"left out: {one.reason}" for one in self.left_out] + kept

    @property
    def depth(self) -> NDArray[np.float32]:
        """The depth of :attr:`depth_map`, (height, width) float32."""
        return self._mapped().depth

    @property
    def confidence(self) -> NDArray[np.float32]:
        """The confidence of :attr:`depth_map`, (height, width) float32, 0..1."""
        return self._mapped().confidence

    def _mapped(self) -> DepthMap:
        if self.depth_map is None:
            raise StackError("this stack was made without its depth; use Stacker(depth=True)")
        return self.depth_map


@dataclass(frozen=True)
class Placed:
    """A frame with its transform to the reference; returned by :meth:`Stacker.place`."""

    picture: Picture
    index: int
    z_um: float | None
    name: str
    scale: float | None
    placement: Placement

    @property
    def position(self) -> float:
        """Position along the axis in micrometres, or the index of the slice if not known."""
        return float(self.index) if self.z_um is None else self.z_um


class Stacker:
    """Fuses the frames of one stack; the first frame added is the reference.

    Parameters
    ----------
    quality
        ``fast`` takes less time and memory than ``best``; see :class:`Blender`.
    motion
        What may differ between two frames besides their focus.
    alignment
        Saved transforms, used instead of aligning the frames; matched to frames by slice index.
    equalise
        Adjust the brightness and white balance of all frames to those of the reference.
    method
        How frames are fused. All methods except the pyramid need a third more memory.
    allowed_bytes
        Memory in bytes that the process may use. Arrays that do not fit are kept in ``scratch``.
    scratch
        Folder for temporary files.
    depth
        Compute the depth map, too.
    """

    def __init__(
        self,
        quality: Quality = "best",
        motion: Motion = Motion.SIMILARITY,
        alignment: Alignment | None = None,
        equalise: bool = True,
        method: Method = Method.PYRAMID,
        allowed_bytes: float = math.inf,
        scratch: Path = Path(),
        depth: bool = True,
    ) -> None:
        self.quality: Quality = quality
        self._given = alignment
        self._equalises = equalise
        self._method = method
        self._allowed_bytes = allowed_bytes
        self._scratch = scratch
        self._wants_depth = depth or method is Method.AUTO
        self._store = Store()
        self._smooth: SmoothBlender | None = None
        self._equaliser: Equaliser | None = None
        self._aligner = Aligner(motion)
        self._ahead: list[Look] = []
        self._blender: Blender | None = None
        self._depth: DepthTracker | None = None
        self._shape: tuple[int, ...] = ()
        self._type: np.dtype[np.generic] | None = None
        self._placed: list[int] = []
        self._reports: list[FrameReport] = []
        self._left_out: list[LeftOut] = []
        self._positions: list[float] = []
        self._knows_um: bool | None = None
        self._read: Picture | None = None
        self._laid: Picture | None = None
        self._reference: Picture | None = None

    @property
    def reports(self) -> tuple[FrameReport, ...]:
        """Reports of the frames added so far, in the order of fusion."""
        return tuple(self._reports)

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Frames that :meth:`place` has refused so far; later results do not depend on them."""
        return tuple(self._left_out)

    @property
    def alignment(self) -> Alignment:
        """Transforms of the frames added so far, to align other frames of the same slices."""
        frames = {
            report.index: FrameTransform(
                report.transform, report.correlation, report.expected, report.trust
            )
            for report in self._reports
        }
        return Alignment(frames, (self._shape[1], self._shape[0]) if self._shape else None)

    def look_ahead(
        self,
        frame: Picture | Path,
        index: int,
        z_um: float | None,
        scale: float | None = None,
        name: str | None = None,
    ) -> None:
        """Examine one of the first :data:`AHEAD` frames, in their order, before any frame is added.

        A blurred first frame is then aligned by means of the sharper frames after it. Afterwards
        add all frames. The parameters are those of :meth:`add`.

        Raises
        ------
        StackError
            The frame cannot be read.
        """
        if self._given is not None:
            return
        picture = self._picture(frame)
        if min(picture.shape[:2]) < SMALLEST_PX:
            return  # ``place`` reports why the frame is refused
        if not self._ahead:
            self._fits(picture)
        if not self._ahead or picture.shape == self._ahead[0].shape:
            position = float(index) if z_um is None else z_um
            if name is None:
                name = frame.name if isinstance(frame, Path) else f"frame {index}"
            self._ahead.append(look(index, position, picture, name, scale))

    def add(
        self,
        frame: Picture | Path,
        index: int | None = None,
        z_um: float | None = None,
        name: str | None = None,
        scale: float | None = None,
    ) -> FrameReport:
        """Align one frame and blend it.

        Parameters
        ----------
        frame
            Path of a picture file, or a picture (height, width, 3) BGR uint8/uint16.
        index
            Index of the slice, >= 0 and unique; counted from 0 if not given.
        z_um
            Position of the slice along the axis in micrometres. Give the position for all frames of
            a stack or for none.
        name
            Name of the frame in messages; the file name if not given.
        scale
            Factor by which, according to the optics, the frame has to be enlarged to fit the first
            frame; the initial value for its alignment.

        Raises
        ------
        AlignError
            The frame cannot be aligned. It has not been blended, and further frames can be added.
        StackError
            The frame cannot be read, or differs in size or type from the first frame, or its index
            or position is not allowed.
        """
        placed = self.place(frame, index, z_um, name, scale)
        self.lay(placed)
        return self.blend(placed)

    def place(
        self,
        frame: Picture | Path,
        index: int | None = None,
        z_um: float | None = None,
        name: str | None = None,
        scale: float | None = None,
    ) -> Placed:
        """Align a frame: the first part of :meth:`add`, with the same parameters and errors.

        Another thread may call this while frames placed earlier are resampled and blended.
        """
        index = len(self._placed) if index is None else index
        if name is None:
            name = frame.name if isinstance(frame, Path) else f"frame {index}"
        if index in self._placed:
            raise StackError(f"{name}: slice {index} is already in this stack")
        picture = self._picture(frame)
        self._check(picture, z_um, name)
        if not self._placed:
            self._fits(picture)
        position = float(index) if z_um is None else z_um
        try:
            placement = self._place(index, position, picture, name, scale)
        except AlignError as error:
            self._left_out.append(LeftOut(index, name, str(error)))
            raise
        self._shape, self._type, self._knows_um = picture.shape, picture.dtype, z_um is not None
        self._placed.append(index)
        return Placed(picture, index, z_um, name, scale, placement)

    def lay(self, placed: Placed) -> None:
        """Resample a placed frame onto the reference: the second part of :meth:`add`.

        The frame's original pixels are not needed after this call.
        """
        if self._laid is None:
            self._laid = np.empty_like(placed.picture)
        if placed.placement.neighbour is None:
            self._laid[:] = placed.picture
        else:
            lay(placed.picture, _inverse(placed.placement.transform), self._laid)

    def blend(self, placed: Placed) -> FrameReport:
        """Blend the frame that was resampled last: the last part of :meth:`add`."""
        if self._laid is None:
            raise StackError("there is no frame to blend")
        laid, transform = self._laid, placed.placement.transform
        if self._blender is None:
            self._begin(laid)
            assert self._blender is not None
        to_frame = _inverse(transform)
        light = Equalisation(NO_GAINS, False)
        if placed.placement.neighbour is not None:
            light = self._equalise(laid, transform)
            assert self._reference is not None
            feather(laid, self._reference, to_frame, self._store)
        doubts = list(placed.placement.doubts)
        if light.other_white:
            blue, green, red = light.gains
            doubts.append(
                f"{placed.name} has another white balance than the reference: its red was "
                f"multiplied by {red:.2f}, green by {green:.2f}, blue by {blue:.2f}"
            )
        sharpness = self._blender.add(laid, to_frame)
        if self._smooth is not None:
            height, width = laid.shape[:2]
            spans = reached_spans(to_frame, (height, width), 0, (height, width))
            halvings = self._blender.halvings_of_sharpness
            self._smooth.add(laid, spans, sharpness, halvings)
        if self._depth is not None:
            self._depth.add(placed.index, placed.position, sharpness)
        self._positions.append(placed.position)
        report = FrameReport(
            placed.index,
            placed.name,
            transform,
            placed.placement.correlation,
            placed.placement.expected,
            float(sharpness.mean()),
            light.gains,
            placed.scale,
            placed.placement.closing,
            placed.placement.trust,
            tuple(doubts),
        )
        self._reports.append(report)
        return report

    def _picture(self, frame: Picture | Path) -> Picture:
        """Return the given picture, or read its file into the memory of the previous picture."""
        if not isinstance(frame, Path):
            self._read = None
            return frame
        self._read = read_picture(frame, self._read)
        return self._read

    def _check(self, picture: Picture, z_um: float | None, name: str) -> None:
        height, width = picture.shape[:2]
        if min(height, width) < SMALLEST_PX:
            raise StackError(
                f"{name} is {width} x {height} px; a stack needs frames of at least "
                f"{SMALLEST_PX} px each way"
            )
        if not self._placed:
            return
        if picture.shape != self._shape:
            raise StackError(
                f"{name} is {picture.shape[1]} x {picture.shape[0]} px, the frames before it are "
                f"{self._shape[1]} x {self._shape[0]} px; a stack has frames of one size"
            )
        if picture.dtype != self._type:
            raise StackError(
                f"{name} has {picture.dtype} pixels, the frames before it {self._type}; a stack "
                f"has frames of one type"
            )
        if (z_um is not None) != self._knows_um:
            raise StackError(f"{name}: positions are given for all frames of a stack or for none")

    def _place(
        self, index: int, position: float, picture: Picture, name: str, scale: float | None
    ) -> Placement:
        if self._given is None:
            if self._ahead:
                self._aligner.survey(self._ahead)
                self._ahead.clear()
            known = self._aligner.surveyed(index)
            return known or self._aligner.place(look(index, position, picture, name, scale))
        height, width = picture.shape[:2]
        if self._given.size is not None and self._given.size != (width, height):
            raise StackError(
                f"{name} is {width} x {height} px, the alignment is of frames of "
                f"{self._given.size[0]} x {self._given.size[1]} px; align this stack by itself"
            )
        reference = self._placed[0] if self._placed else index
        given = self._given.on(index, reference, name)
        onto = None if index == reference else reference
        return Placement(
            given.transform, given.correlation, onto, given.expected, trust=given.trust
        )

    def _fits(self, picture: Picture) -> bool:
        """Return whether the sums fit in memory; raise if not even the frames fit."""
        height, width = picture.shape[:2]
        bits, smooth = picture.dtype.itemsize * 8, self._method is not Method.PYRAMID
        return fits(width, height, bits, self.quality, smooth, self._allowed_bytes)

    def _begin(self, picture: Picture) -> None:
        height, width = picture.shape[:2]
        if not self._fits(picture):
            self._store = Store(self._scratch)
        self._blender = Blender(height, width, self.quality, self._store)
        if self._wants_depth:
            self._depth = DepthTracker(height, width, self._blender.halvings_of_sharpness)
        if self._method is not Method.PYRAMID:
            self._smooth = SmoothBlender(height, width, self._store)
        self._reference = self._store.empty(picture.shape, picture.dtype.type)
        self._reference[:] = picture
        if self._equalises:
            self._equaliser = Equaliser(picture)

    def _equalise(self, aligned: Picture, transform: Transform) -> Equalisation:
        """Adjust a frame's brightness and white balance to the reference's, in place."""
        if self._equaliser is None:
            return Equalisation(NO_GAINS, False)
        light = self._equaliser.compare(aligned, valid_rect([transform], aligned.shape[:2]))
        apply_gains(aligned, light.gains, aligned)
        return light

    def preview(self, widest_px: int) -> Picture:
        """Return the picture fused so far, (height, width, 3) BGR uint16.

        The picture is reduced to a width of at most ``widest_px``.

        Raises
        ------
        StackError
            No frame was added.
        """
        if self._blender is None:
            raise StackError("there is no frame to show")
        return self._blender.preview(widest_px)

    def finish(self) -> Fused:
        """Return the fused picture and its depth. The stacker cannot be used after this call.

        Raises
        ------
        StackError
            No frame was added.
        """
        if self._blender is None:
            raise StackError("there is no frame to stack")
        # Release each part before memory for the next is needed: memory use peaks here.
        self._read = self._laid = self._reference = None
        image = self._blender.finish()
        self._blender = None
        found = None if self._depth is None else self._depth.finish(self._store)
        self._depth = None
        if self._smooth is not None:
            smooth, self._smooth = self._smooth.finish(), None
            gaps = np.diff(np.sort(self._positions))
            if self._method is Method.DEPTH_MAP:
                image = smooth
            elif len(gaps) and found is not None:
                mix(smooth, image, found.depth, float(np.median(gaps)), self._store)
        rect = valid_rect([report.transform for report in self._reports], image.shape[:2])
        return Fused(image, found, rect, self.reports, self.left_out)


def rehearse(quality: Quality) -> None:
    """Load the compiled kernels in advance by stacking two tiny frames."""
    stacker = Stacker(quality)
    frame = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    for _ in range(2):
        stacker.add(frame)
    stacker.finish()


def _inverse(transform: Transform) -> Transform:
    return np.ascontiguousarray(np.linalg.inv(np.vstack([transform, [0, 0, 1]]))[:2])
