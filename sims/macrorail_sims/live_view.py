"""Renders live view: small pictures of the scene, many times a second.

Real bodies send frames about 640 pixels wide, whatever the size of their sensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from macrorail_sims.landscape import Landscape
from macrorail_sims.scene import Offset, Scene
from macrorail_sims.sheet import Floats, Sheet

#: Frames are halved until their width is at most this many pixels.
WIDEST_PX = 800
#: An instrument that moves less than this between two frames is treated as at rest, micrometres.
_STILL_UM = 0.05


class LiveViewScene:
    """A scene rendered for live view.

    Parameters
    ----------
    scene
        The scene of the photographs; live view shows the same specimen.
    """

    def __init__(self, scene: Scene | Landscape) -> None:
        self._scene = live_view_scene(scene)
        self._frames = 0
        self._still: tuple[tuple[object, ...], Floats] | None = None

    def render(
        self,
        position_um: float,
        f_number: float,
        iso: int,
        shutter_s: float,
        offsets_um: Sequence[Offset] = (),
        breathing: float = 1.0,
        quality: int = 70,
    ) -> bytes:
        """Return the JPEG of one live-view frame; parameters as in :meth:`Scene.render`.

        Each frame has different noise. While the instrument is at rest, only the noise is computed.
        """
        steps = np.round(np.array([position_um, *np.ravel(offsets_um)]) / _STILL_UM)
        seen = (f_number, breathing, *steps)
        if self._still is None or self._still[0] != seen:
            self._still = seen, self._light(position_um, f_number, offsets_um, breathing)
        self._frames += 1
        options = self._scene.options
        rng = np.random.default_rng([options.seed, 3, self._frames])
        picture = options.sensor.expose(self._still[1], f_number, shutter_s, iso, rng)
        return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])

    def _light(
        self, position_um: float, f_number: float, offsets_um: Sequence[Offset], breathing: float
    ) -> Floats:
        if isinstance(self._scene, Landscape):  # the camera of a landscape does not move
            return self._scene.render_linear(position_um, f_number)
        return self._scene.render_linear(position_um, f_number, offsets_um, breathing)


def live_view_scene(scene: Scene | Landscape) -> Scene | Landscape:
    """Return a scene of the same specimen with a sensor that has fewer, larger pixels."""
    options, factor = scene.options, 1
    while options.width_px / factor > WIDEST_PX:
        factor *= 2
    if factor == 1:
        return scene
    width_px, height_px = options.width_px // factor, options.height_px // factor
    pitch_um = options.pixel_pitch_um * factor
    if isinstance(scene, Landscape):
        small = replace(
            scene.options, width_px=width_px, height_px=height_px, pixel_pitch_um=pitch_um
        )
        return Landscape(small, _averaged(scene.drawn, factor))
    smaller = replace(
        scene.options, width_px=width_px, height_px=height_px, pixel_pitch_um=pitch_um
    )
    shape = Scene(smaller).raster_shape
    whole = scene.specimen
    sheets = tuple(_smaller_sheet(sheet, factor, shape) for sheet in whole.sheets)
    ground = _centred(_averaged(whole.ground, factor), shape)
    return Scene(smaller, replace(whole, sheets=sheets, ground=ground))


def _smaller_sheet(sheet: Sheet, factor: int, shape: tuple[int, int]) -> Sheet:
    # Depths are sampled, because the average depth of two surfaces belongs to neither surface.
    half = factor // 2
    depth_um, there = (
        raster[half::factor, half::factor] for raster in (sheet.depth_um, sheet.coverage)
    )
    coverage = np.where(there > 0, _averaged(sheet.coverage, factor), np.float32(0))
    return replace(
        sheet,
        colour=_centred(_averaged(sheet.colour, factor), shape),
        coverage=_centred(coverage, shape),
        depth_um=_centred(depth_um, shape),
    )


def _averaged(raster: Floats, factor: int) -> Floats:
    height, width = raster.shape[:2]
    smaller = cv2.resize(raster, (width // factor, height // factor), interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.float32)


def _centred(raster: Floats, shape: tuple[int, int]) -> Floats:
    """Return the middle ``shape`` rows and columns of a raster, with repeated edges if needed."""
    for axis, wanted in enumerate(shape):
        first = (raster.shape[axis] - wanted) // 2
        places = np.clip(np.arange(first, first + wanted), 0, raster.shape[axis] - 1)
        raster = np.take(raster, places, axis=axis)
    return np.ascontiguousarray(raster)
