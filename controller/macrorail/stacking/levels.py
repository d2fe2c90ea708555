"""The levels of a stack's pyramid from half size on, each weighted and added in one pass over rows.

As in :mod:`~macrorail.stacking.finest`, the pass goes row by row, so that the data of a row stay in
the processor's cache.
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
    """Weight the detail of one level (h, w) and add it to the running sums.

    Rows ``first..last`` are rows of the next coarser level. Sharpness is the detail of ``grey`` in
    a small window, plus the sharpness ``carried`` from the finer level, plus ``noise``.
    :func:`weigh_row` computes the weights from it within the spans. ``weights`` and ``sums`` are
    the running sums. ``carried_on`` receives the sharpness at half the size. ``sharpness``, unless
    it is empty, receives the sharpness at the level's size.
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
