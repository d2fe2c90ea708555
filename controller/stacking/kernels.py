"""The passes over pixels that NumPy and OpenCV would make several of, compiled and run in bands.

Every kernel works on rows ``first..last`` and holds no lock, so that two bands run on two cores
with the same result as one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Kernel = TypeVar("Kernel", bound=Callable[..., None])

BANDS = min(4, os.cpu_count() or 1)
_SMALL_ROWS = 256


def compiled(function: Kernel) -> Kernel:
    """Compile with numba on first use, kept on disk for the next process."""
    return cast(Kernel, numba.njit(nogil=True, cache=True, fastmath=True)(function))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(BANDS, thread_name_prefix="band")


def by_bands(kernel: Callable[..., None], height: int, *arguments: Any) -> None:
    """Run ``kernel(first, last, *arguments)`` over rows 0..height, in parallel bands."""
    if height < _SMALL_ROWS or BANDS == 1:
        kernel(0, height, *arguments)
        return
    edges = [height * band // BANDS for band in range(BANDS + 1)]
    tasks = [_pool().submit(kernel, first, last, *arguments) for first, last in pairwise(edges)]
    for task in tasks:
        task.result()


@compiled
def split_light(
    first: int,
    last: int,
    picture: NDArray[Any],
    tables: Floats,
    planes: Floats,
    grey: Floats,
    grey_scale: float,
) -> None:
    """Picture (h, w, 3) -> linear planes (3, h, w) by table, and display grey (h, w) by mean."""
    width = picture.shape[1]
    for y in range(first, last):
        for x in range(width):
            blue, green, red = picture[y, x, 0], picture[y, x, 1], picture[y, x, 2]
            planes[0, y, x] = tables[0, blue]
            planes[1, y, x] = tables[1, green]
            planes[2, y, x] = tables[2, red]
            total = np.float32(blue) + np.float32(2) * np.float32(green) + np.float32(red)
            grey[y, x] = total * np.float32(grey_scale)


@compiled
def absolute_difference(first: int, last: int, a: Floats, b: Floats, out: Floats) -> None:
    """``out = |a - b|``, all (h, w)."""
    for y in range(first, last):
        for x in range(a.shape[1]):
            out[y, x] = abs(a[y, x] - b[y, x])


@compiled
def weigh(
    first: int,
    last: int,
    sharpness: Floats,
    floor: float,
    to_frame: Doubles,
    frame_size: tuple[float, float],
    weights: Floats,
    total: Floats,
) -> None:
    """``weights = (sharpness + floor)^8`` where the frame reaches, 0 beyond; added to ``total``.

    ``to_frame`` (2, 3) takes a pixel of this level to the frame's own coordinates, counted in
    pixels of this level too; ``frame_size`` is the frame's last x and y there.
    """
    for y in range(first, last):
        for x in range(sharpness.shape[1]):
            frame_x = to_frame[0, 0] * x + to_frame[0, 1] * y + to_frame[0, 2]
            frame_y = to_frame[1, 0] * x + to_frame[1, 1] * y + to_frame[1, 2]
            reaches = (
                frame_x >= 0
                and frame_y >= 0
                and frame_x <= frame_size[0]
                and frame_y <= frame_size[1]
            )
            weight = np.float32(0)
            if reaches:
                weight = sharpness[y, x] + np.float32(floor)
                weight *= weight
                weight *= weight
                weight *= weight
            weights[y, x] = weight
            total[y, x] += weight


@compiled
def add_band(
    first: int, last: int, plane: Floats, coarser: Floats, weights: Floats, total: Floats
) -> None:
    """``total += weights * (plane - coarser)``, all (h, w)."""
    for y in range(first, last):
        for x in range(plane.shape[1]):
            total[y, x] += weights[y, x] * (plane[y, x] - coarser[y, x])


@compiled
def resolve_band(first: int, last: int, total: Floats, weight: Floats, coarser: Floats) -> None:
    """``total = total / weight + coarser``, all (h, w): a level of the fused pyramid."""
    for y in range(first, last):
        for x in range(total.shape[1]):
            total[y, x] = total[y, x] / weight[y, x] + coarser[y, x]


@compiled
def encode_plane(
    first: int, last: int, plane: Floats, table: Floats, picture: NDArray[Any], channel: int
) -> None:
    """Linear plane (h, w) -> one channel of a uint16 picture, by a table interpolated linearly."""
    steps = np.float32(table.shape[0] - 2)
    for y in range(first, last):
        for x in range(plane.shape[1]):
            place = min(max(plane[y, x], np.float32(0)), np.float32(1)) * steps
            index = int(place)
            part = place - np.float32(index)
            value = table[index] + part * (table[index + 1] - table[index])
            picture[y, x, channel] = np.uint16(value + np.float32(0.5))


@compiled
def track_peak(
    first: int,
    last: int,
    sharpness: Floats,
    index: int,
    below: int,
    sharpness_below: Floats,
    above: int,
    sharpness_above: Floats,
    best: Floats,
    best_index: NDArray[Any],
    best_below: Floats,
    best_above: Floats,
    total: Floats,
) -> None:
    """Keep, per pixel, the sharpest slice and the sharpness of its neighbours on either side.

    ``below`` and ``above`` are the slices next to this one among those seen, -1 where there is
    none; a side not seen is kept as -1.
    """
    for y in range(first, last):
        for x in range(sharpness.shape[1]):
            value = sharpness[y, x]
            total[y, x] += value
            if value > best[y, x]:
                best[y, x] = value
                best_index[y, x] = index
                best_below[y, x] = sharpness_below[y, x] if below >= 0 else np.float32(-1)
                best_above[y, x] = sharpness_above[y, x] if above >= 0 else np.float32(-1)
            elif best_index[y, x] == below:
                best_above[y, x] = value
            elif best_index[y, x] == above:
                best_below[y, x] = value


@compiled
def gather_normal_equations(
    first: int, last: int, points: Floats, moving: Floats, warp: Doubles, sums: Doubles
) -> None:
    """One step's equations over parts ``first..last`` of the points, one row of ``sums`` each.

    A row: 21 of the upper triangle of the normal matrix of (xx, xy, x, yx, yy, y) about the
    picture's middle, 6 of the right-hand side, then squares of fixed and moving, their product,
    and the number of points that fall inside.
    """
    height, width = moving.shape
    middle_x, middle_y = np.float32((width - 1) / 2), np.float32((height - 1) / 2)
    parts = sums.shape[0]
    jacobian = np.empty(6, np.float32)
    for part in range(first, last):
        start = points.shape[1] * part // parts
        end = points.shape[1] * (part + 1) // parts
        for n in range(start, end):
            x, y = points[0, n], points[1, n]
            at_x = warp[0, 0] * x + warp[0, 1] * y + warp[0, 2]
            at_y = warp[1, 0] * x + warp[1, 1] * y + warp[1, 2]
            if at_x < 0 or at_y < 0 or at_x >= width - 1 or at_y >= height - 1:
                continue
            left, top = int(at_x), int(at_y)
            part_x, part_y = np.float32(at_x - left), np.float32(at_y - top)
            upper = moving[top, left] + part_x * (moving[top, left + 1] - moving[top, left])
            lower = moving[top + 1, left] + part_x * (
                moving[top + 1, left + 1] - moving[top + 1, left]
            )
            value = upper + part_y * (lower - upper)
            difference = value - points[4, n]
            weight = np.float32(1) / max(np.float32(1), abs(difference))
            jacobian[0] = points[2, n] * (x - middle_x)
            jacobian[1] = points[2, n] * (y - middle_y)
            jacobian[2] = points[2, n]
            jacobian[3] = points[3, n] * (x - middle_x)
            jacobian[4] = points[3, n] * (y - middle_y)
            jacobian[5] = points[3, n]
            place = 0
            for row in range(6):
                weighted = weight * jacobian[row]
                for column in range(row, 6):
                    sums[part, place] += weighted * jacobian[column]
                    place += 1
                sums[part, 21 + row] += weighted * difference
            sums[part, 27] += points[4, n] * points[4, n]
            sums[part, 28] += value * value
            sums[part, 29] += value * points[4, n]
            sums[part, 30] += 1
