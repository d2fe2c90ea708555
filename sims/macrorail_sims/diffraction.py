"""The point spread function of a defocused lens, by wave optics, as a kernel of pixels.

The spot is the squared Fourier transform of the pupil with the phase due to defocus (J. W. Goodman,
Introduction to Fourier Optics, 3rd ed., 6.4), averaged over three wavelengths of white light. The
shape of the spot depends only on the wavefront error in waves. Its size depends only on the
wavelength times the f-number at the sensor. So one table of radial profiles is enough for every
lens. Beyond ``_MAX_WAVES`` the spot is practically the geometric disc.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

WAVELENGTH_UM = 0.55
"""Wavelength in the middle of white light; the reference for wavefront errors and sizes."""

_WHITE_UM = (0.47, 0.55, 0.61)
_MAX_WAVES = 3.0
_WAVES_STEP = 0.125
_PUPIL_SAMPLES = 64
_FFT_SAMPLES = 256
_RADII_PER_UNIT = 8
_MAX_RADIUS = 24.0
_SUBSAMPLES = 4


def first_dark_ring_um(sensor_f_number: float) -> float:
    """Return the radius of the Airy disc on the sensor: ``1.22 lambda N`` (Goodman 4.4.2), um."""
    return 1.22 * WAVELENGTH_UM * sensor_f_number


def spot(
    wavefront_error_um: float,
    sensor_f_number: float,
    pixel_um: float,
    widened_px2: float = 0.0,
) -> Floats:
    """Return the energy of the spot in each pixel around its centre.

    Parameters
    ----------
    wavefront_error_um
        Wavefront error at the edge of the pupil, >= 0.
    sensor_f_number
        F-number of the cone of light at the sensor.
    pixel_um
        Pixel pitch at the sensor.
    widened_px2
        Variance along x that later resampling adds, in square pixels. The defocus of the spot is
        reduced so that the final blur is right.

    Returns
    -------
    ndarray
        float32 (n, n), n odd, sum 1.
    """
    unit_px = WAVELENGTH_UM * sensor_f_number / pixel_um
    waves = wavefront_error_um / WAVELENGTH_UM
    # The geometric disc of w waves has a radius of 4 w units (Goodman 6.4.3) and a disc's variance
    # is a quarter of its squared radius.
    disc_px = 4 * waves * unit_px
    disc_px = np.sqrt(max(0.0, disc_px**2 - 4 * widened_px2))
    waves = disc_px / (4 * unit_px)
    reach_px = int(np.ceil(max(disc_px + 0.8 * unit_px, 1.6 * unit_px, 0.5)))
    samples = (2 * reach_px + 1) * _SUBSAMPLES
    axis = ((np.arange(samples, dtype=np.float32) + 0.5) / _SUBSAMPLES) - (reach_px + 0.5)
    radius_px = np.hypot(axis[:, None], axis[None, :])
    if waves <= _MAX_WAVES:
        profile = _profile(waves)
        radii_px = np.arange(len(profile)) * (unit_px / _RADII_PER_UNIT)
        fine = np.interp(radius_px, radii_px, profile, right=0.0)
    else:
        # Diffraction softens the edge of the disc.
        fine = np.clip((disc_px - radius_px) / max(unit_px, 0.25) + 0.5, 0.0, 1.0)
    size = 2 * reach_px + 1
    kernel = fine.reshape(size, _SUBSAMPLES, size, _SUBSAMPLES).sum(axis=(1, 3))
    normalized: Floats = (kernel / kernel.sum()).astype(np.float32)
    return normalized


def _profile(waves: float) -> npt.NDArray[np.float64]:
    """Return the spot's intensity in white light by radius, ``_RADII_PER_UNIT`` values per unit."""
    table = _profiles()
    at = min(waves / _WAVES_STEP, len(table) - 1.0)
    low = min(int(at), len(table) - 2)
    mixed: npt.NDArray[np.float64] = table[low] + (at - low) * (table[low + 1] - table[low])
    return mixed


@lru_cache(maxsize=1)
def _profiles() -> npt.NDArray[np.float64]:
    radii = np.arange(int(_MAX_RADIUS * _RADII_PER_UNIT) + 1) / _RADII_PER_UNIT
    steps = int(_MAX_WAVES / _WAVES_STEP) + 1
    rows = np.zeros((steps, len(radii)))
    for row in range(steps):
        for wavelength_um in _WHITE_UM:
            stretch = WAVELENGTH_UM / wavelength_um
            colour = _spot_of_one_colour(row * _WAVES_STEP * stretch, radii * stretch)
            # Every colour has the same energy, so intensity is inversely proportional to area.
            rows[row] += colour * stretch**2
    return rows


def _spot_of_one_colour(waves: float, radii: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the intensity at radii in units of wavelength times f-number, by FFT of the pupil."""
    axis = (np.arange(_PUPIL_SAMPLES) + 0.5) / (_PUPIL_SAMPLES / 2) - 1
    squared = axis[:, None] ** 2 + axis[None, :] ** 2
    # Samples at the edge of the pupil count in proportion to their coverage.
    inside = np.clip((1 - np.sqrt(squared)) * _PUPIL_SAMPLES / 2 + 0.5, 0, 1)
    pupil = inside * np.exp(2j * np.pi * waves * squared)
    field = np.fft.fft2(pupil, (_FFT_SAMPLES, _FFT_SAMPLES))
    intensity = np.fft.fftshift(np.abs(field) ** 2).astype(np.float32)
    middle = _FFT_SAMPLES // 2
    at = (radii * (_FFT_SAMPLES / _PUPIL_SAMPLES)).astype(np.float32)
    # Averaged over four directions, because the grid is square and the pupil round.
    rows = []
    for angle in np.radians((0.0, 30.0, 60.0, 90.0)):
        x = (middle + at * np.cos(angle)).astype(np.float32)
        y = (middle + at * np.sin(angle)).astype(np.float32)
        rows.append(cv2.remap(intensity, x, y, cv2.INTER_CUBIC))
    total: npt.NDArray[np.float64] = np.mean(rows, axis=0).ravel().astype(np.float64)
    return np.maximum(total / float(intensity.sum()), 0.0)
