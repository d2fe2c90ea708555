"""Computes which pixels of the reference each frame of a stack covers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def valid_rect(
    transforms: list[NDArray[np.float64]], size: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """Return the rectangle of reference pixels that every frame covers.

    Parameters
    ----------
    transforms
        One (2, 3) transform per frame, from frame to reference pixel coordinates.
    size
        (height, width) of frames and reference, pixels.

    Returns
    -------
    (x, y, width, height) in pixels; width and height are 0 when the frames have no common area.
    """
    height, width = size
    left, top, right, bottom = 0.0, 0.0, float(width - 1), float(height - 1)
    corners = np.array([[x, y, 1] for y in (0, height - 1) for x in (0, width - 1)])
    for transform in transforms:
        # Sort corners by where they are, not by name: a frame may be upside down.
        across, down = np.sort((corners @ transform.T).T)
        left, right = max(left, across[1]), min(right, across[2])
        top, bottom = max(top, down[1]), min(bottom, down[2])
    x, y = math.ceil(left), math.ceil(top)
    return x, y, max(0, math.floor(right) - x + 1), max(0, math.floor(bottom) - y + 1)


def reached_spans(
    to_frame: NDArray[np.float64], size: tuple[int, int], halvings: int, level_size: tuple[int, int]
) -> NDArray[np.int32]:
    """Return the pixels of each row of a pyramid level that a frame covers.

    Parameters
    ----------
    to_frame
        (2, 3) transform from reference pixel coordinates to the frame's.
    size
        (height, width) of frame and reference, pixels.
    halvings
        How many times the level has been halved; its pixel (x, y) is at (x, y) * 2**halvings of
        the reference.
    level_size
        (height, width) of the level.

    Returns
    -------
    (height, 2) int32: first covered column, and the column after the last; equal if none is
    covered.
    """
    height, width = level_size
    step = float(1 << halvings)
    y = np.arange(height) * step
    left, right = np.zeros(height), np.full(height, (width - 1) * step)
    for row, most in ((to_frame[0], size[1] - 1), (to_frame[1], size[0] - 1)):
        # 0 <= slope * x + offset <= most, solved for x.
        slope, offset = row[0], row[1] * y + row[2]
        if slope == 0:
            outside = (offset < 0) | (offset > most)
            right = np.where(outside, -step, right)
            continue
        ends = np.sort(np.stack([-offset, most - offset]) / slope, axis=0)
        left, right = np.maximum(left, ends[0]), np.minimum(right, ends[1])
    # A tiny tolerance, so that rounding does not cut off the reference's own last pixel.
    first = np.ceil(left / step - 1e-6)
    end = np.maximum(first, np.floor(right / step + 1e-6) + 1)
    spans: NDArray[np.int32] = np.clip(np.stack([first, end], axis=1), 0, width).astype(np.int32)
    return spans
