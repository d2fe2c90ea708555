"""Cuts surfaces into layers of equal depth, and stores each layer at several sizes.

A point between two layers is divided between both layers. So there are no seams, and the sharpness
of the point peaks at its true depth, not at the depth of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from macrorail_sims.sheet import Floats, Sheet, Specimen

SIZES = 6
"""Layers are stored at 1, 1/2, ... 1/32 of their size."""

Raster = npt.NDArray[np.float32] | npt.NDArray[np.int16]

_RASTER_MULTIPLE = 1 << (SIZES - 1)
# Value of white in int16 rasters; leaves headroom for overshoots of the interpolation.
_FULL_SCALE = 24_000.0
# Number of full-size layers in memory: a few around the plane in focus, or all if they are small.
_KEPT = 8
_KEPT_BYTES = 150_000_000


def raster_length(wanted_px: float) -> int:
    """Return ``wanted_px`` rounded up to a length that halves evenly down to the smallest size."""
    return math.ceil(wanted_px / _RASTER_MULTIPLE) * _RASTER_MULTIPLE


def full_scale(size: int) -> float:
    """Return the value of white in a raster at ``1 / 2**size``."""
    return 1.0 if size == 0 else _FULL_SCALE


class Layers:
    """Layers from near to far, and the background.

    Parameters
    ----------
    specimen
        The specimen to cut.
    count
        Number of layers, >= 2, from the near end of the specimen to the ground.

    Attributes
    ----------
    shape
        Rows and columns of the rasters.
    depths_um
        Depth of each layer, float64 (count,).
    ground, core
        Rasters at every size, in the format of :meth:`raster`. ``ground`` is the opaque ground at
        the depth of the last layer. ``core`` is the inside of a solid sheet, at the depth
        ``core_um``; ``None`` without a solid sheet.
    """

    def __init__(self, specimen: Specimen, count: int) -> None:
        height, width = specimen.ground.shape[:2]
        self.shape = (height, width)
        self.depths_um = np.linspace(specimen.near_um, specimen.far_um, count)
        self._spacing_um = float(self.depths_um[1] - self.depths_um[0])
        self._sheets = [_Points(sheet, self._spacing_um) for sheet in specimen.sheets]
        kept = max(_KEPT, min(count, _KEPT_BYTES // (height * width * 16)))
        self._full = lru_cache(maxsize=kept)(self._cut)
        self._small = [_shrink(self._full(index)) for index in range(count)]
        opaque = np.ones(self.shape, np.float32)
        self.ground = _all_sizes(np.dstack([specimen.ground, opaque]))
        solid = next((sheet for sheet in specimen.sheets if sheet.solid), None)
        self.core = _all_sizes(_core(solid)) if solid else None
        self.core_um = float(solid.depth_um[solid.coverage > 0].max()) if solid else None

    def raster(self, index: int, size: int) -> Raster:
        """Return a layer at ``1 / 2**size``: premultiplied linear blue, green, red; coverage.

        The raster is float32 at full size and int16 at smaller sizes; white is `full_scale`.
        """
        return self._full(index) if size == 0 else self._small[index][size - 1]

    def is_empty(self, index: int) -> bool:
        """Return whether a layer is empty."""
        return not self._small[index]

    def occupies(self, index: int, rows: Sequence[float], columns: Sequence[float]) -> bool:
        """Return whether a layer may have content between two rows and two columns."""
        coarsest = self._small[index][-1][..., 3]
        spans = []
        for (start, stop), length in zip((rows, columns), coarsest.shape, strict=True):
            # Beyond the raster its edge is repeated.
            first = min(max(math.floor(start / _RASTER_MULTIPLE), 0), length - 1)
            last = min(max(math.ceil(stop / _RASTER_MULTIPLE), 1), length)
            spans.append(slice(first, max(last, first + 1)))
        return bool(coarsest[tuple(spans)].any())

    def surfaces(self, index: int) -> list[tuple[Floats, Floats]]:
        """Return coverage and depth of each sheet's share in a layer, the nearest sheet first."""
        at_um = float(self.depths_um[index])
        return [points.surface(at_um, self.shape) for points in self._sheets]

    def _cut(self, index: int) -> Floats:
        layer = np.zeros((*self.shape, 4), np.float32)
        for points in reversed(self._sheets):
            points.put_before(layer, float(self.depths_um[index]))
        return layer


class _Points:
    """The pixels of a sheet, from near to far."""

    def __init__(self, sheet: Sheet, spacing_um: float) -> None:
        self._spacing_um = spacing_um
        pixels = np.flatnonzero(sheet.coverage)
        self._pixels = pixels[np.argsort(sheet.depth_um.ravel()[pixels], kind="stable")]
        self._depth_um = sheet.depth_um.ravel()[self._pixels]
        self._coverage = sheet.coverage.ravel()[self._pixels]
        self._colour = np.ones((len(pixels), 4), np.float32)
        self._colour[:, :3] = sheet.colour.reshape(-1, 3)[self._pixels]

    def surface(self, at_um: float, shape: tuple[int, int]) -> tuple[Floats, Floats]:
        part, share = self._part(at_um)
        coverage = np.zeros(shape, np.float32)
        depth_um = np.full(shape, at_um, np.float32)
        coverage.ravel()[self._pixels[part]] = share
        depth_um.ravel()[self._pixels[part]] = self._depth_um[part]
        return coverage, depth_um

    def put_before(self, layer: Floats, at_um: float) -> None:
        part, share = self._part(at_um)
        pixels, coverage = self._pixels[part], share[:, None]
        flat = layer.reshape(-1, 4)
        flat[pixels] = flat[pixels] * (1 - coverage) + self._colour[part] * coverage

    def _part(self, at_um: float) -> tuple[slice, Floats]:
        """Return the sheet's pixels that belong to a layer, and their coverage in this layer."""
        ends_um = (at_um - self._spacing_um, at_um + self._spacing_um)
        first, last = np.searchsorted(self._depth_um, ends_um)
        part = slice(int(first), int(last))
        away = np.abs(self._depth_um[part] - np.float32(at_um)) / np.float32(self._spacing_um)
        return part, (1 - away) * self._coverage[part]


def _core(solid: Sheet) -> Floats:
    """Return a solid sheet's smoothed colours, which fill in behind the sheet at blurred edges."""
    coverage = solid.coverage[..., None]
    opaque = np.dstack([solid.colour, np.ones_like(solid.coverage)])
    box = solid.coverage.shape[1] // 32 * 2 + 1
    smooth = cv2.blur(opaque * coverage, (box, box)).astype(np.float32, copy=False)
    smooth /= np.maximum(smooth[..., 3:], np.float32(1e-3))
    return np.multiply(smooth, coverage, dtype=np.float32)


def _shrink(layer: Floats) -> list[npt.NDArray[np.int16]]:
    if not layer[..., 3].any():
        return []
    small = []
    for _ in range(1, SIZES):
        half = cv2.resize(layer, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        layer = half.astype(np.float32, copy=False)
        small.append((layer * np.float32(_FULL_SCALE) + np.float32(0.5)).astype(np.int16))
    return small


def _all_sizes(layer: Floats) -> list[Raster]:
    return [layer, *_shrink(layer)]
