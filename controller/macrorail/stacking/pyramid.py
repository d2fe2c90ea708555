"""Gaussian pyramids in buffers allocated once, because allocation takes longer than computation."""

from __future__ import annotations

import math

import cv2

from macrorail.stacking.kernels import Floats
from macrorail.stacking.store import Store

_COARSEST_PX = 8
_MOST_HALVINGS = 9


def level_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Return (height, width) of every level, from the picture itself to the base."""
    halvings = int(math.log2(max(1.0, min(height, width) / _COARSEST_PX)))
    sizes = [(height, width)]
    for _ in range(min(_MOST_HALVINGS, halvings)):
        height, width = (height + 1) // 2, (width + 1) // 2
        sizes.append((height, width))
    return sizes


class Pyramid:
    """A picture and its successively halved copies.

    Parameters
    ----------
    sizes
        (height, width) of every level: all sizes from :func:`level_sizes`, or the last ones.
    store
        Provides the memory for the levels.

    Attributes
    ----------
    levels
        float32 (height, width), from fine to coarse. Fill the finest level, then call
        :meth:`build`.
    """

    def __init__(self, sizes: list[tuple[int, int]], store: Store) -> None:
        self._store = store
        self.levels: list[Floats] = [store.empty(size) for size in sizes]

    def build(self) -> None:
        """Compute all coarser levels from the finest."""
        for fine, coarse in zip(self.levels, self.levels[1:], strict=False):
            cv2.pyrDown(fine, dst=coarse)
            self._store.let_go()
