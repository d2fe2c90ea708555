"""Blending as frames arrive: per pyramid level and pixel, a mean weighted by sharpness.

The weights come from display values, where noise is about even from dark to bright; what they
weigh is linear light, which is what a lens blurs. Two running sums per level and the bounds of
what was seen at each pixel are all that is kept, so memory does not depend on the number of frames.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from controller.stacking.images import Picture
from controller.stacking.kernels import (
    Floats,
    Spans,
    add_band,
    by_bands,
    detail_of,
    keep_within,
    resolve_band,
    to_grey,
    to_light,
    weigh,
    widen_bounds,
)
from controller.stacking.light import linear_table, to_display
from controller.stacking.pyramid import Pyramid, level_sizes
from controller.stacking.reach import reached_spans

# Sharpness is looked at in a window of this standard deviation (pixels of each level): smaller
# follows noise, larger drags the blur of a near edge over what lies behind it.
_WINDOW_SIGMA_PX = 1.0
_WINDOW = (5, 5)
# Sharpness, in 8-bit display steps, that noise reaches by itself. Where all frames have no more,
# they share alike, and the result is smooth.
_NOISE = 0.6


class Blender:
    """Takes aligned frames one at a time and gives the fused picture at the end.

    Parameters
    ----------
    height, width
        Of the reference frame and of the result, pixels, at least 16 each.
    """

    def __init__(self, height: int, width: int) -> None:
        self._sizes = level_sizes(height, width)
        self._pyramid = Pyramid(height, width)
        self._weights: list[Floats] = [np.empty(size, np.float32) for size in self._sizes]
        self._weight_sums: list[Floats] = [np.zeros(size, np.float32) for size in self._sizes]
        self._sums: list[list[Floats]] = [
            [np.zeros(size, np.float32) for size in self._sizes] for _ in range(3)
        ]
        self._low: Picture | None = None
        self._high: Picture | None = None

    def add(self, picture: Picture, to_frame: NDArray[np.float64]) -> Floats:
        """Blend in one frame.

        Parameters
        ----------
        picture
            (height, width, 3) BGR, uint8 or uint16, already in the reference frame's geometry;
            pixels that the frame does not reach may hold anything plausible.
        to_frame
            (2, 3) float64, reference pixel coordinates to the frame's own: says which pixels the
            frame reaches. The first frame must reach all.

        Returns
        -------
        (height / 2, width / 2) float32, rounded up
            The frame's local sharpness, finest and second level together, 8-bit display steps.
        """
        spans = [
            reached_spans(to_frame, self._sizes[0], n, size) for n, size in enumerate(self._sizes)
        ]
        self._widen(picture, spans[0])
        sharpness = self._weigh(picture, spans)
        table = linear_table(picture.dtype.itemsize * 8)
        for channel in range(3):
            finest = self._pyramid.levels[0]
            by_bands(to_light, finest.shape[0], picture, channel, table, finest)
            self._pyramid.build()
            self._add_plane(self._sums[channel])
        return sharpness

    def _widen(self, picture: Picture, spans: Spans) -> None:
        if self._low is None or self._high is None:
            self._low, self._high = picture.copy(), picture.copy()
            return
        by_bands(widen_bounds, self._sizes[0][0], picture, spans, self._low, self._high)

    def _weigh(self, picture: Picture, spans: list[Spans]) -> Floats:
        """Fill the weights of all levels; returns the sharpness at half size."""
        levels = self._pyramid.levels
        scale = 255 / np.iinfo(picture.dtype).max
        by_bands(to_grey, self._sizes[0][0], picture, scale, levels[0])
        self._pyramid.build()
        sharpness_at_half: Floats = np.empty(self._sizes[1], np.float32)
        carried: Floats | np.float32 = np.float32(0)
        for n in range(len(levels) - 1):
            sharpness = self._weights[n]
            by_bands(detail_of, self._sizes[n][0], levels[n], levels[n + 1], sharpness)
            cv2.GaussianBlur(sharpness, _WINDOW, _WINDOW_SIGMA_PX, dst=sharpness)
            # What is sharp in fine detail is to be trusted in coarse detail too, where the spread
            # of something defocused nearby would otherwise win.
            sharpness += carried + np.float32(_NOISE)
            if n == 1:
                np.copyto(sharpness_at_half, sharpness)
            carried = np.asarray(cv2.pyrDown(sharpness), np.float32)
            by_bands(weigh, self._sizes[n][0], sharpness, spans[n], self._weight_sums[n])
        # The base holds what no level could tell apart: a plain mean.
        self._weights[-1].fill(1)
        by_bands(weigh, self._sizes[-1][0], self._weights[-1], spans[-1], self._weight_sums[-1])
        return sharpness_at_half

    def _add_plane(self, sums: list[Floats]) -> None:
        levels = self._pyramid.levels
        for n, size in enumerate(self._sizes[:-1]):
            by_bands(add_band, size[0], levels[n], levels[n + 1], self._weights[n], sums[n])
        sums[-1] += self._weights[-1] * levels[-1]

    def preview(self, widest_px: int) -> NDArray[np.uint16]:
        """The picture so far, (height, width, 3) BGR uint16, at the first level that is no wider
        than ``widest_px``; the sums stay as they are."""
        last = len(self._sizes) - 1
        finest = next((n for n, size in enumerate(self._sizes) if size[1] <= widest_px), last)
        planes = []
        for sums in self._sums:
            level = sums[-1] / self._weight_sums[-1]
            for n in reversed(range(finest, last)):
                level = self._resolve(n, sums, level, np.empty(self._sizes[n], np.float32))
            planes.append(level)
        return to_display(planes)

    def finish(self) -> NDArray[np.uint16]:
        """Collapse the sums into the picture, (height, width, 3) BGR uint16; call it once.

        No value leaves the range of what the frames have shown at that pixel: whatever lies in
        focus was seen as it is, so anything beyond is a halo.
        """
        assert self._low is not None and self._high is not None
        planes = []
        for sums in self._sums:
            level = sums[-1] / self._weight_sums[-1]
            for n in reversed(range(len(self._sizes) - 1)):
                level = self._resolve(n, sums, level, sums[n])
            planes.append(level)
        picture = to_display(planes)
        by_bands(keep_within, self._sizes[0][0], picture, self._low, self._high)
        return picture

    def _resolve(self, n: int, sums: list[Floats], coarse: Floats, level: Floats) -> Floats:
        """Level ``n`` of the fused pyramid into ``level``, from the next coarser one."""
        by_bands(resolve_band, self._sizes[n][0], sums[n], self._weight_sums[n], coarse, level)
        return level
