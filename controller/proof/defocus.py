"""What defocus should do to the sharpness of a tile: the judge's own wave optics.

From it follows how wide a tile's curve must be for the optics that the rig claims; curves that are
wider or narrower mean that one of its numbers is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from controller.optics import numerical_aperture
from controller.proof.curves import EXPONENTS
from controller.proof.measure import BANDS, Floats

_FREQUENCIES = (np.arange(128) + 0.5) / 256
_ABSCISSAE = (np.arange(48) + 0.5) / 48
_DEPTHS = np.linspace(0, 24, 900)
_TRIALS = np.geomspace(0.05, 40, 300)
_SEEN = 0.04


@dataclass(frozen=True)
class Optics:
    """What the sweep is believed to be shot with.

    Attributes
    ----------
    magnification, effective_f_number
        At the middle of the sweep.
    pixel_pitch_um, wavelength_um, dof_um
        Of the sensor, of the light, and the depth of field in use.
    index
        Refractive index of what is between objective and specimen.
    """

    magnification: float
    effective_f_number: float
    pixel_pitch_um: float
    wavelength_um: float
    dof_um: float
    index: float = 1.0


def expected_widths(optics: Optics, steps: Floats) -> Floats:
    """Widths of a flat tile's curves by two readings of its texture, (2, bands).

    How fast sharpness goes with defocus depends on how coarse the texture is. It is read as power
    of its own in each octave of frequency, with none coarser than the coarsest seen, and with as
    much in each further octave as in that. Where enough octaves are seen both say the same; where
    they differ, only what both say can be relied on.

    Parameters
    ----------
    steps
        (octaves - 1,) logarithms of the sharpness in each octave over that in the next finer one,
        at the peak; ``BANDS`` octaves at least.

    Returns
    -------
    ndarray
        In depths of field.

    Notes
    -----
    The transfer function of a defocused lens without aberrations is the overlap integral of
    H. H. Hopkins, Proc. R. Soc. A 231, 91 (1955).
    """
    na = numerical_aperture(optics.effective_f_number, optics.magnification)
    # Frequency in units of half the cut-off NA/lambda of the image side.
    s = 2 * _FREQUENCIES / optics.pixel_pitch_um * optics.wavelength_um * optics.effective_f_number
    waves = _DEPTHS * optics.dof_um * na**2 / 2 / optics.index / optics.wavelength_um
    transfer = _transfer(np.minimum(s, 2.0), waves) * (s < 2.0)
    octaves = range(len(steps) + 1)
    passed = np.array([transfer**2 * _gradient(band) / _FREQUENCIES for band in octaves])
    firsts = [len(_FREQUENCIES) // 2 >> octave for octave in octaves]
    parts = np.stack([passed[:, :, low : 2 * low].sum(axis=2) for low in firsts], axis=2)
    going_on = parts.copy()
    going_on[:, :, -1] = passed[:, :, : 2 * firsts[-1]].sum(axis=2)
    energies = (_as_seen(parts, steps), _as_seen(going_on, steps))
    return np.array([[_width(energy[band], band) for band in range(BANDS)] for energy in energies])


def _as_seen(parts: Floats, steps: Floats) -> Floats:
    """Sharpness at every depth, (octaves, depths), of texture with a share in each octave of
    frequency that looks as it was seen.

    Parameters
    ----------
    parts
        (octaves, depths, octaves of frequency): what each would give alone.
    """
    # What lies beyond the lens's cut-off gives nothing to judge its share by.
    parts = parts[:, :, parts[0, 0] > 0]
    seen = np.exp(np.concatenate([[0.0], np.cumsum(steps)]))
    scale = parts[:, 0].sum(axis=0)
    shares = _non_negative(parts[:, 0] / scale / seen[:, None], np.ones(len(seen))) / scale
    energy: Floats = parts @ shares
    return energy


def _transfer(s: Floats, waves: Floats) -> Floats:
    """Optical transfer function, (depths, frequencies)."""
    reach = 1 - s / 2
    x = _ABSCISSAE[None, :] * reach[:, None]
    half_height = np.sqrt(np.maximum(0.0, 1 - (x + s[:, None] / 2) ** 2))
    phase = 4 * np.pi * waves[:, None, None] * s[None, :, None] * x[None]
    value: Floats = 4 / np.pi * (half_height[None] * np.cos(phase)).mean(axis=2) * reach[None]
    return value


def _gradient(band: int) -> Floats:
    """What the measurement passes of each frequency: pixels, their reduction, differences."""
    nu, pixels = _FREQUENCIES, 2**band
    box = np.sinc(pixels * nu) / np.sinc(nu)
    passed: Floats = 4 * np.sin(np.pi * nu * pixels) ** 2 * box**2 * np.sinc(nu) ** 2
    return passed


def _non_negative(matrix: Floats, wanted: Floats) -> Floats:
    """Least squares with no negative part: the best of all choices of parts."""
    count = matrix.shape[1]
    best, smallest = np.zeros(count), np.inf
    for kept in product((False, True), repeat=count):
        columns = np.flatnonzero(kept)
        if len(columns) == 0:
            continue
        parts, *_ = np.linalg.lstsq(matrix[:, columns], wanted, rcond=None)
        error = float(((matrix[:, columns] @ parts - wanted) ** 2).sum())
        if (parts >= 0).all() and error < smallest - 1e-12:
            best, smallest = np.zeros(count), error
            best[columns] = parts
    return best


def _width(energy: Floats, band: int) -> float:
    """The width that a fitted curve would have."""
    energy = energy / energy[0]
    seen = energy > _SEEN
    curves = -EXPONENTS[band] * np.log(1 + (_DEPTHS[None, seen] / _TRIALS[:, None]) ** 2)
    return float(_TRIALS[np.std(np.log(energy[seen])[None] - curves, axis=1).argmin()])
