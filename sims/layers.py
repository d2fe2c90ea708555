"""Cuts sheets into layers of equal depth and keeps each at several sizes.

A surface point between the depths of two layers is on both, in shares that add up to it: there are
no seams, and its sharpness peaks where it lies, not at a layer. A solid goes on behind its
surface, so what a blurred edge in front lets through is the wall below it; a bristle does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from sims.sheet import Floats, Sheet

SIZES = 6
"""Layers are kept at 1, 1/2, ... 1/32 of their size."""

_RASTER_MULTIPLE = 1 << (SIZES - 1)
# Layers of full size that are kept: the few around the plane in focus, or all when they are small.
_KEPT = 8
_KEPT_BYTES = 150_000_000
_FULL_SCALE = 65535.0


def raster_length(wanted_px: float) -> int:
    """The next length that halves evenly down to the smallest size."""
    return math.ceil(wanted_px / _RASTER_MULTIPLE) * _RASTER_MULTIPLE


class Layers:
    """Layers from near to far.

    Parameters
    ----------
    sheets
        Surfaces; of two in one layer, the one named earlier is in front.
    near_um, far_um
        Depth of the first and of the last layer.
    count
        Number of layers, >= 2.

    Attributes
    ----------
    depths_um
        Depth of each layer, float64 (count,).
    """

    def __init__(
        self, sheets: tuple[Sheet, ...], near_um: float, far_um: float, count: int
    ) -> None:
        self.depths_um = np.linspace(near_um, far_um, count)
        height, width = sheets[0].coverage.shape
        self.shape = (height, width)
        spacing_um = float(self.depths_um[1] - self.depths_um[0])
        self._cutters: list[_Solid | _Sparse] = [
            _Solid(sheet, spacing_um) if sheet.solid else _Sparse(sheet, spacing_um)
            for sheet in sheets
        ]
        kept = max(_KEPT, min(count, _KEPT_BYTES // (height * width * 16)))
        self._full = lru_cache(maxsize=kept)(self._cut)
        self._small = [self._shrink(index) for index in range(count)]

    def raster(self, index: int, size: int) -> npt.NDArray[np.float32] | npt.NDArray[np.uint16]:
        """A layer at ``1 / 2**size``: premultiplied blue, green, red, coverage, linear light.

        float32 0..1 at full size, uint16 0..65535 below.
        """
        return self._full(index) if size == 0 else self._small[index][size - 1]

    def full_scale(self, size: int) -> float:
        """The value of white in :meth:`raster` at that size."""
        return 1.0 if size == 0 else _FULL_SCALE

    def is_empty(self, index: int) -> bool:
        """Whether nothing lies on a layer."""
        return not self._small[index]

    def occupies(self, index: int, rows: Sequence[float], columns: Sequence[float]) -> bool:
        """Whether anything may lie on a layer between two rows and two columns of its raster."""
        coarsest = self._small[index][-1][..., 3]
        spans = []
        for (start, stop), length in zip((rows, columns), coarsest.shape, strict=True):
            # Beyond the raster its edge goes on.
            first = min(max(math.floor(start / _RASTER_MULTIPLE), 0), length - 1)
            last = min(max(math.ceil(stop / _RASTER_MULTIPLE), 1), length)
            spans.append(slice(first, max(last, first + 1)))
        return bool(coarsest[tuple(spans)].any())

    def surfaces(self, index: int) -> list[tuple[Floats, Floats]]:
        """Coverage and depth of each sheet that lies on a layer, the nearest last."""
        at_um = float(self.depths_um[index])
        found = [cutter.surface(at_um) for cutter in reversed(self._cutters)]
        return [surface for surface in found if surface is not None]

    def _cut(self, index: int) -> Floats:
        layer = np.zeros((*self.shape, 4), np.float32)
        for cutter in reversed(self._cutters):
            cutter.put_before(layer, float(self.depths_um[index]))
        return layer

    def _shrink(self, index: int) -> list[npt.NDArray[np.uint16]]:
        layer = self._full(index)
        if not layer[..., 3].any():
            return []
        small = []
        for _ in range(1, SIZES):
            layer = cv2.resize(layer, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            small.append((layer * np.float32(_FULL_SCALE) + np.float32(0.5)).astype(np.uint16))
        return small


class _Solid:
    """A sheet with everything behind it filled: on each layer, all of it that is nearer."""

    def __init__(self, sheet: Sheet, spacing_um: float) -> None:
        self._sheet = sheet
        self._spacing_um = spacing_um
        opaque = np.ones_like(sheet.coverage)
        self._colour = cv2.merge([*cv2.split(sheet.colour), opaque])
        there = sheet.depth_um[sheet.coverage > 0]
        self._near_um, self._far_um = float(there.min()), float(there.max())

    def surface(self, at_um: float) -> tuple[Floats, Floats] | None:
        behind_um = at_um + self._spacing_um
        if not self._near_um < behind_um < self._far_um + 2 * self._spacing_um:
            return None
        share = np.clip((behind_um - self._sheet.depth_um) / np.float32(self._spacing_um), 0, 1)
        return self._sheet.coverage * share, self._sheet.depth_um

    def put_before(self, layer: Floats, at_um: float) -> None:
        surface = self.surface(at_um)
        if surface is None:
            return
        coverage = cv2.merge([surface[0]] * 4)
        if layer.any():
            layer *= 1 - coverage
        layer += self._colour * coverage


class _Sparse:
    """A sheet of thin things with nothing behind them: a list of pixels from near to far."""

    def __init__(self, sheet: Sheet, spacing_um: float) -> None:
        self._spacing_um = spacing_um
        self._shape = sheet.coverage.shape
        pixels = np.flatnonzero(sheet.coverage)
        pixels = pixels[np.argsort(sheet.depth_um.ravel()[pixels], kind="stable")]
        self._pixels = pixels
        self._depth_um = sheet.depth_um.ravel()[pixels]
        self._coverage = sheet.coverage.ravel()[pixels]
        opaque = np.ones((len(pixels), 1), np.float32)
        self._colour = np.hstack([sheet.colour.reshape(-1, 3)[pixels], opaque])

    def surface(self, at_um: float) -> tuple[Floats, Floats] | None:
        part, share = self._part(at_um)
        if not len(share):
            return None
        coverage, depth_um = (np.zeros(self._shape, np.float32) for _ in range(2))
        coverage.ravel()[self._pixels[part]] = share
        depth_um.ravel()[self._pixels[part]] = self._depth_um[part]
        return coverage, depth_um

    def put_before(self, layer: Floats, at_um: float) -> None:
        part, share = self._part(at_um)
        pixels, coverage = self._pixels[part], share[:, None]
        flat = layer.reshape(-1, 4)
        flat[pixels] = flat[pixels] * (1 - coverage) + self._colour[part] * coverage

    def _part(self, at_um: float) -> tuple[slice, Floats]:
        """The pixels that share in a layer, and their coverage on it."""
        edges_um = (at_um - self._spacing_um, at_um, at_um + self._spacing_um)
        first, middle, last = np.searchsorted(self._depth_um, edges_um)
        near_share = np.abs(self._depth_um[first:last] - at_um) / np.float32(self._spacing_um)
        share = (1 - near_share) * self._coverage[first:last]
        # A point before this layer shows through its share of the layer in front: seen through
        # that, the two must add up to its coverage.
        before = slice(0, middle - first)
        share[before] /= np.maximum(
            1 - near_share[before] * self._coverage[first:last][before], np.float32(1e-6)
        )
        return slice(first, last), share
