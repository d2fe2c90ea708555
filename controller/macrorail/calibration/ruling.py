"""Finds the sharpest column of a tilted ruling in a photograph, and the scale at this column.

The target is a plate with straight parallel lines of known pitch. The lines run across the picture
from left to right, and the plate is tilted so that one end of the lines is nearer than the other.
In every column, the contrast of the lines shows how sharp the plate is at this depth. The spacing
of the lines gives the scale in pixels per micrometre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from macrorail.errors import CalibrationError

_PADDING = 4
"""Factor by which zero padding lengthens the columns, for finer steps in frequency."""
_PITCH_TOLERANCE = 1.5
"""Accepted factor between the measured and the expected spacing of the lines."""
_LEAST_CONTRAST = 0.08
"""Lowest modulation of the sharpest column; with less modulation no lines are visible."""
_TOP = 0.75
"""Columns above this fraction of the highest contrast determine the position of the maximum."""
_SMOOTHED_COLUMNS = 5

Grey = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SharpestColumn:
    """The column of a picture in which a tilted ruling is sharpest.

    Attributes
    ----------
    across_um
        Distance of the column to the right of the picture's middle, micrometres on the target.
    px_per_um
        Scale of the plane in focus: pixels of the picture per micrometre on the target.
    contrast
        Modulation of the lines in this column (amplitude divided by mean), 0..1.
    """

    across_um: float
    px_per_um: float
    contrast: float


def find_sharpest_column(
    grey: Grey, pitch_um: float, expected_px_per_um: float
) -> SharpestColumn | None:
    """Find the sharpest column of the ruling and return it.

    Parameters
    ----------
    grey
        One channel of the photograph, float (height, width).
    pitch_um
        Distance from line to line.
    expected_px_per_um
        Approximate scale. The search covers two thirds to one and a half times this scale.

    Returns
    -------
    SharpestColumn or None
        ``None`` when no lines are visible, or the sharpest column is at an edge of the picture.

    Raises
    ------
    CalibrationError
        The lines are too fine or too coarse for this picture.
    """
    height, width = grey.shape
    expected_px = pitch_um * expected_px_per_um
    _check_pitch(expected_px, height)
    contrast, cycles_per_px = _lines(grey, expected_px)
    smooth = np.convolve(contrast, np.full(_SMOOTHED_COLUMNS, 1 / _SMOOTHED_COLUMNS), "same")
    top = int(np.argmax(smooth))
    high = smooth > _TOP * smooth[top]
    # The range of columns around the maximum that are nearly as sharp.
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
    return SharpestColumn(
        across_um=float((at - (width - 1) / 2) / px_per_um),
        px_per_um=float(px_per_um),
        contrast=float(smooth[top]),
    )


def _check_pitch(expected_px: float, height: int) -> None:
    if not 3.0 * _PITCH_TOLERANCE <= expected_px <= height / 20:
        raise CalibrationError(
            f"the target's lines would be {expected_px:.3g} pixels apart in the picture; the "
            f"calibration needs {3.0 * _PITCH_TOLERANCE:.3g} to {height / 20:.3g} pixels. Check "
            f"the target's pitch and the rig's magnification, or use another target"
        )


def _lines(grey: Grey, expected_px: float) -> tuple[Grey, Grey]:
    """Return the contrast and the frequency (cycles per pixel) of the lines in every column."""
    height = grey.shape[0]
    mean = grey.mean(axis=0)
    window = np.hanning(height)[:, None]
    length = 1 << math.ceil(math.log2(height * _PADDING))
    spectrum = np.abs(np.fft.rfft((grey - mean) * window, length, axis=0))
    lowest = math.floor(length / (expected_px * _PITCH_TOLERANCE))
    highest = math.ceil(length * _PITCH_TOLERANCE / expected_px)
    peak = lowest + np.argmax(spectrum[lowest : highest + 1], axis=0)
    each = np.arange(grey.shape[1])
    # The spectrum of the window is nearly a Gaussian, whose logarithm is a parabola.
    before, here, after = (
        np.log(np.maximum(spectrum[peak + shift, each], 1e-12)) for shift in (-1, 0, 1)
    )
    bend = before - 2 * here + after
    shift = np.where(bend < 0, (before - after) / np.where(bend < 0, 2 * bend, 1), 0.0)
    amplitude = np.exp(here) * 2 / window.sum()
    return amplitude / np.maximum(mean, 1.0), (peak + shift) / length
