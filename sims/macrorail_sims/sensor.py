"""Converts light on the sensor to an 8-bit picture: exposure, noise, saturation, sRGB."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from macrorail_sims.sheet import Floats

_WHITE_READS = 0.9
_LUT_STEPS = 65535


@dataclass(frozen=True)
class Sensor:
    """A sensor's response.

    Attributes
    ----------
    full_well_e
        Electrons that saturate a pixel at ISO 100.
    read_noise_e
        Standard deviation of the read noise of a pixel, electrons.
    lamp_flicker
        Relative standard deviation of the light from one exposure to the next.
    metered_f_number, metered_shutter_s, metered_iso
        The exposure at which white paper just stays below saturation.
    """

    full_well_e: float = 40_000.0
    read_noise_e: float = 4.0
    lamp_flicker: float = 0.003
    metered_f_number: float = 5.6
    metered_shutter_s: float = 0.1
    metered_iso: int = 100

    def expose(
        self, light: Floats, f_number: float, shutter_s: float, iso: int, rng: np.random.Generator
    ) -> npt.NDArray[np.uint8]:
        """Return the picture of one exposure.

        Parameters
        ----------
        light
            float32 (height, width, 3), linear; 1 is white paper.
        f_number, shutter_s, iso
            Settings of the camera.
        rng
            Random number generator of the noise.

        Returns
        -------
        ndarray
            uint8, same shape, sRGB-encoded, with saturation.
        """
        gain = _WHITE_READS * shutter_s / self.metered_shutter_s * iso / self.metered_iso
        gain *= (self.metered_f_number / f_number) ** 2
        gain *= 1 + self.lamp_flicker * rng.standard_normal()
        well_e = self.full_well_e * 100 / iso
        signal = light * np.float32(gain)
        # Photons arrive independently, so the variance of their number equals the number.
        deviation = np.sqrt(signal / well_e + (self.read_noise_e / well_e) ** 2)
        signal += deviation * _roughly_normal(rng, signal.shape)
        return encode_srgb(signal)

    def picture(self, light: Floats) -> npt.NDArray[np.uint8]:
        """Return the picture of a metered exposure without noise; array as from :meth:`expose`."""
        return encode_srgb(light * np.float32(_WHITE_READS))


def _roughly_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Return random numbers with mean 0 and standard deviation 1, approximately normal.

    Each number is the sum of four uniform bytes (Irwin-Hall distribution), at most 3.4 deviations
    from 0. Such numbers are computed three times faster than normally distributed numbers.
    """
    count = math.prod(shape)
    four = rng.integers(0, 1 << 32, size=count, dtype=np.uint32).view(np.uint8).reshape(4, count)
    total = cv2.add(four[0], four[1], dtype=cv2.CV_32F)
    total += cv2.add(four[2], four[3], dtype=cv2.CV_32F)
    deviation = math.sqrt(4 * (256**2 - 1) / 12)
    scaled: Floats = (total - np.float32(4 * 255 / 2)) * np.float32(1 / deviation)
    return scaled.reshape(shape)


def encode_srgb(linear: Floats) -> npt.NDArray[np.uint8]:
    """Encode linear light as 8-bit sRGB (IEC 61966-2-1); values outside 0..1 saturate."""
    level = np.clip(linear, 0, 1) * _LUT_STEPS
    encoded: npt.NDArray[np.uint8] = _SRGB[level.astype(np.uint16)]
    return encoded


def _srgb_table() -> npt.NDArray[np.uint8]:
    linear = np.arange(_LUT_STEPS + 1) / _LUT_STEPS
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (curve * 255 + 0.5).astype(np.uint8)


_SRGB = _srgb_table()
