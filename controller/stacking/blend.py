"""Blending as frames arrive: per pyramid level and pixel, a mean weighted by sharpness.

The weights come from display values, where noise is about even from dark to bright; what they
weigh is linear light, which is what a lens blurs. Two running sums per level and the bounds of
what was seen at each pixel are all that is kept, so memory does not depend on the number of frames.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from controller.stacking.images import Picture
from controller.stacking.kernels import (
    Floats,
    Spans,
    add_band,
    by_bands,
    detail_at_half,
    detail_of,
    keep_within,
    resolve_band,
    to_channels,
    to_chroma,
    to_grey,
    to_light,
    to_luma,
    weigh,
    widen_bounds,
)
from controller.stacking.light import linear_table, to_display
from controller.stacking.pyramid import Pyramid, level_sizes
from controller.stacking.reach import reached_spans

Quality = Literal["fast", "best"]

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
    quality
        ``best`` blends blue, green and red. ``fast`` blends luma, and the colour at half its size,
        as JPEGs store it; the finest level takes its weights from the next.
    """

    def __init__(self, height: int, width: int, quality: Quality = "best") -> None:
        self._fast = quality == "fast"
        self._sizes = level_sizes(height, width)
        self._pyramid = Pyramid(height, width)
        # The first level of each plane: chroma starts at half size.
        self._starts = (0, 1, 1) if self._fast else (0, 0, 0)
        self._chroma = Pyramid(*self._sizes[1]) if self._fast else self._pyramid
        weighed = self._sizes[1:] if self._fast else self._sizes
        self._weights: list[Floats] = [np.empty(size, np.float32) for size in weighed]
        self._weight_sums: list[Floats] = [np.zeros(size, np.float32) for size in weighed]
        if self._fast:
            self._weights.insert(0, self._weights[0])
            self._weight_sums.insert(0, self._weight_sums[0])
        self._sums: list[list[Floats]] = [
            [np.zeros(size, np.float32) for size in self._sizes[start:]] for start in self._starts
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
        for plane, start in enumerate(self._starts):
            pyramid = self._chroma if start else self._pyramid
            finest = pyramid.levels[0]
            if not self._fast:
                by_bands(to_light, finest.shape[0], picture, plane, table, finest)
            elif start:
                channel = 2 * (plane - 1)
                by_bands(to_chroma, finest.shape[0], picture, channel, table, finest)
            else:
                by_bands(to_luma, finest.shape[0], picture, table, finest)
            pyramid.build()
            self._add_plane(plane, pyramid.levels)
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
        carried: Floats | np.float32 = np.float32(0)
        if self._fast:
            carried = np.empty(self._sizes[1], np.float32)
            by_bands(detail_at_half, self._sizes[1][0], levels[0], levels[1], carried)
            cv2.GaussianBlur(carried, _WINDOW, _WINDOW_SIGMA_PX, dst=carried)
            carried += np.float32(_NOISE)
        for n in range(1 if self._fast else 0, len(levels) - 1):
            sharpness = self._weights[n]
            by_bands(detail_of, self._sizes[n][0], levels[n], levels[n + 1], sharpness)
            cv2.GaussianBlur(sharpness, _WINDOW, _WINDOW_SIGMA_PX, dst=sharpness)
            # What is sharp in fine detail is to be trusted in coarse detail too, where the spread
            # of something defocused nearby would otherwise win.
            sharpness += carried + np.float32(_NOISE)
            if n == 1:
                sharpness_at_half = sharpness.copy()
            carried = np.asarray(cv2.pyrDown(sharpness), np.float32)
            by_bands(weigh, self._sizes[n][0], sharpness, spans[n], self._weight_sums[n])
        # The base holds what no level could tell apart: a plain mean.
        self._weights[-1].fill(1)
        by_bands(weigh, self._sizes[-1][0], self._weights[-1], spans[-1], self._weight_sums[-1])
        return sharpness_at_half

    def _add_plane(self, plane: int, levels: list[Floats]) -> None:
        start, sums = self._starts[plane], self._sums[plane]
        for n, total in enumerate(sums[:-1]):
            weights = self._weights[start + n]
            halvings = int(self._fast and start + n == 0)
            rows = total.shape[0]
            by_bands(add_band, rows, levels[n], levels[n + 1], weights, halvings, total)
        sums[-1] += self._weights[-1] * levels[-1]

    def preview(self, widest_px: int) -> NDArray[np.uint16]:
        """The picture so far, (height, width, 3) BGR uint16, at the first level that is no wider
        than ``widest_px``; the sums stay as they are."""
        last = len(self._sizes) - 1
        finest = next((n for n, size in enumerate(self._sizes) if size[1] <= widest_px), last)
        picture = to_display(self._planes(finest, in_place=False))
        if finest == 0:
            self._keep_within_seen(picture)
        return picture

    def finish(self) -> NDArray[np.uint16]:
        """Collapse the sums into the picture, (height, width, 3) BGR uint16; call it once.

        No value leaves the range of what the frames have shown at that pixel: whatever lies in
        focus was seen as it is, so anything beyond is a halo.
        """
        self._weights.clear()
        self._pyramid.levels.clear()
        self._chroma.levels.clear()
        picture = to_display(self._planes(0, in_place=True))
        self._keep_within_seen(picture)
        return picture

    def _keep_within_seen(self, picture: NDArray[np.uint16]) -> None:
        assert self._low is not None and self._high is not None
        by_bands(keep_within, self._sizes[0][0], picture, self._low, self._high)

    def _planes(self, finest: int, in_place: bool) -> list[Floats]:
        """Blue, green and red at one level, linear light; ``in_place`` spends the sums."""
        planes = []
        for start, sums in zip(self._starts, self._sums, strict=True):
            level = sums[-1] / self._weight_sums[-1]
            for n in reversed(range(max(finest, start), len(self._sizes) - 1)):
                total = sums[n - start]
                into = total if in_place else np.empty(total.shape, np.float32)
                halvings = int(self._fast and n == 0)
                weights = self._weight_sums[n]
                by_bands(resolve_band, total.shape[0], total, weights, halvings, level, into)
                level = into
            planes.append(level)
        if not self._fast:
            return planes
        height, width = planes[0].shape
        blue, red = (
            np.asarray(cv2.pyrUp(plane, dstsize=(width, height)), np.float32)
            if plane.shape != (height, width)
            else plane.copy()
            for plane in planes[1:]
        )
        green = planes[0] if in_place else planes[0].copy()
        by_bands(to_channels, height, green, blue, red)
        return [blue, green, red]
