"""A simulated landscape for a lens that focuses up to infinity: ground and mountains.

The lower half of the picture is level ground: below the horizon the reciprocal distance increases
linearly from row to row. The upper half is at infinity. All computations use reciprocal distances,
so infinity is 0.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from macrorail_sims.diffraction import spot
from macrorail_sims.sensor import Sensor
from macrorail_sims.sheet import Floats

_HORIZON = 0.42
_BLUR_STEP_PX = 0.7
_MARGIN = 0.12
_WAVELENGTHS_OF_SKY = (0.62, 0.50, 0.36)


@dataclass(frozen=True)
class LandscapeOptions:
    """A lens in front of a landscape.

    Attributes
    ----------
    seed
        Seed of all random numbers in the picture.
    width_px, height_px, pixel_pitch_um
        Width, height and pixel pitch of the sensor.
    focal_length_um, pupil_ratio
        Focal length and pupil ratio of the lens.
    ground_from_um
        Distance of the ground at the picture's lower edge from the entrance pupil.
    sensor
        Exposure and noise of the sensor.
    """

    seed: int = 7
    width_px: int = 1200
    height_px: int = 800
    pixel_pitch_um: float = 4.5
    focal_length_um: float = 50_000.0
    pupil_ratio: float = 1.0
    ground_from_um: float = 1_000_000.0
    sensor: Sensor = field(default_factory=lambda: Sensor(metered_f_number=8.0))


class Landscape:
    """Renders the landscape, as :class:`macrorail_sims.scene.Scene` renders a specimen.

    ``position_um`` is the distance of the plane in focus from the entrance pupil, up to
    ``math.inf``.

    Parameters
    ----------
    options
        Lens and sensor.
    drawn
        A landscape with its margin, if it is drawn already.
    """

    def __init__(self, options: LandscapeOptions, drawn: Floats | None = None) -> None:
        self.options = options
        self._sharp = drawn
        self._drawing = threading.Lock()

    def render(
        self,
        position_um: float,
        f_number: float,
        iso: int,
        shutter_s: float,
        exposure_number: int,
        offsets_um: Sequence[tuple[float, float, float]] = (),
        breathing: float = 1.0,
        quality: int = 92,
    ) -> bytes:
        """Return the JPEG of an exposure; the camera does not move, so offsets have no effect."""
        del offsets_um, breathing
        light = self.render_linear(position_um, f_number)
        rng = np.random.default_rng([self.options.seed, 2, exposure_number])
        picture = self.options.sensor.expose(light, f_number, shutter_s, iso, rng)
        return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])

    def render_linear(self, position_um: float, f_number: float) -> Floats:
        """Return the light on the sensor, float32 (height, width, 3); 1 is white paper."""
        sharp, vergence = self._at_scale(position_um)
        pupil_um = self.options.focal_length_um / f_number
        image_distance_ratio = self._image_distance_ratio(position_um)
        # Distance of the exit pupil divided by its diameter, and pixels per tangent of the angle.
        sensor_f_number = f_number * image_distance_ratio
        px_per_tangent = (
            self.options.focal_length_um * image_distance_ratio / self.options.pixel_pitch_um
        )
        focus = 1 / position_um
        steps = px_per_tangent * pupil_um * float(np.ptp(vergence)) / _BLUR_STEP_PX
        layers = np.linspace(0.0, float(vergence.max()), 2 + int(steps))
        light = np.zeros_like(sharp)
        weight = np.zeros(sharp.shape[:2], np.float32)
        spacing = float(layers[1] - layers[0])
        for layer in layers:
            share = np.clip(1 - np.abs(vergence - layer) / spacing, 0, 1).astype(np.float32)
            rows = np.flatnonzero(share)
            if not len(rows):
                continue
            error_um = pupil_um**2 / 8 * abs(layer - focus)
            kernel = spot(error_um, sensor_f_number, self.options.pixel_pitch_um)
            reach = kernel.shape[0] // 2
            first, last = max(0, rows[0] - reach), min(len(share), rows[-1] + 1 + reach)
            strip = share[first:last, None, None] * sharp[first:last]
            blurred = cv2.filter2D(strip, -1, kernel, borderType=cv2.BORDER_REPLICATE)
            light[first:last] += blurred.astype(np.float32, copy=False)
            mask = np.repeat(share[first:last, None], sharp.shape[1], axis=1)
            weight[first:last] += cv2.filter2D(mask, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        filled: Floats = np.divide(light, np.maximum(weight, np.float32(1e-3))[..., None])
        return filled

    def truth(
        self, position_um: float, f_number: float = 5.6, breathing: float = 1.0
    ) -> tuple[npt.NDArray[np.uint8], Floats]:
        """Return the ideal result of a stack, in the geometry of the frame focused at a distance.

        Returns
        -------
        picture : ndarray
            uint8 (height, width, 3), blue green red, sRGB; as sharp as diffraction allows.
        vergence : ndarray
            float32 (height, width), reciprocal distance in 1/um of the surface in each pixel.
        """
        del breathing
        sharp, vergence = self._at_scale(position_um)
        f_number_there = f_number * self._image_distance_ratio(position_um)
        kernel = spot(0.0, f_number_there, self.options.pixel_pitch_um)
        light = cv2.filter2D(sharp, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        depth: Floats = np.repeat(vergence[:, None], sharp.shape[1], axis=1).astype(np.float32)
        return self.options.sensor.picture(light.astype(np.float32)), depth

    def write_truth(
        self, folder: Path, position_um: float, f_number: float = 5.6, breathing: float = 1.0
    ) -> tuple[Path, Path]:
        """Write :meth:`truth` as ``truth.png`` and ``truth_depth.npy``; return their paths."""
        picture, vergence = self.truth(position_um, f_number, breathing)
        folder.mkdir(parents=True, exist_ok=True)
        paths = folder / "truth.png", folder / "truth_depth.npy"
        paths[0].write_bytes(bytes(cv2.imencode(".png", picture)[1]))
        np.save(paths[1], vergence)
        return paths

    def _image_distance_ratio(self, position_um: float) -> float:
        """Return the image distance relative to the image distance at infinity: ``1 + m / P``.

        The distance from the plane in focus to the entrance pupil is ``f / m + f / P`` (Newton's
        equation).
        """
        if math.isinf(position_um):
            return 1.0
        focal_um, ratio = self.options.focal_length_um, self.options.pupil_ratio
        magnification = focal_um / (position_um - focal_um / ratio)
        return 1 + magnification / ratio

    def _at_scale(self, position_um: float) -> tuple[Floats, npt.NDArray[np.float64]]:
        """Return the sharp landscape scaled for a focus distance, and each pixel's 1 / distance."""
        options = self.options
        height, width = options.height_px, options.width_px
        drawn = self.drawn
        zoom = self._image_distance_ratio(position_um)
        matrix = np.array(
            [
                [1 / zoom, 0, (drawn.shape[1] - 1) / 2 - (width - 1) / 2 / zoom],
                [0, 1 / zoom, (drawn.shape[0] - 1) / 2 - (height - 1) / 2 / zoom],
            ]
        )
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        sharp = cv2.warpAffine(drawn, matrix, (width, height), flags=flags)
        # Rows in the geometry of the lens focused at infinity, counted from the horizon down.
        middle = (height - 1) / 2
        rows = (np.arange(height) - middle) / zoom + middle - _HORIZON * height
        vergence = np.clip(rows, 0, None) / (height * (1 - _HORIZON)) / options.ground_from_um
        return np.clip(sharp, 0, None).astype(np.float32), vergence

    @property
    def drawn(self) -> Floats:
        """Sky, mountains and ground with a margin on all sides; drawn on first use."""
        with self._drawing:
            if self._sharp is None:
                self._sharp = _draw(self.options)
            return self._sharp


