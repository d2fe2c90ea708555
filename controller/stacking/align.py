"""Finding how each frame lies on the reference, to a fraction of a pixel, neighbour by neighbour.

Neighbouring slices look alike, distant ones do not, so each frame is aligned to the nearest frame
already placed and the transforms are chained. A transform takes a frame's pixel coordinates
(x, y; the centre of the first pixel is 0, 0) to the reference frame's.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from controller.errors import AlignError
from controller.stacking.images import Picture, to_8_bit

Transform = NDArray[np.float64]

# Long side of the picture in which the last refinement is made, and of the one that starts it.
_FINE_PX = 1500
_COARSE_PX = 400
_ITERATIONS = 40
_PRECISION = 1e-5
# Frames of one stack correlate far above this; a frame of something else falls far below.
_LEAST_CORRELATION = 0.5
# What one step of an axis may do to the picture, at most.
_LARGEST_SCALE_CHANGE = 0.08
_LARGEST_SHIFT = 0.15


@dataclass(frozen=True)
class Placement:
    """How a frame lies on the reference.

    Attributes
    ----------
    transform
        (2, 3) float64: frame pixel coordinates to reference pixel coordinates.
    correlation
        With the neighbour it was aligned to, -1..1; 1 for the reference itself.
    neighbour
        Index of that neighbour; ``None`` for the reference.
    """

    transform: Transform
    correlation: float
    neighbour: int | None


@dataclass(frozen=True)
class _Placed:
    index: int
    position: float
    scales: list[NDArray[np.float32]]
    to_reference: Transform  # (3, 3)


class Aligner:
    """Places the frames of one stack, in whatever order they come; the first is the reference.

    Only the frames at both ends of what has been placed, and the last one, are kept (small and
    grey), so memory does not depend on the number of frames.
    """

    def __init__(self) -> None:
        self._kept: list[_Placed] = []

    def place(self, index: int, position: float, picture: Picture, name: str) -> Placement:
        """Find the transform of one frame.

        Parameters
        ----------
        index
            What the frame is called in ``Placement.neighbour``.
        position
            Where it lies along the axis, in any unit: its neighbour is the placed frame nearest
            to it.
        picture
            (height, width, 3) BGR.
        name
            What errors call the frame.

        Raises
        ------
        AlignError
            The frame does not correlate with its neighbour, or only by an impossible transform.
        """
        scales = _scales(picture)
        if not self._kept:
            self._kept.append(_Placed(index, position, scales, np.eye(3)))
            return Placement(np.eye(2, 3), 1.0, None)
        neighbour = min(self._kept, key=lambda placed: abs(placed.position - position))
        neighbour_to_frame, correlation = _register(neighbour.scales, scales, name)
        factor = _shrink_factor(picture.shape[0], picture.shape[1])
        to_neighbour = np.linalg.inv(_at_full_size(neighbour_to_frame, factor)).astype(np.float64)
        _check_plausible(to_neighbour, picture.shape, name)
        to_reference = neighbour.to_reference @ to_neighbour
        self._keep(_Placed(index, position, scales, to_reference))
        return Placement(to_reference[:2].copy(), correlation, neighbour.index)

    def _keep(self, placed: _Placed) -> None:
        known = [*self._kept, placed]
        lowest = min(known, key=lambda one: one.position)
        highest = max(known, key=lambda one: one.position)
        self._kept = [one for one in known if one is lowest or one is highest or one is placed]


def _shrink_factor(height: int, width: int) -> int:
    return max(1, round(max(height, width) / _FINE_PX))


def _scales(picture: Picture) -> list[NDArray[np.float32]]:
    """Grey pictures to register in, fine to coarse, each half the size of the one before."""
    height, width = picture.shape[:2]
    grey = cv2.cvtColor(to_8_bit(picture), cv2.COLOR_BGR2GRAY)
    factor = _shrink_factor(height, width)
    size = (width // factor, height // factor)
    # Cropped to a multiple of the factor so that a small pixel is exactly factor x factor pixels.
    grey = grey[: size[1] * factor, : size[0] * factor]
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    scales = [small]
    while max(small.shape) > _COARSE_PX and min(small.shape) >= 64:
        small = small[: small.shape[0] // 2 * 2, : small.shape[1] // 2 * 2]
        half = (small.shape[1] // 2, small.shape[0] // 2)
        small = np.asarray(cv2.resize(small, half, interpolation=cv2.INTER_AREA), np.float32)
        scales.append(small)
    return scales


def _register(
    fixed: list[NDArray[np.float32]], moving: list[NDArray[np.float32]], name: str
) -> tuple[Transform, float]:
    """(3, 3) transform from ``fixed[0]`` to ``moving[0]`` pixels, and their correlation."""
    warp = np.eye(2, 3, dtype=np.float32)
    warp[:, 2] = _first_guess(fixed[-1], moving[-1])
    correlation = 0.0
    for n in reversed(range(len(fixed))):
        criteria = (
            cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT,
            _ITERATIONS if n else _ITERATIONS // 4,
            _PRECISION,
        )
        try:
            correlation, found = cv2.findTransformECC(
                fixed[n], moving[n], warp, cv2.MOTION_AFFINE, criteria
            )
        except cv2.error as error:
            raise AlignError(
                f"{name} cannot be aligned to its neighbour: they have nothing in common that "
                f"can be followed; leave the frame out or check that it belongs to this stack"
            ) from error
        if correlation < _LEAST_CORRELATION:
            raise AlignError(
                f"{name} cannot be aligned to its neighbour: correlation {correlation:.2f}, at "
                f"least {_LEAST_CORRELATION} is needed; leave the frame out or check that it "
                f"belongs to this stack"
            )
        warp = np.asarray(found, np.float32)
        if n:
            warp = _at_full_size(warp, 2)[:2].astype(np.float32)
    return np.vstack([warp, [0, 0, 1]]).astype(np.float64), float(correlation)


def _first_guess(fixed: NDArray[np.float32], moving: NDArray[np.float32]) -> tuple[float, float]:
    window = cv2.createHanningWindow((fixed.shape[1], fixed.shape[0]), cv2.CV_32F)
    shift, _ = cv2.phaseCorrelate(fixed, moving, window)
    return float(shift[0]), float(shift[1])


def _at_full_size(warp: NDArray[np.floating], factor: int) -> Transform:
    """The same transform in pixels ``factor`` times smaller, as (3, 3)."""
    full = np.eye(3)
    full[:2] = warp[:2]
    # A small pixel's centre lies (factor - 1) / 2 large pixels right of its first large pixel's.
    centre = np.full(2, (factor - 1) / 2)
    full[:2, 2] = full[:2, 2] * factor + centre - full[:2, :2] @ centre
    return full


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
