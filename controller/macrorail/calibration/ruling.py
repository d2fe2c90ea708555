"""Reads a leaning ruling in a photograph: where it is sharpest, and how large it is there.

The target is a plate with straight parallel lines of known pitch. They run across the picture from
left to right, and the plate leans so that one end of the lines is nearer than the other. In every
column the lines then tell two things: their contrast how sharp that depth is, their spacing how
many pixels a micrometre has there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from macrorail.errors import CalibrationError

_PADDING = 4
"""Finer steps of frequency than the picture's height gives by itself, before interpolation."""
_PITCH_TOLERANCE = 1.5
"""How far, as a factor, the lines may be from the pitch that is expected in the picture."""
_LEAST_CONTRAST = 0.08
"""Of the sharpest column: modulation over mean, below which there are no lines to be seen."""
_TOP = 0.75
"""Share of the highest contrast above which columns count for the place of the maximum."""
_SMOOTHED_COLUMNS = 5

Grey = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sharpest:
    """Where a leaning ruling is sharpest in a picture.

    Attributes
    ----------
    across_um
        On the specimen, micrometres to the right of the picture's middle.
    px_per_um
        Scale of the plane in focus: pixels of the picture per micrometre on the specimen.
    contrast
        Of the lines there, modulation over mean, 0..1.
    """

    across_um: float
    px_per_um: float
    contrast: float


def find_sharpest(grey: Grey, pitch_um: float, expected_px_per_um: float) -> Sharpest | None:
    """Find the sharpest place of the ruling.

    Parameters
    ----------
    grey
        Float (height, width), one channel of the photograph.
    pitch_um
        From line to line.
    expected_px_per_um
        Roughly the scale; two thirds to one and a half times of it are searched.

    Returns
    -------
    Sharpest or None
        ``None`` when the sharpest place is not in the picture as a whole: no lines, or at an edge.

    Raises
    ------
    CalibrationError
        The lines would be too fine or too coarse for this picture.
    """
    height, width = grey.shape
    expected_px = pitch_um * expected_px_per_um
    _check_pitch(expected_px, height)
    contrast, cycles_per_px = _lines(grey, expected_px)
    smooth = np.convolve(contrast, np.full(_SMOOTHED_COLUMNS, 1 / _SMOOTHED_COLUMNS), "same")
    top = int(np.argmax(smooth))
    high = smooth > _TOP * smooth[top]
    # The run of columns around the maximum that are nearly as sharp.
    first = top - int(np.argmin(high[: top + 1][::-1])) + 1
    last = top + int(np.argmin(high[top:])) - 1
    whole = not high[: top + 1].all() and not high[top:].all()
    inside = first >= _SMOOTHED_COLUMNS and last < width - _SMOOTHED_COLUMNS
    if smooth[top] < _LEAST_CONTRAST or not (whole and inside and last - first >= 4):
        return None
    columns = np.arange(first, last + 1)
    bend, slope, _ = np.polyfit(columns - top, contrast[first : last + 1], 2)
    if bend >= 0:
        return None
    at = top - slope / (2 * bend)
    rate, level = np.polyfit(columns - at, cycles_per_px[first : last + 1], 1)
    del rate
    px_per_um = 1 / (level * pitch_um)
    return Sharpest(
        across_um=float((at - (width - 1) / 2) / px_per_um),
        px_per_um=float(px_per_um),
        contrast=float(smooth[top]),
    )


def _check_pitch(expected_px: float, height: int) -> None:
    if not 3.0 * _PITCH_TOLERANCE <= expected_px <= height / 20:
        raise CalibrationError(
            f"the target's lines would be {expected_px:.3g} pixels apart in the picture; this "
            f"needs {3.0 * _PITCH_TOLERANCE:.3g} to {height / 20:.3g}. Check the target's pitch "
            f"and the rig's magnification, or take another target"
        )


def _lines(grey: Grey, expected_px: float) -> tuple[Grey, Grey]:
    """Contrast and frequency (cycles per pixel) of the lines in every column."""
    height = grey.shape[0]
    mean = grey.mean(axis=0)
    window = np.hanning(height)[:, None]
    length = 1 << math.ceil(math.log2(height * _PADDING))
    spectrum = np.abs(np.fft.rfft((grey - mean) * window, length, axis=0))
    lowest = math.floor(length / (expected_px * _PITCH_TOLERANCE))
    highest = math.ceil(length * _PITCH_TOLERANCE / expected_px)
    peak = lowest + np.argmax(spectrum[lowest : highest + 1], axis=0)
    each = np.arange(grey.shape[1])
    # A window's spectrum is nearly a Gaussian, and the logarithm of that is a parabola.
    before, here, after = (
        np.log(np.maximum(spectrum[peak + shift, each], 1e-12)) for shift in (-1, 0, 1)
    )
    bend = before - 2 * here + after
    shift = np.where(bend < 0, (before - after) / np.where(bend < 0, 2 * bend, 1), 0.0)
    amplitude = np.exp(here) * 2 / window.sum()
    return amplitude / np.maximum(mean, 1.0), (peak + shift) / length
