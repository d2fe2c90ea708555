"""Depth from focus: for each pixel the position of greatest sharpness, interpolated between slices.

Depth is computed at half or quarter size, because it needs a window of several pixels anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from macrorail.stacking.kernels import Floats, by_bands, track_peak
from macrorail.stacking.pyramid import level_sizes
from macrorail.stacking.store import Store

# Standard deviation of the Gaussian window over the sharpness, in full-size pixels.
_WINDOW_SIGMA_PX = 5.0
# Sharpness in 8-bit display steps that noise alone reaches. Depth is not trusted below it.
_NOISE = 1.0


@dataclass(frozen=True)
class DepthMap:
    """Depth of each pixel of the picture.

    Attributes
    ----------
    depth
        (height, width) float32, micrometres or slice index.
    confidence
        (height, width) float32, from 0 (depth estimated from the surroundings only) to 1.
    """

    depth: Floats
    confidence: Floats


class DepthTracker:
    """Collects the sharpness of frames in the reference's geometry and computes the depth map.

    Parameters
    ----------
    height, width
        Size of the reference frame in pixels.
    halvings
        How many times the size of the sharpness has been halved, at least once.
    """

    def __init__(self, height: int, width: int, halvings: int = 1) -> None:
        self._full_size = (height, width)
        self._halvings = halvings
        size = level_sizes(height, width)[halvings]
        self._best = np.full(size, -1, np.float32)
        self._best_index = np.full(size, -1, np.int32)
        self._below = np.full(size, -1, np.float32)
        self._above = np.full(size, -1, np.float32)
        self._total = np.zeros(size, np.float32)
        self._kept: dict[int, Floats] = {}
        self._positions: dict[int, float] = {}

    def add(self, index: int, position: float, sharpness: Floats) -> None:
        """Add one frame.

        Parameters
        ----------
        index
            Any number >= 0 that no other frame has.
        position
            Position of the frame along the axis. The depth has the same unit.
        sharpness
            Local sharpness as returned by ``Blender.add``.
        """
        measure: Floats = np.empty_like(self._best)
        cv2.GaussianBlur(sharpness, (0, 0), _WINDOW_SIGMA_PX / 2**self._halvings, dst=measure)
        below, above = self._neighbours(position)
        by_bands(
            track_peak,
            measure.shape[0],
            measure,
            index,
            below,
            self._kept.get(below, measure),
            above,
            self._kept.get(above, measure),
            self._best,
            self._best_index,
            self._below,
            self._above,
            self._total,
        )
        self._positions[index] = position
        self._kept[index] = measure
        by_position = sorted(self._kept, key=self._positions.__getitem__)
        ends = {by_position[0], by_position[-1], index}
        self._kept = {one: kept for one, kept in self._kept.items() if one in ends}

    def _neighbours(self, position: float) -> tuple[int, int]:
        """Return the indices of the nearest frames below and above a position; -1 for no frame."""
        below = [one for one in self._kept if self._positions[one] < position]
        above = [one for one in self._kept if self._positions[one] >= position]
        return (
            max(below, key=self._positions.__getitem__, default=-1),
            min(above, key=self._positions.__getitem__, default=-1),
        )

    def finish(self, store: Store) -> DepthMap:
        """Return the depth map in the reference frame's size, in memory from ``store``."""
        sharp = self._interpolate()
        mean = self._total / len(self._positions)
        contrast = self._best / np.maximum(mean, 1e-6)
        confidence = np.clip(contrast - 1, 0, 1) * np.clip(self._best / _NOISE - 1, 0, 1)
        filled = _fill(sharp, confidence)
        return DepthMap(self._enlarged(filled, store), self._enlarged(confidence, store))

    def _enlarged(self, plane: Floats, store: Store) -> Floats:
        """Return a plane enlarged to full size: pixel (x, y) moves to (x, y) * 2**halvings."""
        height, width = self._full_size
        to_plane = np.diag([0.5**self._halvings] * 3)[:2]
        full: Floats = store.empty(self._full_size)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cv2.warpAffine(plane, to_plane, (width, height), full, flags, cv2.BORDER_REPLICATE)
        store.let_go()
        return full

    def _interpolate(self) -> Floats:
        """Return the peak of a parabola through the logarithmic sharpness at the best slice."""
        order = sorted(self._positions, key=self._positions.__getitem__)
        at, left, right = (np.zeros(max(order) + 1, np.float32) for _ in range(3))
        for place, index in enumerate(order):
            at[index] = self._positions[index]
            left[index] = at[index] - self._positions[order[max(0, place - 1)]]
            right[index] = self._positions[order[min(len(order) - 1, place + 1)]] - at[index]
        left_step, right_step = left[self._best_index], right[self._best_index]
        tiny = 1e-6
        usable = (np.minimum(self._below, self._above) > 0) & (
            np.minimum(left_step, right_step) > 0
        )
        log_best = np.log(np.maximum(self._best, tiny))
        rise = log_best - np.log(np.maximum(self._below, tiny))
        fall = log_best - np.log(np.maximum(self._above, tiny))
        rise /= np.where(usable, left_step, 1)
        fall /= np.where(usable, right_step, 1)
        bend = rise + fall
        usable &= bend > tiny
        # The slope of each chord equals the parabola's slope at the chord's middle. The peak is
        # where the slope between the two middles is 0.
        offset = (right_step * rise - left_step * fall) / np.where(usable, 2 * bend, 1)
        return (at[self._best_index] + np.where(usable, offset, 0)).astype(np.float32)


def _fill(depth: Floats, confidence: Floats) -> Floats:
    """Replace depths of low confidence by trusted depths around them, from coarse to fine."""
    weights, values = [confidence + np.float32(1e-6)], [depth * (confidence + np.float32(1e-6))]
    while min(weights[-1].shape) > 4:
        weights.append(np.asarray(cv2.pyrDown(weights[-1]), np.float32))
        values.append(np.asarray(cv2.pyrDown(values[-1]), np.float32))
    filled = values[-1] / weights[-1]
    for weight, value in zip(weights[-2::-1], values[-2::-1], strict=True):
        size = (weight.shape[1], weight.shape[0])
        guess = cv2.pyrUp(filled, dstsize=size)
        belief = np.clip(weight * 4, 0, 1)
        filled = belief * (value / weight) + (1 - belief) * guess
    return np.asarray(filled, np.float32)
