"""Resamples a frame onto the reference by an affine transform: cubic, rows first, then columns.

With two passes a pixel takes twelve products, with one pass 36 (Catmull and Smith, "3-D
transformations of images in scanline order", 1980). Frames of a stack are rotated by hundredths of
a degree only. So long runs of pixels have their neighbours at the same offsets, and the sums over
rows are plain enough for the compiler to vectorise.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from macrorail.stacking.images import Picture
from macrorail.stacking.kernels import Floats, Pixels, by_bands, compiled

# If a row of the result crosses more rows of the frame than this, OpenCV resamples the frame.
_MOST_ROWS_CROSSED = 40
_TAPS = 6


def lay(picture: Picture, to_frame: NDArray[np.float64], laid: Picture) -> None:
    """Fill ``laid`` with ``picture``, resampled into the reference's geometry.

    Parameters
    ----------
    picture
        (height, width, 3) uint8 or uint16.
    to_frame
        (2, 3) float64 transform from reference pixel coordinates to the frame's.
    laid
        Receives the result; shape and type of ``picture``. Outside the frame its border is
        repeated.
    """
    height, width = picture.shape[:2]
    crossed = abs(to_frame[1, 0]) * width
    if crossed > _MOST_ROWS_CROSSED or abs(to_frame[1, 1] - 1) > 0.5:
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        border = cv2.BORDER_REPLICATE
        cv2.warpAffine(picture, to_frame, (width, height), laid, flags, border)
        return
    ring_rows = int(crossed) + 2 + _TAPS
    columns = np.repeat(np.arange(width, dtype=np.float32), 3)
    flat = picture.reshape(height, width * 3)
    by_bands(_lay, height, flat, to_frame, columns, ring_rows, laid.reshape(height, width * 3))


@compiled
def _sum_shifted(
    rows: tuple[Pixels, Pixels, Pixels, Pixels, Pixels, Pixels],
    at: Floats,
    slope: np.float32,
    shift: np.float32,
    result: Floats,
) -> None:
    """Set ``result`` to the rows interpolated at the fraction ``slope * at + shift``.

    The fraction is the part of the way from the third row to the fourth. The interpolation is cubic
    convolution of fourth order (Keys 1981), which preserves fine detail.
    """
    a, b, c, d, e, f = rows
    for x in range(result.shape[0]):
        past = at[x] * slope + shift
        here, below = np.float32(c[x]), np.float32(b[x])
        step, outer = np.float32(d[x]) - here, np.float32(e[x])
        # The six weights as one polynomial of ``past``; its value at 1 is the weight of the fourth
        # row.
        linear = (np.float32(a[x]) - outer) + np.float32(8) * (np.float32(d[x]) - below)
        cubic = (np.float32(a[x]) - np.float32(f[x])) + (
            np.float32(7) * (outer - below) - np.float32(16) * step
        )
        square = np.float32(12) * step - (linear + cubic)
        result[x] = here + past * np.float32(1 / 12) * (linear + past * (square + past * cubic))


@compiled
def _run_end(at: float, slope: float, x: int, width: int) -> int:
    """Return the end of the run of pixels, starting at ``x``, in which floor(at) grows as x does.

    From each pixel to the next, ``at`` increases by 1 plus ``slope``.
    """
    if slope == 0:
        return width
    room = 1 - (at - np.floor(at)) if slope > 0 else at - np.floor(at)
    steps = min(room / max(abs(slope), 1e-12), float(width))
    return min(width, x + 1 + int(steps * 0.999999))


@compiled
def _pixel(row: Pixels, place: int) -> Pixels:
    """Return the three values of one pixel of a row, or of the border pixel if outside the row."""
    first = 3 * min(max(place, 0), row.shape[0] // 3 - 1)
    return row[first : first + 3]


@compiled
def _along_row(source: Pixels, scale: float, start: float, columns: Floats, result: Floats) -> None:
    """Set ``result[x] = source(scale * x + start)``, three channels side by side."""
    width = source.shape[0] // 3
    slope = np.float32(scale - 1)
    x = 0
    while x < width:
        u = scale * x + start
        left = int(np.floor(u))
        offset = left - x
        shift = np.float32(start - offset)
        if left >= 2 and left + 3 < width:
            end = min(_run_end(u, scale - 1, x, width), width - 3 - offset)
            size, base = 3 * (end - x), 3 * (left - 2)
            rows = (
                source[base : base + size],
                source[base + 3 : base + 3 + size],
                source[base + 6 : base + 6 + size],
                source[base + 9 : base + 9 + size],
                source[base + 12 : base + 12 + size],
                source[base + 15 : base + 15 + size],
            )
        else:
            # At the frame's border and beyond it, pixels are processed one by one.
            end = x + 1
            rows = (
                _pixel(source, left - 2),
                _pixel(source, left - 1),
                _pixel(source, left),
                _pixel(source, left + 1),
                _pixel(source, left + 2),
                _pixel(source, left + 3),
            )
        reach = slice(3 * x, 3 * end)
        _sum_shifted(rows, columns[reach], slope, shift, result[reach])
        x = end


@compiled
def _lay(
    first: int,
    last: int,
    picture: Pixels,
    to_frame: NDArray[np.float64],
    columns: Floats,
    ring_rows: int,
    laid: Pixels,
) -> None:
    height, width = picture.shape[0], picture.shape[1] // 3
    m00, m01, m02 = to_frame[0]
    m10, m11, m12 = to_frame[1]
    # Along row v of the frame, y = (v - m10 x - m12) / m11; this y is inserted into u.
    scale, shear, start = m00 - m01 * m10 / m11, m01 / m11, m02 - m01 * m12 / m11
    ring = np.empty((ring_rows, width * 3), np.float32)
    held = np.full(ring_rows, -(1 << 30), np.int64)
    sums = np.empty(width * 3, np.float32)
    top = np.float32(255 if picture.itemsize == 1 else 65535)
    for y in range(first, last):
        x = 0
        while x < width:
            v = m10 * x + m11 * y + m12
            above = int(np.floor(v))
            end = _run_end(v, m10, x, width)
            for row in range(above - 2, above + 4):
                place = row % ring_rows
                if held[place] != row:
                    held[place] = row
                    inside = min(max(row, 0), height - 1)
                    _along_row(picture[inside], scale, shear * row + start, columns, ring[place])
            reach = slice(3 * x, 3 * end)
            rows = (
                ring[(above - 2) % ring_rows][reach],
                ring[(above - 1) % ring_rows][reach],
                ring[above % ring_rows][reach],
                ring[(above + 1) % ring_rows][reach],
                ring[(above + 2) % ring_rows][reach],
                ring[(above + 3) % ring_rows][reach],
            )
            shift = np.float32(m11 * y + m12 - above)
            _sum_shifted(rows, columns[reach], np.float32(m10), shift, sums[reach])
            x = end
        out = laid[y]
        for n in range(out.shape[0]):
            out[n] = np.int32(min(max(sums[n] + np.float32(0.5), np.float32(0)), top))
