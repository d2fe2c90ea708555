"""Compiled loops over pixels that would need several passes in NumPy or OpenCV, run in bands.

Every kernel works on rows ``first..last`` without Python's lock, so that two bands run on two
cores. The result does not depend on the number of bands.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Pixels = NDArray[Any]
Spans = NDArray[np.int32]
Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_CORES = min(4, os.cpu_count() or 1)
# More bands than cores: when another thread keeps one core busy, the other cores take more bands.
_BANDS_A_CORE = 4
BANDS = 1 if _CORES == 1 else _BANDS_A_CORE * _CORES
_SMALL_ROWS = 256
_POINTS_AT_A_TIME = 256
# Floating-point properties the compiler may assume. It may not reorder sums or fuse products:
# a process that has just compiled a kernel would then round differently from one that loaded it
# from disk, but a stack must give the same pixels in both.
_ASSUMED = {"nnan", "ninf", "nsz"}
# For a sum that only guides a search whose result is saved.
_REARRANGED = {*_ASSUMED, "reassoc", "contract"}


def compiled(function: Kernel, assumed: set[str] = _ASSUMED) -> Kernel:
    """Compile a function with numba on first use, and cache the result on disk.

    A user without a writable cache folder, such as a service's user, compiles in every process.
    """
    options: dict[str, Any] = {"nogil": True, "fastmath": assumed}
    try:
        return cast(Kernel, numba.njit(cache=True, **options)(function))
    except RuntimeError:  # "no locator available": there is no writable cache folder
        return cast(Kernel, numba.njit(**options)(function))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_CORES, thread_name_prefix="band")


def by_bands(kernel: Callable[..., None], height: int, *arguments: Any) -> None:
    """Run ``kernel(first, last, *arguments)`` over rows 0..height, in parallel bands."""
    by_bands_of(range(height), kernel, *arguments)


def by_bands_of(rows: range, kernel: Callable[..., None], *arguments: Any) -> None:
    """Run ``kernel(first, last, *arguments)`` over the given rows, in parallel bands."""
    if len(rows) < _SMALL_ROWS or BANDS == 1:
        kernel(rows.start, rows.stop, *arguments)
        return
    edges = [rows.start + len(rows) * band // BANDS for band in range(BANDS + 1)]
    tasks = [_pool().submit(kernel, first, last, *arguments) for first, last in pairwise(edges)]
    for task in tasks:
        task.result()


@compiled
def map_values(first: int, last: int, picture: Pixels, curves: Pixels, result: Pixels) -> None:
    """Map every channel of a picture (h, w, 3) through its own curve (3, values)."""
    for y in range(first, last):
        for x in range(picture.shape[1]):
            for channel in range(3):
                result[y, x, channel] = curves[channel, picture[y, x, channel]]


@compiled
def add_weighted(
    first: int,
    last: int,
    picture: Pixels,
    spans: Spans,
    table: Floats,
    power: Floats,
    halvings: int,
    weights: Floats,
    blues: Floats,
    greens: Floats,
    reds: Floats,
) -> None:
    """Add the light of a picture (h, w, 3), weighted by ``power``, within the spans.

    The size of ``power`` has been halved ``halvings`` times. It is interpolated linearly: pixel (x,
    y) of the picture is at (x, y) / 2**halvings of ``power``.
    """
    lowest, rightmost = power.shape[0] - 1, power.shape[1] - 1
    unit = np.float32(0.5**halvings)
    mixed = np.empty(power.shape[1], np.float32)
    for y in range(first, last):
        above = min(y >> halvings, lowest)
        below = min(above + 1, lowest)
        past = np.float32(y - (above << halvings)) * unit
        for x in range(power.shape[1]):
            mixed[x] = power[above, x] + past * (power[below, x] - power[above, x])
        for x in range(spans[y, 0], spans[y, 1]):
            left = min(x >> halvings, rightmost)
            right = min(left + 1, rightmost)
            part = np.float32(x - (left << halvings)) * unit
            weight = mixed[left] + part * (mixed[right] - mixed[left])
            weights[y, x] += weight
            blues[y, x] += weight * table[picture[y, x, 0]]
            greens[y, x] += weight * table[picture[y, x, 1]]
            reds[y, x] += weight * table[picture[y, x, 2]]


@compiled
def to_channels(first: int, last: int, luma: Floats, blue: Floats, red: Floats) -> None:
    """Convert luma and the chromas of blue and red, all (h, w), to linear green, blue and red."""
    for y in range(first, last):
        for x in range(luma.shape[1]):
            mean, of_blue, of_red = luma[y, x], blue[y, x], red[y, x]
            blue[y, x] = mean + of_blue
            luma[y, x] = mean - (of_blue + of_red) * np.float32(0.5)
            red[y, x] = mean + of_red


def by_parts(kernel: Callable[..., None], parts: int, *arguments: Any) -> None:
    """Run ``kernel(part, part + 1, *arguments)`` for every part, in parallel."""
    tasks = [_pool().submit(kernel, part, part + 1, *arguments) for part in range(parts)]
    for task in tasks:
        task.result()


@compiled
def expand_row(coarse: Floats, y: int, mixed: Floats, row: Floats) -> None:
    """Compute row ``y`` of a level twice as fine, by the 5-tap kernel 1 4 6 4 1.

    ``mixed`` (width of ``coarse``) is scratch space; ``row`` receives the result. Source: Burt and
    Adelson (1983).
    """
    height, width = coarse.shape
    middle = y // 2
    here, below = coarse[middle], coarse[min(middle + 1, height - 1)]
    if y % 2:
        for x in range(width):
            mixed[x] = np.float32(0.5) * (here[x] + below[x])
    else:
        above = coarse[max(middle - 1, 0)]
        for x in range(width):
            mixed[x] = np.float32(0.75) * here[x] + np.float32(0.125) * (above[x] + below[x])
    full = row.shape[0]
    row[0] = mixed[0] + np.float32(0.125) * (mixed[min(1, width - 1)] - mixed[0])
    if width == 1:
        row[full - 1] = mixed[0]
        return
    row[1] = np.float32(0.5) * (mixed[0] + mixed[1])
    # Array views, with even and odd pixels in one loop, so that the compiler can vectorise it.
    left, centre, right, out = mixed[: width - 2], mixed[1 : width - 1], mixed[2:], row[2:]
    for x in range(width - 2):
        out[2 * x] = np.float32(0.75) * centre[x] + np.float32(0.125) * (left[x] + right[x])
        out[2 * x + 1] = np.float32(0.5) * (centre[x] + right[x])
    row[2 * width - 2] = mixed[width - 1] + np.float32(0.125) * (
        mixed[width - 2] - mixed[width - 1]
    )
    if full == 2 * width:
        row[full - 1] = mixed[width - 1]


@compiled
def resolve_band(
    first: int, last: int, total: Floats, weights: Floats, coarse: Floats, level: Floats
) -> None:
    """Set ``level = total / weights + expanded coarse``, (h, w); ``level`` may be ``total``."""
    mixed = np.empty(coarse.shape[1], np.float32)
    row = np.empty(total.shape[1], np.float32)
    for y in range(first, last):
        expand_row(coarse, y, mixed, row)
        of_total, weight, out = total[y], weights[y], level[y]
        for x in range(row.shape[0]):
            out[x] = of_total[x] / weight[x] + row[x]


@compiled
def encode_plane(
    first: int, last: int, plane: Floats, table: Floats, picture: Pixels, channel: int
) -> None:
    """Encode a linear plane (h, w) into one channel of a uint16 picture, interpolating a table."""
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

    ``below`` and ``above`` are the nearest slices on either side of this one among those already
    added; -1 where there is none. Sharpness on a side without a slice is kept as -1.
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


@partial(compiled, assumed=_REARRANGED)
def _dot(one: Floats, other: Floats) -> np.float32:
    total = np.float32(0)
    for n in range(one.shape[0]):
        total += one[n] * other[n]
    return total


@compiled
def gather_normal_equations(
    first: int, last: int, points: Floats, moving: Floats, warp: Doubles, sums: Doubles
) -> None:
    """Accumulate the normal equations of one step over parts ``first..last`` of the points.

    Each part fills one row of ``sums``. The row has 21 values of the upper triangle of the normal
    matrix for (xx, xy, x, yx, yy, y) about the picture's middle, then 6 values of the right-hand
    side. Then follow the sums of squares of the fixed and of the moving picture, the sum of their
    product, and the number of points inside the moving picture.
    """
    height, width = moving.shape
    middle_x, middle_y = np.float32((width - 1) / 2), np.float32((height - 1) / 2)
    parts = sums.shape[0]
    # Points are looked up in groups and then summed, so that the compiler can vectorise the sums.
    terms = np.empty((9, _POINTS_AT_A_TIME), np.float32)
    weights = np.empty(_POINTS_AT_A_TIME, np.float32)
    for part in range(first, last):
        end = points.shape[1] * (part + 1) // parts
        row = sums[part]
        for start in range(points.shape[1] * part // parts, end, _POINTS_AT_A_TIME):
            count = 0
            for n in range(start, min(start + _POINTS_AT_A_TIME, end)):
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
                across, down = points[2, n], points[3, n]
                far_x, far_y = x - middle_x, y - middle_y
                terms[0, count], terms[1, count] = across * far_x, across * far_y
                terms[2, count], terms[3, count] = across, down * far_x
                terms[4, count], terms[5, count] = down * far_y, down
                terms[6, count] = value - points[4, n]
                terms[7, count], terms[8, count] = points[4, n], value
                weights[count] = np.float32(1) / max(np.float32(1), abs(value - points[4, n]))
                count += 1
            place = 0
            for i in range(6):
                weighted = weights[:count] * terms[i, :count]
                for j in range(i, 6):
                    row[place] += _dot(weighted, terms[j, :count])
                    place += 1
                row[21 + i] += _dot(weighted, terms[6, :count])
            row[27] += _dot(terms[7, :count], terms[7, :count])
            row[28] += _dot(terms[8, :count], terms[8, :count])
            row[29] += _dot(terms[8, :count], terms[7, :count])
            row[30] += count
