"""Blending of frames as they arrive: at each pyramid level and pixel, a sharpness-weighted mean.

The weights are computed from display values, where noise is about equal in dark and bright parts.
The weighted values are linear light, because a lens blurs linear light. For each level only two
running sums are kept, plus the lowest and highest value seen around each pixel. So memory use does
not depend on the number of frames.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from macrorail.stacking.finest import add_finest, resolve_finest, resolve_finest_luma
from macrorail.stacking.grain import Grain, weakened
from macrorail.stacking.images import Picture
from macrorail.stacking.kernels import Floats, Spans, resolve_band, to_channels
from macrorail.stacking.levels import add_level
from macrorail.stacking.light import curve, curve_back, to_display
from macrorail.stacking.pyramid import Pyramid, level_sizes
from macrorail.stacking.reach import reached_spans
from macrorail.stacking.store import Store

Quality = Literal["fast", "best"]

# Sharpness, in 8-bit display steps, that noise alone reaches. Where no frame is sharper, all frames
# get the same weight, and the result is smooth.
_NOISE = 0.6
# In pictures with more pixels than this, depth is computed at a quarter of the size.
_LARGE_PX = 12_000_000
# From half size on, this many levels are weighted in the same way as the finest level.
_FINE = 2
# Standard deviation, in pixels of the coarse level, by which sharpness from the finer levels is
# spread. Where one slice is sharp and another slice is sharp next to it, coarse forms are then
# blended from both.
_SPREAD_PX = 1.0
# Placeholder for sums that are not kept.
_NOTHING: Floats = np.empty((0, 0), np.float32)


class Blender:
    """Blends aligned frames, added one at a time, into one picture.

    Parameters
    ----------
    height, width
        Size in pixels of the reference frame and of the result; each at least 16.
    quality
        ``best`` blends blue, green and red, and reduces grain in the finished picture. ``fast``
        blends luma, and blends colour at half size, as JPEGs store it.
    store
        Provides the memory for the sums; main memory if not given.
    """

    def __init__(
        self, height: int, width: int, quality: Quality = "best", store: Store | None = None
    ) -> None:
        self._store = store = store or Store()
        self._fast = quality == "fast"
        self._sizes = level_sizes(height, width)
        # Levels from half size on. Of the finest level only the sums are kept.
        self._grey = Pyramid(self._sizes[1:], store)
        self._planes = [Pyramid(self._sizes[1:], store) for _ in range(3)]
        self._weight_sums = [store.zeros(size) for size in self._sizes[1:]]
        self._sums = [[store.zeros(size) for size in self._sizes[1:]] for _ in range(3)]
        # For each level: the sharpness passed on from the next finer level.
        self._carried: list[Floats] = [store.empty(size) for size in self._sizes[1:]]
        self._finest_sums: list[Floats] = [
            store.zeros((height, width)) for _ in range(1 if self._fast else 3)
        ]
        self._finest_weights: Floats = store.zeros((height, width))
        self._grain = Grain()
        self._low: Picture | None = None
        self._high: Picture | None = None
        #: How many times the picture's size is halved to give the sharpness returned by
        #: :meth:`add`.
        self.halvings_of_sharpness = 2 if height * width > _LARGE_PX else 1
        self._sharpness = _NOTHING
        if self.halvings_of_sharpness == 1:
            self._sharpness = store.empty(self._sizes[1])

    def add(self, picture: Picture, to_frame: NDArray[np.float64]) -> Floats:
        """Add one frame to the blend.

        Parameters
        ----------
        picture
            (height, width, 3) BGR, uint8 or uint16, already in the reference frame's geometry.
            Pixels outside the frame may have any plausible value.
        to_frame
            (2, 3) float64 transform from reference pixel coordinates to pixel coordinates of the
            frame. It shows which pixels the frame covers. The first frame must cover all pixels.

        Returns
        -------
        (height, width) float32, of half size (large frames: a quarter), rounded up
            The frame's local sharpness in 8-bit display steps, finest and second level combined.
            The array is overwritten when the next frame is added.
        """
        spans = [
            reached_spans(to_frame, self._sizes[0], n, size) for n, size in enumerate(self._sizes)
        ]
        if self._low is None or self._high is None:
            # Each pair of rows shares its bounds. This halves the memory, and the wider bounds
            # suppress less noise.
            shape = picture[::2].shape
            self._low = self._store.empty(shape, picture.dtype.type)
            self._high = self._store.empty(shape, picture.dtype.type)
            self._low[:] = self._high[:] = picture[::2]
        bounds = (self._low, self._high)
        rows = self._sizes[1][0]
        to_light = curve(picture.dtype.itemsize * 8)
        grey_unit = 255 / np.iinfo(picture.dtype).max / 4
        grey, halves = self._grey.levels[0], [plane.levels[0] for plane in self._planes]
        sums: list[Floats] = self._finest_sums
        if self._fast:
            sums = [_NOTHING, *sums, _NOTHING]
        of_frame = (picture, spans[0], to_light, grey_unit, _NOISE, *halves, grey)
        of_stack = (self._finest_weights, *sums, *bounds, self._carried[0], self._fast)
        self._store.by_bands(add_finest, rows, *of_frame, *of_stack)
        if not self._fast:
            self._grain.see(picture)
        return self._add_levels(spans[1:])

    def _add_levels(self, spans: list[Spans]) -> Floats:
        """Weight and add all levels from half size on; return the frame's sharpness."""
        self._grey.build()
        for pyramid in self._planes:
            pyramid.build()
        grey, carried = self._grey.levels, self._carried
        for n in range(len(grey) - 1):
            if n >= _FINE:
                cv2.GaussianBlur(carried[n], (0, 0), _SPREAD_PX, dst=carried[n])
            planes = tuple(pyramid.levels[n] for pyramid in self._planes)
            coarse_planes = tuple(pyramid.levels[n + 1] for pyramid in self._planes)
            of_pair = (grey[n], grey[n + 1], carried[n], _NOISE, n < _FINE)
            of_level = (*of_pair, spans[n], planes, coarse_planes)
            sums = tuple(each[n] for each in self._sums)
            into = (self._weight_sums[n], sums, self._sharpness if n == 0 else _NOTHING)
            self._store.by_bands(add_level, len(grey[n + 1]), *of_level, *into, carried[n + 1])
        # The base level is a plain mean: it contains only what no finer level could distinguish.
        for y, (begin, end) in enumerate(spans[-1]):
            self._weight_sums[-1][y, begin:end] += 1
            for pyramid, each in zip(self._planes, self._sums, strict=True):
                each[-1][y, begin:end] += pyramid.levels[-1][y, begin:end]
        if self.halvings_of_sharpness == 1 and len(grey) > 1:
            return self._sharpness
        return carried[self.halvings_of_sharpness - 1]

    def preview(self, widest_px: int) -> NDArray[np.uint16]:
        """Return the picture blended so far, (height, width, 3) BGR uint16.

        The preview has the size of the finest level that is at most ``widest_px`` wide, or else of
        the coarsest level. The sums are not changed.
        """
        last = len(self._sizes) - 1
        finest = next((n for n, size in enumerate(self._sizes) if size[1] <= widest_px), last)
        if finest == 0:
            return self._with_less_grain(self._resolve())
        planes = [self._resolve_plane(sums, finest) for sums in self._sums]
        if self._fast:
            blue, green, red = planes[0], planes[1], planes[2]
            self._store.by_bands(to_channels, green.shape[0], green, blue, red)
        return to_display(planes, curve_back())

    def finish(self) -> NDArray[np.uint16]:
        """Collapse the sums and return the picture, (height, width, 3) BGR uint16. Call this once.

        At every pixel the value is limited to the range of values seen there in the frames. Detail
        in focus is always within this range, so a value outside the range would be a halo.
        """
        self._carried.clear()
        self._sharpness = _NOTHING
        self._grey.levels.clear()
        self._planes.clear()
        picture = self._resolve()
        self._finest_sums.clear()
        self._finest_weights = _NOTHING
        self._sums.clear()
        self._weight_sums.clear()
        self._low = self._high = None
        return self._with_less_grain(picture)

    def _with_less_grain(self, picture: NDArray[np.uint16]) -> NDArray[np.uint16]:
        deviation = self._grain.deviation
        return weakened(picture, deviation, self._store) if deviation > 0 else picture

    def _resolve(self) -> NDArray[np.uint16]:
        """Return the picture in full size."""
        halves = [self._resolve_plane(sums, 1) for sums in self._sums]
        picture = self._store.empty((*self._sizes[0], 3), np.uint16)
        seen = (self._low, self._high, curve_back(), picture)
        rows = self._sizes[1][0]
        kernel = resolve_finest_luma if self._fast else resolve_finest
        self._store.by_bands(kernel, rows, self._finest_weights, *self._finest_sums, *halves, *seen)
        return picture

    def _resolve_plane(self, sums: list[Floats], finest: int) -> Floats:
        """Return one plane in linear light, built from the base up to a level (1 is half size)."""
        level: Floats = sums[-1] / self._weight_sums[-1]
        for n in reversed(range(finest - 1, len(sums) - 1)):
            into: Floats = self._store.empty(sums[n].shape)
            self._store.by_bands(
                resolve_band, len(into), sums[n], self._weight_sums[n], level, into
            )
            level = into
        return level
