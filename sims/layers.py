"""Cuts sheets into layers of equal depth and keeps each at several sizes.

A surface point between the depths of two layers is on both, in shares that add up to it: there are
no seams, and its sharpness peaks where it lies, not at a layer. A solid goes on behind its
surface, so what a blurred edge in front lets through is the wall below it; a bristle does not.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from sims.sheet import Floats, Sheet

SIZES = 6
"""Layers are kept at 1, 1/2, ... 1/32 of their size."""

_RASTER_MULTIPLE = 1 << (SIZES - 1)
_CACHE_BYTES = 200_000_000
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
        self._sheets = sheets
        self.depths_um = np.linspace(near_um, far_um, count)
        self.shape = sheets[0].coverage.shape
        self._spacing_um = float(self.depths_um[1] - self.depths_um[0])
        self._deepest_um = [
            float(sheet.depth_um[sheet.coverage > 0].max(initial=near_um)) for sheet in sheets
        ]
        full_bytes = self.shape[0] * self.shape[1] * 16
        kept = max(8, min(count, _CACHE_BYTES // full_bytes))
        self._full = lru_cache(maxsize=kept)(self._cut)
        self._small = [self._shrink(index) for index in range(count)]

    def raster(self, index: int, size: int) -> npt.NDArray[np.float32] | npt.NDArray[np.uint16]:
        """A layer at ``1 / 2**size``: premultiplied blue, green, red, coverage, linear light.

        float32 0..1 at full size, uint16 0..65535 below.
        """
        return self._full(index) if size == 0 else self._small[index][size - 1]

    def is_empty(self, index: int) -> bool:
        """Whether nothing lies on a layer."""
        return not self._small[index]

    def full_scale(self, size: int) -> float:
        """The value of white in :meth:`raster` at that size."""
        return 1.0 if size == 0 else _FULL_SCALE

    def shares(self, index: int) -> tuple[tuple[Sheet, Floats], ...]:
        """The sheets that lie on a layer, each with its coverage there."""
        found = []
        for sheet, deepest_um in zip(self._sheets, self._deepest_um, strict=True):
            coverage = self._coverage(sheet, index, deepest_um)
            if coverage is not None:
                found.append((sheet, coverage))
        return tuple(found)

    def _cut(self, index: int) -> Floats:
        layer = np.zeros((*self.shape, 4), np.float32)
        for sheet, coverage in reversed(self.shares(index)):
            if layer.any():
                layer *= (1 - coverage)[..., None]
            layer[..., :3] += sheet.colour * coverage[..., None]
            layer[..., 3] += coverage
        return layer

    def _coverage(self, sheet: Sheet, index: int, deepest_um: float) -> Floats | None:
        at_um = np.float32(self.depths_um[index])
        spacing_um = np.float32(self._spacing_um)
        if at_um >= deepest_um + spacing_um:
            return None
        if sheet.solid:
            share = np.clip((at_um + spacing_um - sheet.depth_um) / spacing_um, 0, 1)
            coverage = sheet.coverage * share
        else:
            past = (sheet.depth_um - at_um) / spacing_um
            near_part = np.clip(1 - past, 0, 1) * (past >= 0) * sheet.coverage
            # Seen through the share of the layer in front, the two must add up to the coverage.
            share = np.clip(1 + past, 0, 1) * (past < 0)
            far_part = share * sheet.coverage / np.maximum(1 - (1 - share) * sheet.coverage, 1e-6)
            coverage = near_part + far_part
        return coverage if coverage.any() else None

    def _shrink(self, index: int) -> list[npt.NDArray[np.uint16]]:
        layer = self._full(index)
        if not layer[..., 3].any():
            return []
        small = []
        for _ in range(1, SIZES):
            layer = cv2.resize(layer, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            small.append((layer * _FULL_SCALE + 0.5).astype(np.uint16))
        return small
