"""How far the frames of a stack reach: the part of the reference that all of them cover."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def valid_rect(
    transforms: list[NDArray[np.float64]], size: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """The rectangle of reference pixels that every frame covers.

    Parameters
    ----------
    transforms
        (2, 3) each, frame pixel coordinates to reference pixel coordinates.
    size
        (height, width) of frames and reference, pixels.

    Returns
    -------
    (x, y, width, height) in whole pixels; width and height are 0 when nothing is common.
    """
    height, width = size
    left, top, right, bottom = 0.0, 0.0, float(width - 1), float(height - 1)
    corners = np.array([[x, y, 1] for y in (0, height - 1) for x in (0, width - 1)])
    for transform in transforms:
        top_left, top_right, bottom_left, bottom_right = corners @ transform.T
        left = max(left, top_left[0], bottom_left[0])
        right = min(right, top_right[0], bottom_right[0])
        top = max(top, top_left[1], top_right[1])
        bottom = min(bottom, bottom_left[1], bottom_right[1])
    x, y = math.ceil(left), math.ceil(top)
    return x, y, max(0, math.floor(right) - x + 1), max(0, math.floor(bottom) - y + 1)
