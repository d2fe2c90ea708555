"""Finding how each frame lies on the reference, to a fraction of a pixel, neighbour by neighbour.

Neighbouring slices look alike, distant ones do not, so each frame is aligned to the nearest frame
already placed and the transforms are chained. A transform takes a frame's pixel coordinates
(x, y; the centre of the first pixel is 0, 0) to the reference frame's.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from controller.errors import AlignError
from controller.stacking.images import Picture, to_8_bit
from controller.stacking.register import Motion, Scale, Transform, enlarge, prepare, register
from controller.stacking.trend import Trend

# Long side of the picture in which the last refinement is made, and of the one that starts it.
_FINE_PX = 1500
_COARSE_PX = 200
# Long side of the picture by which it is judged whether a frame belongs to the stack.
_FORMS_PX = 60
# Large forms, seen in the pictures at their smallest, correlate far above this between slices.
_LEAST_LIKENESS = 0.6
# Contrast of those forms, in 8-bit display steps, below which there is nothing to compare.
_FORMLESS = 1.5
# What one step of an axis may do to the picture, at most.
_LARGEST_SCALE_CHANGE = 0.08
_LARGEST_SHIFT = 0.2
# What may change the picture's size; without it, what the optics tell of that is not wanted.
_GROWS = (Motion.SIMILARITY, Motion.AFFINE)


@dataclass(frozen=True)
class Placement:
    """How a frame lies on the reference.

    Attributes
    ----------
    transform
        (2, 3) float64: frame pixel coordinates to reference pixel coordinates.
    correlation
        Of fine detail with the neighbour it was aligned to, -1..1; 1 for the reference itself.
    neighbour
        Index of that neighbour; ``None`` for the reference.
    expected
        True when the frame shows too little to follow and lies where the axis's steady course
        puts it.
    """

    transform: Transform
    correlation: float
    neighbour: int | None
    expected: bool


@dataclass(frozen=True)
class Look:
    """What alignment looks at of a frame: see :func:`look`.

    Attributes
    ----------
    index
        What the frame is called in ``Placement.neighbour``.
    position
        Where it lies along the axis, in any unit: its neighbour is the placed frame nearest to it.
    scale
        Where the optics are known: by what the frame has to be enlarged to fit the reference, or
        any other frame, but the same one for all.
    name
        What errors call the frame.
    shape
        Of the picture.
    scales, forms
        The picture, small and grey, and as defocus leaves it alone.
    """

    index: int
    position: float
    scale: float | None
    name: str
    shape: tuple[int, ...]
    scales: list[Scale]
    forms: NDArray[np.float32]


def look(
    index: int, position: float, picture: Picture, name: str, scale: float | None = None
) -> Look:
    """Look at one frame: ``picture`` is (height, width, 3) BGR, the rest is :class:`Look`'s."""
    small = _shrink(picture)
    return Look(
        index, position, scale, name, picture.shape, prepare(small, _COARSE_PX), _forms(small)
    )


@dataclass(frozen=True)
class _Placed:
    frame: Look
    to_reference: Transform  # (3, 3)


