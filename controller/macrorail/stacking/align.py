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

from macrorail.errors import AlignError
from macrorail.stacking.look import Look, shrink_factor
from macrorail.stacking.register import Motion, Transform, enlarge, register
from macrorail.stacking.second_path import Closing, SecondPath
from macrorail.stacking.trend import Trend

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
    closing
        How the chain that leads here compares with a second path, where there is one.
    """

    transform: Transform
    correlation: float
    neighbour: int | None
    expected: bool
    closing: Closing | None = None


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
        self._second_path = SecondPath(self._motion)

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
            step = found[frame.index][0]  # from the following one to this
            self._surveyed[following.index] = replace(
                step,
                transform=(onto @ found[following.index][1])[:2],
                neighbour=frame.index,
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
        factor = shrink_factor(frame.shape)
        to_neighbour = np.linalg.inv(enlarge(found.warp, factor)).astype(np.float64)
        _check_plausible(to_neighbour, frame.shape, frame.name)
        self._trend.learn(travel, found.warp, found.spread)
        if told is not None:
            self._trend.learn_scaled(told, prior, found.warp, found.spread)
        to_reference = nearest.to_reference @ to_neighbour
        self._keep(_Placed(frame, to_reference))
        return Placement(
            to_reference[:2].copy(),
            found.correlation,
            neighbour.index,
            found.expected,
            self._second_path.check(neighbour, frame, to_neighbour),
        )

    def _keep(self, placed: _Placed) -> None:
        known = [*self._kept, placed]
        lowest = min(known, key=lambda one: one.frame.position)
        highest = max(known, key=lambda one: one.frame.position)
        self._kept = [one for one in known if one is lowest or one is highest or one is placed]


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
