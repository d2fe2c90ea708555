"""Conversion between display values and linear light; a lens blurs light, so light is blended.

The conversion uses the sRGB transfer function of IEC 61966-2-1, in tables.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from macrorail.stacking.kernels import by_bands, encode_plane

# Linear light is tabulated in steps of 1/_STEPS and interpolated. The steps are fine enough to
# return every 16-bit value exactly (the curve is steepest, and straight, near black).
_STEPS = 1 << 16
# Light as a polynomial of the display value 0..1, coefficients of its first to fifth power. It is
# within 0.44 of an 8-bit step of sRGB's curve everywhere, 0 at 0, 1 at 1, and increases everywhere.
# The processor computes it for many values at once; a table lookup takes more than twice as long.
# Fitted by least squares in display steps, with weights adjusted until all peaks of the deviation
# were equal.
_POWERS = (0.06604, 0.20578, 1.70161, -1.64242, 0.66899)


@cache
def linear_table(bits: int) -> NDArray[np.float32]:
    """Return linear light 0..1 for every display value of 8 or 16 bits, float32."""
    display = np.arange(1 << bits, dtype=np.float64) / ((1 << bits) - 1)
    linear = np.where(display <= 0.04045, display / 12.92, ((display + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


@cache
def display_table() -> NDArray[np.float32]:
    """Return 16-bit display values (float32, unrounded) for light in even steps from 0 past 1."""
    linear = np.arange(_STEPS + 2, dtype=np.float64) / _STEPS
    display = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (display * 65535).astype(np.float32)


@cache
def curve(bits: int) -> NDArray[np.float32]:
    """Return coefficients (5,) for the first to fifth power of a display value of 8 or 16 bits.

    The polynomial gives linear light 0..1. It is fast and close enough to sRGB for blending.
    """
    unit = float((1 << bits) - 1)
    return np.array([factor / unit**n for n, factor in enumerate(_POWERS, 1)], np.float32)


@cache
def curve_back() -> NDArray[np.float32]:
    """Return a table like that of :func:`display_table`, as the inverse of :func:`curve`."""
    display = np.linspace(0, 1 + 1 / _STEPS, 1 << 18)
    light = np.polynomial.polynomial.polyval(display, (0, *_POWERS))
    steps = np.arange(_STEPS + 2, dtype=np.float64) / _STEPS
    return (np.interp(steps, light, display) * 65535).astype(np.float32)


def to_display(planes: list[NDArray[np.float32]], table: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Join linear planes into a picture of display values.

    Parameters
    ----------
    planes
        Blue, green and red, each (height, width), linear light. Values outside 0..1, caused by
        noise and by overshoot of the pyramid, become black or white.
    table
        Table from :func:`display_table` or :func:`curve_back`: the inverse of the curve used
        before.

    Returns
    -------
    array of shape (height, width, 3), uint16, sRGB-encoded
    """
    height, width = planes[0].shape
    picture = np.empty((height, width, 3), np.uint16)
    for channel, plane in enumerate(planes):
        by_bands(encode_plane, height, plane, table, picture, channel)
    return picture