class Aligner:
    """Places the frames of one stack, in whatever order they come; the first is the reference.

    Only the frames at both ends of what has been placed, and the last one, are kept (small and
    grey), so memory does not depend on the number of frames.
    """

    def __init__(self, motion: Motion = Motion.SIMILARITY) -> None:
        self._motion = motion
        self._begin()

    def _begin(self) -> None:
        self._kept: list[_Placed] = []
        self._trend: Trend | None = None
        self._surveyed: dict[int, Placement] = {}

    def survey(self, frames: Sequence[Look]) -> None:
        """Look at the first frames of a stack before the first is placed.

        An end of the stack shows little that is sharp, and where the reference lies everything
        depends on it. Therefore these are placed from the last one back to the reference, with
        what the sharper ones have told; :meth:`surveyed` then gives what was found. A frame that
        cannot be aligned is passed over, for :meth:`place` to say so.
        """
        found: dict[int, tuple[Placement, Transform]] = {}
        for frame in reversed(frames):
            with suppress(AlignError):
                placement = self.place(frame)
                found[frame.index] = placement, np.vstack([placement.transform, [0, 0, 1]])
        reference = frames[0].index
        if reference not in found or found[reference][0].neighbour is None:
            self._begin()  # nothing fits the reference
            return
        onto = np.linalg.inv(found[reference][1])
        self._kept = [replace(one, to_reference=onto @ one.to_reference) for one in self._kept]
        for frame, following in pairwise(one for one in frames if one.index in found):
            after, transform = found[following.index][1], found[frame.index][0]
            self._surveyed[following.index] = Placement(
                (onto @ after)[:2], transform.correlation, frame.index, transform.expected
            )
        self._surveyed[reference] = Placement(np.eye(2, 3), 1.0, None, False)

    def surveyed(self, index: int) -> Placement | None:
        """What the survey has found for a frame, once; ``None`` for those it did not place."""
        return self._surveyed.pop(index, None)

    def place(self, frame: Look) -> Placement:
        """Find the transform of one frame.

        Raises
        ------
        AlignError
            The frame does not look like its neighbour, or only by an impossible transform.
        """
        height, width = frame.scales[0].even.shape
        if self._trend is None:
            self._trend = Trend(width, height, self._motion)
            self._kept.append(_Placed(frame, np.eye(3)))
            return Placement(np.eye(2, 3), 1.0, None, False)
        nearest = min(self._kept, key=lambda one: abs(one.frame.position - frame.position))
        neighbour = nearest.frame
        travel = frame.position - neighbour.position
        told = None
        if frame.scale is not None and neighbour.scale is not None and self._motion in _GROWS:
            told = neighbour.scale / frame.scale
        if told is None:
            prior = self._trend.predict(travel)
        else:
            prior = self._trend.predict_scaled(travel, told)
        found = register(neighbour.scales, frame.scales, self._motion, prior)
        _check_likeness(neighbour.forms, frame.forms, found.warp, (height, width), frame.name)
        factor = _shrink_factor(frame.shape[0], frame.shape[1])
        to_neighbour = np.linalg.inv(enlarge(found.warp, factor)).astype(np.float64)
        _check_plausible(to_neighbour, frame.shape, frame.name)
        self._trend.learn(travel, found.warp, found.spread)
        if told is not None:
            self._trend.learn_scaled(told, prior, found.warp, found.spread)
        to_reference = nearest.to_reference @ to_neighbour
        self._keep(_Placed(frame, to_reference))
        return Placement(
            to_reference[:2].copy(), found.correlation, neighbour.index, found.expected
        )

    def _keep(self, placed: _Placed) -> None:
        known = [*self._kept, placed]
        lowest = min(known, key=lambda one: one.frame.position)
        highest = max(known, key=lambda one: one.frame.position)
        self._kept = [one for one in known if one is lowest or one is highest or one is placed]


def _shrink_factor(height: int, width: int) -> int:
    return max(1, round(max(height, width) / _FINE_PX))


def _shrink(picture: Picture) -> NDArray[np.float32]:
    height, width = picture.shape[:2]
    grey = cv2.cvtColor(to_8_bit(picture), cv2.COLOR_BGR2GRAY)
    factor = _shrink_factor(height, width)
    size = (width // factor, height // factor)
    # Cropped to a multiple of the factor so that a small pixel is exactly factor x factor pixels.
    grey = grey[: size[1] * factor, : size[0] * factor]
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)


def _forms(small: NDArray[np.float32]) -> NDArray[np.float32]:
    """The picture with its long side at ``_FORMS_PX``: what defocus leaves alone."""
    factor = max(small.shape) / _FORMS_PX
    size = (max(1, round(small.shape[1] / factor)), max(1, round(small.shape[0] / factor)))
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA), np.float32)


def _check_likeness(
    fixed: NDArray[np.float32],
    moving: NDArray[np.float32],
    warp: Transform,
    size: tuple[int, ...],
    name: str,
) -> None:
    """Refuse a frame whose large forms are not its neighbour's."""
    if max(float(fixed.std()), float(moving.std())) < _FORMLESS:
        return
    to_form = np.diag([fixed.shape[1] / size[1], fixed.shape[0] / size[0], 1.0])
    warp = to_form @ warp @ np.linalg.inv(to_form)
    height, width = fixed.shape
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(
        moving, warp[:2], (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    deviations = fixed - fixed.mean(), laid - laid.mean()
    energy = float((deviations[0] ** 2).sum()) * float((deviations[1] ** 2).sum())
    likeness = float((deviations[0] * deviations[1]).sum()) / max(energy, 1e-12) ** 0.5
    if likeness < _LEAST_LIKENESS:
        raise AlignError(
            f"{name} cannot be aligned to its neighbour: their large forms correlate by "
            f"{likeness:.2f}, at least {_LEAST_LIKENESS} is needed; leave the frame out or check "
            f"that it belongs to this stack"
        )


def _check_plausible(transform: Transform, shape: tuple[int, ...], name: str) -> None:
    height, width = shape[:2]
    middle = np.array([(width - 1) / 2, (height - 1) / 2, 1])
    shift = float(np.linalg.norm((transform @ middle - middle)[:2]))
    stretch = np.linalg.svd(transform[:2, :2], compute_uv=False)
    change = float(np.abs(stretch - 1).max())
    if change > _LARGEST_SCALE_CHANGE or shift > _LARGEST_SHIFT * max(height, width):
        raise AlignError(
            f"{name} would have to be scaled by {change:.1%} and shifted by {shift:.0f} px to lie "
            f"on its neighbour, more than a step of an axis does; leave the frame out or check "
            f"that it belongs to this stack"
        )
