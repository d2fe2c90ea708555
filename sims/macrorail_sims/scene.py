"""Renders photographs of a simulated specimen through a simulated lens and sensor.

The blur is computed from the pupils of the lens (``pupil.py``) and from diffraction
(``diffraction.py``), independently of the controller's formulas.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from macrorail_sims.diffraction import WAVELENGTH_UM
from macrorail_sims.layers import Layers, raster_length
from macrorail_sims.projection import View
from macrorail_sims.pupil import Lens
from macrorail_sims.sensor import Sensor
from macrorail_sims.sheet import Floats, Specimen
from macrorail_sims.specimen import make_specimen

Offset = tuple[float, float, float]

# Limits of the step from layer to layer: an eighth of a wave or half a pixel of blur (the larger
# step applies), and 0.6 pixels of perspective in the corners of the frame. Steps twice as large
# would shift the sharpness peaks by a sixth of a depth of field.
_WAVEFRONT_STEP_UM = WAVELENGTH_UM / 8
_BLUR_STEP_PX = 0.5
_PERSPECTIVE_STEP_PX = 0.6
_STILL_PX = 0.05
_VIEW_MARGIN = 0.05


@dataclass(frozen=True)
class SceneOptions:
    """A simulated specimen and the optics in front of it.

    The defaults are a 65 mm macro lens at 2:1 on a specimen 3 mm wide and 2.8 mm deep: at f/5.6 the
    depth of field is about 0.1 mm, and a stack has about forty slices.

    Attributes
    ----------
    seed
        Seed of all random numbers in the picture.
    width_px, height_px, pixel_pitch_um
        Width, height and pixel pitch of the sensor.
    magnification
        Magnification of the plane in focus; multiplied by the ``breathing`` of an exposure.
    pupil_ratio
        Diameter of the exit pupil divided by that of the entrance pupil.
    focal_length_um
        Focal length of the lens. Together with the magnification, it determines the distance of
        the entrance pupil and therefore the perspective.
    specimen_near_um, specimen_far_um
        Position of the nearest bristle's tip, and position of the dark ground behind the specimen.
    sensor
        Exposure and noise of the sensor.
    """

    seed: int = 7
    width_px: int = 1200
    height_px: int = 800
    pixel_pitch_um: float = 5.0
    magnification: float = 2.0
    pupil_ratio: float = 1.0
    focal_length_um: float = 65_000.0
    specimen_near_um: float = 2000.0
    specimen_far_um: float = 4800.0
    sensor: Sensor = field(default_factory=Sensor)

    def __post_init__(self) -> None:
        for name in (
            "width_px",
            "height_px",
            "pixel_pitch_um",
            "magnification",
            "pupil_ratio",
            "focal_length_um",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not self.specimen_near_um < self.specimen_far_um:
            raise ValueError(
                f"the specimen's far end ({self.specimen_far_um:g} um) must be greater than its "
                f"near end ({self.specimen_near_um:g} um): positions grow away from the camera"
            )


class Scene:
    """Renders the camera's pictures of a specimen, which is drawn on first use. Thread-safe.

    Parameters
    ----------
    options
        Specimen, lens and sensor.
    specimen
        Specimen that replaces the beetle; its rasters have ``raster_shape`` rows and columns.
    """

    def __init__(
        self, options: SceneOptions | None = None, specimen: Specimen | None = None
    ) -> None:
        self.options = options or SceneOptions()
        self._specimen = specimen
        self._layers: Layers | None = None
        self._cutting = threading.Lock()

    @property
    def object_pixel_um(self) -> float:
        """Size of a pixel in the plane in focus, micrometres."""
        return self.options.pixel_pitch_um / self.options.magnification

    @property
    def raster_shape(self) -> tuple[int, int]:
        """Rows and columns of the sheets, which are centred on the frame and include a margin."""
        return (
            raster_length(self.options.height_px * (1 + 2 * _VIEW_MARGIN)),
            raster_length(self.options.width_px * (1 + 2 * _VIEW_MARGIN)),
        )

    def render(
        self,
        position_um: float,
        f_number: float,
        iso: int,
        shutter_s: float,
        exposure_number: int,
        offsets_um: Sequence[Offset] = (),
        breathing: float = 1.0,
        quality: int = 92,
    ) -> bytes:
        """Return the JPEG of one exposure.

        Parameters
        ----------
        position_um, f_number, offsets_um, breathing
            As in :meth:`render_linear`.
        iso, shutter_s
            ISO sensitivity and exposure time, as set on the camera.
        exposure_number
            Number of the exposure; determines the noise, together with the seed.
        quality
            Quality of the JPEG, 1..100.
        """
        light = self.render_linear(position_um, f_number, offsets_um, breathing)
        rng = np.random.default_rng([self.options.seed, 2, exposure_number])
        picture = self.options.sensor.expose(light, f_number, shutter_s, iso, rng)
        return _encode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])

    def render_linear(
        self,
        position_um: float,
        f_number: float,
        offsets_um: Sequence[Offset] = (),
        breathing: float = 1.0,
    ) -> Floats:
        """Return the light on the sensor, before exposure and noise.

        Parameters
        ----------
        position_um
            Position of the plane in focus.
        f_number
            Focal length divided by the diameter of the entrance pupil. For a new f-number, the
            layers of the specimen are computed again, which takes a second.
        offsets_um
            Offsets of the lens at equal intervals while the shutter was open: right, down, away
            from the camera. Empty means at rest.
        breathing
            Magnification of the plane in focus divided by ``options.magnification``. It is 1 on a
            rail, where the complete lens moves, and differs from 1 for a lens that focuses itself.

        Returns
        -------
        ndarray
            float32 (height, width, 3), blue green red; 1 is white paper.

        Raises
        ------
        ValueError
            The specimen is behind the entrance pupil.
        """
        path = np.array(offsets_um or [(0.0, 0.0, 0.0)], np.float64)
        depths_um = self._layers_for(f_number).depths_um
        spacing_um = float(depths_um[1] - depths_um[0])
        pieces = 1 + int(np.ptp(path[:, 2]) / (spacing_um / 2))
        total: Floats | None = None
        for piece in np.array_split(path, min(pieces, len(path))):
            light = self._exposed_along(piece, position_um, f_number, breathing)
            light *= np.float32(len(piece) / len(path))
            total = light if total is None else total + light
        assert total is not None
        return total

    def truth(
        self, position_um: float, f_number: float = 5.6, breathing: float = 1.0
    ) -> tuple[npt.NDArray[np.uint8], Floats]:
        """Return the ideal result of a stack, in the geometry of the frame at a position.

        Every depth is as sharp as diffraction allows at this f-number. The exposure is as metered,
        without noise.

        Returns
        -------
        picture : ndarray
            uint8 (height, width, 3), blue green red, sRGB.
        depth_um : ndarray
            float32 (height, width), position of the surface in each pixel.
        """
        view = self._view(position_um, f_number, breathing, (0.0, 0.0))
        return self.options.sensor.picture(view.light(defocused=False)), view.depth_um()

    def write_truth(
        self, folder: Path, position_um: float, f_number: float = 5.6, breathing: float = 1.0
    ) -> tuple[Path, Path]:
        """Write :meth:`truth` as ``truth.png`` and ``truth_depth.npy``; return their paths."""
        picture, depth_um = self.truth(position_um, f_number, breathing)
        folder.mkdir(parents=True, exist_ok=True)
        paths = folder / "truth.png", folder / "truth_depth.npy"
        paths[0].write_bytes(_encode(".png", picture, []))
        np.save(paths[1], depth_um)
        return paths

    def lens(self, f_number: float, breathing: float = 1.0) -> Lens:
        """Return the lens at an f-number."""
        return Lens(
            focal_length_um=self.options.focal_length_um,
            magnification=self.options.magnification * breathing,
            pupil_ratio=self.options.pupil_ratio,
            f_number=f_number,
        )

    def _exposed_along(
        self, path: npt.NDArray[np.float64], position_um: float, f_number: float, breathing: float
    ) -> Floats:
        right_um, down_um, away_um = path.mean(axis=0)
        aside_um = (float(right_um), float(down_um))
        light = self._view(position_um + float(away_um), f_number, breathing, aside_um).light()
        # The picture moves in the opposite direction to the lens.
        moves_px = -(path[:, :2] - (right_um, down_um)) * (breathing / self.object_pixel_um)
        if np.abs(moves_px).max() < _STILL_PX:
            return light
        smeared = cv2.filter2D(
            light, -1, _motion_blur_kernel(moves_px), borderType=cv2.BORDER_REPLICATE
        )
        return smeared.astype(np.float32, copy=False)

    def _view(
        self,
        position_um: float,
        f_number: float,
        breathing: float,
        aside_um: tuple[float, float],
    ) -> View:
        options = self.options
        lens = self.lens(f_number, breathing)
        gap_um = lens.working_distance_um + options.specimen_near_um - position_um
        if gap_um <= 0:
            raise ValueError(
                f"with the focus at {position_um:g} um the specimen at "
                f"{options.specimen_near_um:g} um is behind the entrance pupil"
            )
        return View(
            layers=self._layers_for(f_number),
            lens=lens,
            plane_um=position_um,
            aside_um=aside_um,
            width_px=options.width_px,
            height_px=options.height_px,
            pixel_pitch_um=options.pixel_pitch_um,
            object_pixel_um=self.object_pixel_um,
        )

    @property
    def specimen(self) -> Specimen:
        """The specimen; drawn on first use."""
        with self._cutting:
            return self._drawn()

    def _drawn(self) -> Specimen:
        if self._specimen is None:
            self._specimen = make_specimen(
                self.options.seed,
                self.raster_shape,
                self.options.width_px,
                self.object_pixel_um,
                self.options.specimen_near_um,
                self.options.specimen_far_um,
            )
        return self._specimen

    def _layers_for(self, f_number: float) -> Layers:
        with self._cutting:
            specimen = self._drawn()
            count = self._layer_count(f_number, specimen)
            if self._layers is None or len(self._layers.depths_um) != count:
                self._layers = None  # freed first, because two sets of layers need too much memory
                self._layers = Layers(specimen, count)
            return self._layers

    def _layer_count(self, f_number: float, specimen: Specimen) -> int:
        options, lens = self.options, self.lens(f_number)
        focus_um, one_um_off = lens.working_distance_um, lens.working_distance_um + 1.0
        waves_um = lens.wavefront_error_um(one_um_off)
        blur_px = lens.blur_disc_um(one_um_off) / options.pixel_pitch_um
        corner_px = np.hypot(options.width_px, options.height_px) / 2
        shift_px = corner_px * (1 - lens.scale(one_um_off) / lens.scale(focus_um))
        spacing_um = min(
            max(_WAVEFRONT_STEP_UM / waves_um, _BLUR_STEP_PX / blur_px),
            _PERSPECTIVE_STEP_PX / shift_px,
        )
        return 2 + int((specimen.far_um - specimen.near_um) / spacing_um)


def _motion_blur_kernel(moves_px: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the kernel of motion blur: a point's track over the pixels, with a sum of 1."""
    reach = int(np.ceil(np.abs(moves_px).max())) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for x, y in moves_px:
        column, row = int(np.floor(x)), int(np.floor(y))
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = (1 - abs(x - column - right)) * (1 - abs(y - row - down))
            kernel[reach + row + down, reach + column + right] += share / len(moves_px)
    # filter2D correlates; motion blur is a convolution.
    return np.ascontiguousarray(kernel[::-1, ::-1])


def _encode(suffix: str, picture: npt.NDArray[np.uint8], settings: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, picture, settings)
    if not done:
        raise RuntimeError(f"OpenCV could not encode a {suffix} of shape {picture.shape}")
    return data.tobytes()
