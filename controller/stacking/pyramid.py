"""Laplacian pyramids in buffers that are allocated once: fresh large arrays cost more than sums."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_COARSEST_PX = 8
_MOST_LEVELS = 9


def level_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """(height, width) of every level, the picture's own first, the base last (at least one)."""
    halvings = int(math.log2(max(1.0, min(height, width) / _COARSEST_PX)))
    sizes = [(height, width)]
    for _ in range(min(_MOST_LEVELS, halvings)):
        height, width = (height + 1) // 2, (width + 1) // 2
        sizes.append((height, width))
    return sizes


class Pyramid:
    """A Gaussian pyramid and what each level looks like from the next coarser one.

    Level ``n`` minus ``coarser[n]`` is the Laplacian band of level ``n``.

    Parameters
    ----------
    height, width
        Of the finest level, pixels.

    Attributes
    ----------
    levels
        float32 arrays from fine to coarse; the finest is the one given to :meth:`build`.
    coarser
        float32 arrays: level ``n + 1`` expanded to the size of level ``n``.
    """

    def __init__(self, height: int, width: int) -> None:
        sizes = level_sizes(height, width)
        nothing: Floats = np.empty((0, 0), np.float32)
        self.levels: list[Floats] = [nothing, *(np.empty(size, np.float32) for size in sizes[1:])]
        self.coarser: list[Floats] = [np.empty(size, np.float32) for size in sizes[:-1]]

    def build(self, finest: Floats) -> None:
        """Compute all coarser levels from ``finest`` (height, width), of which no copy is made."""
        self.levels[0] = finest
        for n, coarser in enumerate(self.coarser):
            cv2.pyrDown(self.levels[n], dst=self.levels[n + 1])
            expand(self.levels[n + 1], coarser)


def expand(coarse: Floats, fine: Floats) -> None:
    """Expand a level to the size of the next finer one, into ``fine``."""
    cv2.pyrUp(coarse, dst=fine, dstsize=(fine.shape[1], fine.shape[0]))
