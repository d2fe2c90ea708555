"""What defocus should do to the sharpness of a tile: the judge's own wave optics.

From it follows how wide a tile's curve must be for the optics that the rig claims; curves that are
wider or narrower mean that one of its numbers is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.optics import numerical_aperture
from controller.proof.curves import EXPONENTS
from controller.proof.measure import BANDS, Floats

_FREQUENCIES = (np.arange(64) + 0.5) / 128
_ABSCISSAE = (np.arange(48) + 0.5) / 48
_DEPTHS = np.linspace(0, 24, 900)
_SLOPES = np.arange(-1.0, 4.01, 0.25)
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
    """

    magnification: float
    effective_f_number: float
    pixel_pitch_um: float
    wavelength_um: float
    dof_um: float


def expected_widths(optics: Optics, octave_step: float) -> Floats:
    """Widths of a flat tile's curves, in depths of field, for each octave.

    Parameters
    ----------
    octave_step
        Logarithm of the sharpness in the third octave over that in the second, at the peak: it
        tells how fine the texture is.

    Notes
    -----
    The transfer function of a defocused lens without aberrations is the overlap integral of
    H. H. Hopkins, Proc. R. Soc. A 231, 91 (1955). Texture is taken as noise whose power falls with
    a power of the frequency.
    """
    na = numerical_aperture(optics.effective_f_number, optics.magnification)
    # Frequency in units of half the cut-off NA/lambda of the image side.
    s = 2 * _FREQUENCIES / optics.pixel_pitch_um * optics.wavelength_um * optics.effective_f_number
    waves = _DEPTHS * optics.dof_um * na**2 / 2 / optics.wavelength_um
    transfer = _transfer(np.minimum(s, 2.0), waves) * (s < 2.0)
    steps, widths = [], []
    for slope in _SLOPES:
        energies = [_energy(transfer, band, slope) for band in range(BANDS)]
        steps.append(float(np.log(energies[2][0] / energies[1][0])))
        widths.append([_width(energy / energy[0], band) for band, energy in enumerate(energies)])
    table = np.array(widths)
    return np.array([np.interp(octave_step, steps, table[:, band]) for band in range(BANDS)])


def _transfer(s: Floats, waves: Floats) -> Floats:
    """Optical transfer function, (depths, frequencies)."""
    reach = 1 - s / 2
    x = _ABSCISSAE[None, :] * reach[:, None]
    half_height = np.sqrt(np.maximum(0.0, 1 - (x + s[:, None] / 2) ** 2))
    phase = 4 * np.pi * waves[:, None, None] * s[None, :, None] * x[None]
    value: Floats = 4 / np.pi * (half_height[None] * np.cos(phase)).mean(axis=2) * reach[None]
    return value


def _energy(transfer: Floats, band: int, slope: float) -> Floats:
    """Mean squared gradient in an octave at every depth."""
    nu, pixels = _FREQUENCIES, 2**band
    box = np.sinc(pixels * nu) / np.sinc(nu)
    gradient = 4 * np.sin(np.pi * nu * pixels) ** 2 * box**2 * np.sinc(nu) ** 2
    energy: Floats = (transfer**2 * (gradient * nu ** (1 - slope))).sum(axis=1)
    return energy


def _width(energy: Floats, band: int) -> float:
    """The width that a fitted curve would have."""
    seen = energy > _SEEN
    curves = -EXPONENTS[band] * np.log(1 + (_DEPTHS[None, seen] / _TRIALS[:, None]) ** 2)
    return float(_TRIALS[np.std(np.log(energy[seen])[None] - curves, axis=1).argmin()])
