"""Blending as frames arrive: per pyramid level and pixel, a mean weighted by sharpness.

The weights come from display values, where noise is about even from dark to bright; what they
weigh is linear light, which is what a lens blurs. Two running sums per level are all that is
kept, so the memory does not depend on the number of frames.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from controller.stacking.images import Picture
from controller.stacking.kernels import (
    absolute_difference,
    add_band,
    by_bands,
    resolve_band,
    split_light,
    weigh,
)
from controller.stacking.light import linear_table, to_display
from controller.stacking.pyramid import Floats, Pyramid, expand, level_sizes

# Sharpness is looked at in windows of this many pixels (of each level): smaller follows noise,
# larger drags the blur of a near edge over what lies behind it.
_WINDOW_PX = 5
# Sharpness, in 8-bit display steps, that counts as nothing: below it all frames share alike, so
# that where nothing is ever in focus the result is smooth and free of noise.
_FLOOR = 0.02


class Blender:
    """Takes aligned frames one at a time and gives the fused picture at the end.

    Parameters
    ----------
    height, width
        Of the reference frame and of the result, pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        self._sizes = level_sizes(height, width)
        self._grey = Pyramid(height, width)
        self._plane = Pyramid(height, width)
        self._linear: Floats = np.empty((3, height, width), np.float32)
        self._display_grey: Floats = np.empty((height, width), np.float32)
        self._weights: list[Floats] = [np.empty(size, np.float32) for size in self._sizes]
        self._weight_sums: list[Floats] = [np.zeros(size, np.float32) for size in self._sizes]
        self._sums: list[list[Floats]] = [
            [np.zeros(size, np.float32) for size in self._sizes] for _ in range(3)
        ]
        self.sharpness: list[Floats] = [np.empty(size, np.float32) for size in self._sizes[:-1]]

    def add(self, picture: Picture, to_frame: NDArray[np.float64]) -> None:
        """Blend in one frame.

        Parameters
        ----------
        picture
            (height, width, 3) BGR, uint8 or uint16, already in the reference frame's geometry;
            pixels that the frame does not reach may hold anything plausible.
        to_frame
            (2, 3) float64, reference pixel coordinates to the frame's own: says which pixels the
            frame reaches.

        Notes
        -----
        Afterwards ``sharpness[n]`` holds the frame's local sharpness at level ``n``, (h, w) at
        that level's size, in 8-bit display steps.
        """
        height = self._sizes[0][0]
        bits = picture.dtype.itemsize * 8
        tables = np.stack([linear_table(bits)] * 3)
        grey_scale = 255 / (4 * ((1 << bits) - 1))
        by_bands(split_light, height, picture, tables, self._linear, self._display_grey, grey_scale)
        self._grey.build(self._display_grey)
        for n, sharpness in enumerate(self.sharpness):
            rows = self._sizes[n][0]
            by_bands(
                absolute_difference, rows, self._grey.levels[n], self._grey.coarser[n], sharpness
            )
            cv2.blur(sharpness, (_WINDOW_PX, _WINDOW_PX), dst=sharpness)
            self._weigh(n, sharpness, to_frame)
        # The base holds what no level could tell apart: a plain mean.
        self._weigh(len(self._sizes) - 1, np.zeros(self._sizes[-1], np.float32), to_frame)
        for channel in range(3):
            self._add_plane(channel)

    def _weigh(self, n: int, sharpness: Floats, to_frame: NDArray[np.float64]) -> None:
        level_to_frame = to_frame.copy()
        level_to_frame[:, 2] /= 1 << n
        height, width = self._sizes[0]
        reach = ((width - 1) / (1 << n), (height - 1) / (1 << n))
        by_bands(
            weigh,
            self._sizes[n][0],
            sharpness,
            _FLOOR,
            level_to_frame,
            reach,
            self._weights[n],
            self._weight_sums[n],
        )

    def _add_plane(self, channel: int) -> None:
        self._plane.build(self._linear[channel])
        sums = self._sums[channel]
        for n, coarser in enumerate(self._plane.coarser):
            by_bands(
                add_band,
                self._sizes[n][0],
                self._plane.levels[n],
                coarser,
                self._weights[n],
                sums[n],
            )
        sums[-1] += self._weights[-1] * self._plane.levels[-1]

    def preview(self, widest_px: int) -> NDArray[np.uint16]:
        """The picture so far, (height, width, 3) BGR uint16, at the first level that is no wider
        than ``widest_px``; the sums stay as they are."""
        finest = next((n for n, size in enumerate(self._sizes) if size[1] <= widest_px), -1)
        finest %= len(self._sizes)
        planes = []
        for sums in self._sums:
            level = sums[-1] / self._weight_sums[-1]
            for n in reversed(range(finest, len(self._sizes) - 1)):
                coarser = np.empty(self._sizes[n], np.float32)
                expand(level, coarser)
                level = sums[n] / self._weight_sums[n] + coarser
            planes.append(level)
        return to_display(planes)

    def finish(self) -> NDArray[np.uint16]:
        """Collapse the sums into the picture, (height, width, 3) BGR uint16; call it once."""
        planes = []
        for sums in self._sums:
            coarse = sums[-1] / self._weight_sums[-1]
            for n in reversed(range(len(self._sizes) - 1)):
                coarser = self._plane.coarser[n]
                expand(coarse, coarser)
                by_bands(resolve_band, self._sizes[n][0], sums[n], self._weight_sums[n], coarser)
                coarse = sums[n]
            planes.append(coarse)
        return to_display(planes)
