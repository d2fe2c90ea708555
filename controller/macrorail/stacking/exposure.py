"""Frames equally bright and of one white: a flickering lamp must leave no seams in the picture.

Defocus spreads light and loses none, so that large parts of a scene are as bright in every slice:
their ratios to the reference tell each frame's gain. The median of them is not moved by a
reflection that comes and goes.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from macrorail.stacking.images import Picture
from macrorail.stacking.kernels import Floats, by_bands, map_values
from macrorail.stacking.light import display_table, linear_table

# Every so many pixels are looked at, either way.
_STRIDE_PX = 8
_PARTS = (12, 8)
# Parts darker than this (of 1) are noise; with fewer lighter ones nothing can be said.
_DARKEST = 0.003
_FEWEST = 8
# What is less than this is not worth the rounding of 8-bit values.
_NEGLIGIBLE = 0.01

Gains = tuple[float, float, float]


class Equaliser:
    """Compares frames, once they lie on the reference, with it.

    Parameters
    ----------
    reference
        (height, width, 3), uint8 or uint16.
    """

    def __init__(self, reference: Picture) -> None:
        self._reference = _look(reference)

    def gains(self, picture: Picture, reached: tuple[int, int, int, int]) -> Gains:
        """By what blue, green and red light of a frame have to be multiplied; 1 where there is too
        little light to tell.

        Parameters
        ----------
        picture
            In the reference's geometry, of its size and type.
        reached
            (x, y, width, height) of the part that the frame covers, pixels.
        """
        x, y, width, height = (-(-value // _STRIDE_PX) for value in reached)
        window = (slice(y, y + height - 1), slice(x, x + width - 1))
        ours, theirs = _look(picture)[window], self._reference[window]
        if min(ours.shape[:2]) < max(_PARTS):
            return 1.0, 1.0, 1.0
        parts = [cv2.resize(each, _PARTS, interpolation=cv2.INTER_AREA) for each in (ours, theirs)]
        found = []
        for channel in range(3):
            mine, wanted = parts[0][:, :, channel], parts[1][:, :, channel]
            lit = np.minimum(mine, wanted) > _DARKEST
            ratios = wanted[lit] / mine[lit]
            found.append(float(np.median(ratios)) if lit.sum() >= _FEWEST else 1.0)
        return found[0], found[1], found[2]


def _look(picture: Picture) -> Floats:
    table = linear_table(picture.dtype.itemsize * 8)
    return np.asarray(table[picture[::_STRIDE_PX, ::_STRIDE_PX]])


def apply_gains(picture: Picture, gains: Gains, result: Picture) -> bool:
    """Write a picture with its light multiplied, unless that would change next to nothing.

    Light beyond white stays white. Returns whether ``result`` was written.
    """
    if max(abs(gain - 1) for gain in gains) < _NEGLIGIBLE:
        return False
    bits = picture.dtype.itemsize * 8
    curves = np.stack([_curve(bits, gain).astype(picture.dtype) for gain in gains])
    height = picture.shape[0]
    by_bands(map_values, height, picture, curves, result)
    return True


def _curve(bits: int, gain: float) -> NDArray[np.float32]:
    """Display value for display value, of light times ``gain``."""
    table = display_table()
    light = np.clip(linear_table(bits) * gain, 0, 1) * (len(table) - 2)
    display = np.interp(light, np.arange(len(table)), table) * (((1 << bits) - 1) / 65535)
    return np.asarray(np.rint(display), np.float32)
