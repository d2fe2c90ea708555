"""Compiled computation of the gradients of every tile, the only pass over all pixels of a frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from macrorail.stacking.kernels import compiled


@compiled
def add_gradients(
    luma: NDArray[np.uint8], tile_px: int, row_step: int, means: NDArray[np.float64]
) -> None:
    """Write the means of gx gx, gy gy and gx gy of every tile of ``luma`` to ``means``.

    ``means`` has the shape (3, rows, columns). Only every ``row_step``-th row of a tile is read.
    The gradient of a pixel is its difference from the next pixel on the right and from the next
    pixel below. The last row and column of the last tiles have no gradient. Pixels
    outside complete tiles are ignored.
    """
    rows, columns = means.shape[1], means.shape[2]
    height, width = rows * tile_px - 1, columns * tile_px - 1
    for row in range(rows):
        last_y = min((row + 1) * tile_px, height)
        for column in range(columns):
            first_x = column * tile_px
            across = min(tile_px, width - first_x)
            xx = yy = xy = 0.0
            count = 0
            for y in range(row * tile_px, last_y, row_step):
                # Array slices indexed from 0, so that the compiler can vectorise the loop. The sums
                # of one row of a tile fit in 32 bits: 255**2 times the tile's width.
                here = luma[y, first_x : first_x + across]
                right = luma[y, first_x + 1 : first_x + 1 + across]
                below = luma[y + 1, first_x : first_x + across]
                row_xx = row_yy = row_xy = np.int32(0)
                for x in range(across):
                    value = np.int32(here[x])
                    gx = np.int32(right[x]) - value
                    gy = np.int32(below[x]) - value
                    row_xx += gx * gx
                    row_yy += gy * gy
                    row_xy += gx * gy
                xx += row_xx
                yy += row_yy
                xy += row_xy
                count += across
            means[0, row, column] = xx / count
            means[1, row, column] = yy / count
            means[2, row, column] = xy / count
