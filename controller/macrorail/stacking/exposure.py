"""Gives all frames the reference's brightness and white: a flickering lamp leaves no seams.

Defocus spreads light and loses none, so that large parts of a scene are as bright in every slice:
the ratios of such parts to the reference's give each frame's gain. Only parts that are well exposed
in all colours tell; their median is not moved by a reflection that comes and goes. All colours get
one gain, unless the white balance differs in all parts alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from macrorail.stacking.images import Picture
from macrorail.stacking.kernels import Floats, by_bands, map_values
from macrorail.stacking.light import display_table, linear_table

# Every so many pixels are looked at, either way.
_STRIDE_PX = 8
_PARTS = (12, 8)
# Light, of 1, that a part has at least in each colour, and in the three together where too few
# parts have as much; and from which on a pixel is clipped.
_DARKEST = 0.012
_DARKEST_MEAN = 0.006
_CLIPPED = 0.96
# Share of a part that may be clipped, and how many parts are needed.
_MOST_CLIPPED = 0.02
_FEWEST = 8
# A gain counts where it is larger than what the parts differ by, their standard deviation.
_DISAGREE = 1.0
# A white balance differs where a colour is off by more than this, as a logarithm, to one side in
# most parts, and by nearly as much in all: the deviation is a small share of it.
_OTHER_WHITE = 0.04
_ALIKE = 0.5
_MOST_PARTS = 0.75
# What is less than this is not worth the rounding of 8-bit values.
_NEGLIGIBLE = 0.01
# Light up to which a gain applies fully; above it the curve bends so that white stays white.
_KNEE = 0.8

Gains = tuple[float, float, float]
NO_GAINS: Gains = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Equalisation:
    """What a frame's light has to be multiplied by.

    Attributes
    ----------
    gains
        Of blue, green and red; all alike unless the white balance differs.
    other_white
        Whether it does.
    """

    gains: Gains
    other_white: bool


class Equaliser:
    """Compares aligned frames with the reference.

    Parameters
    ----------
    reference
        (height, width, 3), uint8 or uint16.
    """

    def __init__(self, reference: Picture) -> None:
        self._reference = _look(reference)

    def compare(self, picture: Picture, reached: tuple[int, int, int, int]) -> Equalisation:
        """The gains of a frame; 1 where too little of it is well exposed to tell.

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
            return Equalisation(NO_GAINS, False)
        clipped = (np.maximum(ours, theirs).max(axis=2) > _CLIPPED).astype(np.float32)
        mine, wanted, lost = (
            cv2.resize(each, _PARTS, interpolation=cv2.INTER_AREA)
            for each in (ours, theirs, clipped)
        )
        whole = lost < _MOST_CLIPPED
        least = np.minimum(mine, wanted)
        telling = whole & (least.min(axis=2) > _DARKEST)
        logs = np.log(np.maximum(wanted, 1e-6) / np.maximum(mine, 1e-6))
        if telling.sum() >= _FEWEST:
            colours = logs[telling]
            common = colours.mean(axis=1)
            off = colours - common[:, np.newaxis]
            if _is_other_white(off):
                gains = np.exp(np.median(colours, axis=0))
                return Equalisation((float(gains[0]), float(gains[1]), float(gains[2])), True)
        else:
            telling = whole & (least.mean(axis=2) > _DARKEST_MEAN)
            if telling.sum() < _FEWEST:
                return Equalisation(NO_GAINS, False)
            common = np.log(wanted.mean(axis=2)[telling] / mine.mean(axis=2)[telling])
        middle = float(np.median(common))
        if _deviation(common) > _DISAGREE * abs(middle):
            return Equalisation(NO_GAINS, False)
        gain = float(np.exp(middle))
        return Equalisation((gain, gain, gain), False)


def _is_other_white(off: NDArray[np.float32]) -> bool:
    """Whether colours, (parts, 3) as logarithms against their mean, are off everywhere alike."""
    middle = np.median(off, axis=0)
    worst = int(np.abs(middle).argmax())
    same_side = float((np.sign(off[:, worst]) == np.sign(middle[worst])).mean())
    alike = _deviation(off[:, worst]) < _ALIKE * abs(middle[worst])
    return bool(abs(middle[worst]) > _OTHER_WHITE and same_side > _MOST_PARTS and alike)


def _deviation(values: NDArray[np.float32]) -> float:
    """Standard deviation, by the median deviation from the median."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _look(picture: Picture) -> Floats:
    table = linear_table(picture.dtype.itemsize * 8)
    return np.asarray(table[picture[::_STRIDE_PX, ::_STRIDE_PX]])


def apply_gains(picture: Picture, gains: Gains, result: Picture) -> bool:
    """Write a picture with its light multiplied, unless that would change next to nothing.

    Black stays black and white stays white. Returns whether ``result`` was written.
    """
    if max(abs(gain - 1) for gain in gains) < _NEGLIGIBLE:
        return False
    bits = picture.dtype.itemsize * 8
    curves = np.stack([_curve(bits, gain).astype(picture.dtype) for gain in gains])
    height = picture.shape[0]
    by_bands(map_values, height, picture, curves, result)
    return True


def _curve(bits: int, gain: float) -> NDArray[np.float32]:
    """Display value for display value, of light times ``gain`` up to the knee."""
    table = display_table()
    knee = min(_KNEE, _KNEE / gain)
    light = np.interp(linear_table(bits), [0, knee, 1], [0, knee * gain, 1]) * (len(table) - 2)
    display = np.interp(light, np.arange(len(table)), table) * (((1 << bits) - 1) / 65535)
    return np.asarray(np.rint(display), np.float32)
