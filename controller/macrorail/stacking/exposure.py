"""Adjusts all frames to the reference's brightness and white, so that lamp flicker does no harm.

Defocus spreads light but loses none, so large parts of a scene are equally bright in every slice.
The brightness ratios of these parts to the reference give each frame's gain. Only parts that are
well exposed in all colours are used. The median of the ratios is not affected by a reflection that
appears and disappears. All colours get the same gain, unless the white balance differs in the same
way in all parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from macrorail.stacking.images import Picture
from macrorail.stacking.kernels import Floats, by_bands, map_values
from macrorail.stacking.light import display_table, linear_table

# Distance in pixels, in both directions, between the pixels that are used.
_STRIDE_PX = 8
_PARTS = (12, 8)
# Light (white is 1) that a part must have: in each colour; and, if too few parts have this, the
# mean of the three colours. Then the light above which a pixel counts as clipped.
_DARKEST = 0.012
_DARKEST_MEAN = 0.006
_CLIPPED = 0.96
# Largest share of a part that may be clipped, and number of parts needed.
_MOST_CLIPPED = 0.02
_FEWEST = 8
# A gain is used only if it exceeds this many times the standard deviation between the parts.
_DISAGREE = 1.0
# The white balance differs if a colour is off by more than this (logarithm), to the same side in
# most parts, and by almost the same amount: the deviation is a small share of the amount.
_OTHER_WHITE = 0.04
_ALIKE = 0.5
_MOST_PARTS = 0.75
# Smaller differences are not worth the rounding of 8-bit values.
_NEGLIGIBLE = 0.01
# Light up to which a gain applies fully. Above it the curve bends, so that white stays white.
_KNEE = 0.8

Gains = tuple[float, float, float]
NO_GAINS: Gains = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Equalisation:
    """Factors by which a frame's light has to be multiplied.

    Attributes
    ----------
    gains
        Factors for blue, green and red; equal unless the white balance differs.
    other_white
        Whether the white balance differs.
    """

    gains: Gains
    other_white: bool


class Equaliser:
    """Compares the brightness of aligned frames with the reference.

    Parameters
    ----------
    reference
        Reference frame, (height, width, 3), uint8 or uint16.
    """

    def __init__(self, reference: Picture) -> None:
        self._reference = _look(reference)

    def compare(self, picture: Picture, reached: tuple[int, int, int, int]) -> Equalisation:
        """Return the gains of a frame; they are 1 if too little of the frame is well exposed.

        Parameters
        ----------
        picture
            Aligned frame with the size and type of the reference.
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
    """Return whether the colours of all parts differ from the reference in the same way.

    ``off`` (parts, 3) contains the logarithm of each colour's ratio, minus the mean of the three.
    """
    middle = np.median(off, axis=0)
    worst = int(np.abs(middle).argmax())
    same_side = float((np.sign(off[:, worst]) == np.sign(middle[worst])).mean())
    alike = _deviation(off[:, worst]) < _ALIKE * abs(middle[worst])
    return bool(abs(middle[worst]) > _OTHER_WHITE and same_side > _MOST_PARTS and alike)


def _deviation(values: NDArray[np.float32]) -> float:
    """Return the standard deviation, estimated by the median deviation from the median."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _look(picture: Picture) -> Floats:
    table = linear_table(picture.dtype.itemsize * 8)
    return np.asarray(table[picture[::_STRIDE_PX, ::_STRIDE_PX]])


def apply_gains(picture: Picture, gains: Gains, result: Picture) -> bool:
    """Multiply the light of a picture by gains and write it to ``result``.

    Nothing is written if the change would be negligible. Black stays black and white stays white.
    Returns whether ``result`` was written.
    """
    if max(abs(gain - 1) for gain in gains) < _NEGLIGIBLE:
        return False
    bits = picture.dtype.itemsize * 8
    curves = np.stack([_curve(bits, gain).astype(picture.dtype) for gain in gains])
    height = picture.shape[0]
    by_bands(map_values, height, picture, curves, result)
    return True


def _curve(bits: int, gain: float) -> NDArray[np.float32]:
    """Return a table of display values for light multiplied by ``gain``, up to the knee."""
    table = display_table()
    knee = min(_KNEE, _KNEE / gain)
    light = np.interp(linear_table(bits), [0, knee, 1], [0, knee * gain, 1]) * (len(table) - 2)
    display = np.interp(light, np.arange(len(table)), table) * (((1 << bits) - 1) / 65535)
    return np.asarray(np.rint(display), np.float32)
