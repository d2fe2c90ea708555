"""The levels of a stack's pyramid from half size on, each weighed and added in one pass over rows.

As :mod:`~macrorail.stacking.finest` does for the finest, and for its reason: what a row has in the
processor's cache need not be fetched again.
"""

from __future__ import annotations

import numpy as np

from macrorail.stacking.finest import BESIDE, MIDDLE, carry_row, smooth_row, weigh_row
from macrorail.stacking.kernels import Floats, Spans, compiled, expand_row


@compiled
def add_level(
    first: int,
    last: int,
    grey: Floats,
    coarse_grey: Floats,
    carried: Floats,
    noise: float,
    is_fine: bool,
    spans: Spans,
    planes: tuple[Floats, Floats, Floats],
    coarse_planes: tuple[Floats, Floats, Floats],
    weights: Floats,
    sums: tuple[Floats, Floats, Floats],
    sharpness: Floats,
    carried_on: Floats,
) -> None:
    """Weigh the detail of one level (h, w) and add it; rows ``first..last`` are the next level's.

    Sharpness is the detail of ``grey`` in a small window, plus what was ``carried`` from the finer
    level, plus ``noise``; within the spans :func:`weigh_row` weighs it. ``weights`` and ``sums``
    are the running sums; ``carried_on`` takes the sharpness at half the size, and ``sharpness`` as
    it is, unless it is empty.
    """
    height, width = grey.shape
    floor = np.float32(noise)
    mixed = np.empty(coarse_grey.shape[1], np.float32)
    scratch = np.empty(width, np.float32)
    expanded = np.empty(width, np.float32)
    ring = np.empty((3, width), np.float32)
    sharp = np.empty((5, width), np.float32)
    seen, weighed = 2 * first - 4, 2 * first - 3
    for half in range(first, last):
        while weighed < min(2 * half + 2, height - 1):
            weighed += 1
            while seen < weighed + 1:
                seen += 1
                inside = min(max(seen, 0), height - 1)
                expand_row(coarse_grey, inside, mixed, scratch)
                fine = grey[inside]
                for x in range(width):
                    scratch[x] = abs(fine[x] - scratch[x])
                smooth_row(scratch, ring[seen % 3])
            above, here, below = ring[(weighed - 1) % 3], ring[weighed % 3], ring[(weighed + 1) % 3]
            into = sharp[weighed % 5]
            finer = carried[max(weighed, 0)]
            for x in range(width):
                into[x] = MIDDLE * here[x] + BESIDE * (above[x] + below[x]) + (finer[x] + floor)
        carry_row(sharp, half, height, scratch, carried_on[half])
        for y in range(2 * half, min(2 * half + 2, height)):
            if sharpness.shape[0] > 0:
                sharpness[y] = sharp[y % 5]
            begin, end = spans[y, 0], spans[y, 1]
            power = scratch[begin:end]
            weigh_row(sharp[y % 5, begin:end], is_fine, power, weights[y, begin:end])
            for plane in range(3):
                expand_row(coarse_planes[plane], y, mixed, expanded)
                fine, coarse = planes[plane][y, begin:end], expanded[begin:end]
                out = sums[plane][y, begin:end]
                for x in range(end - begin):
                    out[x] += power[x] * (fine[x] - coarse[x])