def _draw(options: LandscapeOptions) -> Floats:
    """Draw sky, mountains and ground in linear light, with detail down to pixels and a margin."""
    rng = np.random.default_rng([options.seed, 1])
    height = round(options.height_px * (1 + 2 * _MARGIN))
    width = round(options.width_px * (1 + 2 * _MARGIN))
    horizon = options.height_px * _MARGIN + _HORIZON * options.height_px
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    grain = _grain(rng, (height, width))
    light = np.empty((height, width, 3), np.float32)
    light[:] = _WAVELENGTHS_OF_SKY
    light *= (1 + 0.10 * grain)[..., None]
    ridge = horizon - (0.10 + 0.05 * np.sin(columns[0] / width * 9) ** 2) * options.height_px
    ridge -= 0.02 * options.height_px * np.sin(columns[0] / width * 53)
    mountain = (rows > ridge[None, :])[..., None]
    rock = np.array((0.20, 0.17, 0.15), np.float32) * (1 + 0.35 * grain)[..., None]
    light = np.where(mountain, rock, light)
    ground = (rows > horizon)[..., None]
    grass = np.array((0.08, 0.26, 0.16), np.float32) * (1 + 0.45 * grain)[..., None]
    stones = (_grain(rng, (height, width)) > 1.6)[..., None]
    grass = np.where(stones, np.array((0.42, 0.44, 0.46), np.float32), grass)
    drawn: Floats = np.clip(np.where(ground, grass, light), 0.01, 0.95).astype(np.float32)
    return drawn


def _grain(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Return noise in every octave down to two pixels, mean 0, standard deviation 1."""
    total = np.zeros(shape, np.float32)
    cell_px = 2.0
    while cell_px < shape[0] / 3:
        small = (max(4, round(shape[0] / cell_px)), max(4, round(shape[1] / cell_px)))
        coarse = rng.standard_normal(small, dtype=np.float32)
        total += cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
        cell_px *= 2
    grain: Floats = ((total - total.mean()) / total.std()).astype(np.float32)
    return grain
