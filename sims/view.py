"""What a lens makes of layers: each projected, blurred by its distance, the near over the far.

Light adds up in linear values with premultiplied coverage, so a blurred foreground spreads over
what lies behind it, and lets it shine through, as in a lens. A layer much out of focus is blurred
at a fraction of its size: layers in front are gathered from coarse to fine towards the focus,
those behind likewise, and the two meet there.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sims.diffraction import first_dark_ring_um, spot
from sims.layers import SIZES, Layers
from sims.pupil import Lens
from sims.sheet import Floats

# Around a canvas, so that enlarging it has neighbours to go by.
_MARGIN_PX = 2
_LARGEST_SPOT_PX = 6.0
_TILE_PX = 128
_OPAQUE = 0.999

_ONE_MINUS_COVERAGE = np.tile(np.array([0, 0, 0, -1, 1], np.float32), (4, 1))

_Window = tuple[slice, slice]


@dataclass(frozen=True)
class View:
    """A lens in front of layers.

    Attributes
    ----------
    layers
        What it looks at.
    lens
        What looks.
    plane_um
        Position of the plane in focus.
    aside_um
        How far the lens stands to the right of and below the raster's middle, in the world.
    width_px, height_px, pixel_pitch_um
        The sensor.
    object_pixel_um
        What a pixel of the layers' rasters spans.
    """

    layers: Layers
    lens: Lens
    plane_um: float
    aside_um: tuple[float, float]
    width_px: int
    height_px: int
    pixel_pitch_um: float
    object_pixel_um: float

    def light(self, defocused: bool = True) -> Floats:
        """Linear light on the sensor, float32 (height, width, 3); 1 is white paper.

        With ``defocused`` false every layer is in focus: what no lens can do.
        """
        order = [i for i in range(len(self.layers.depths_um)) if not self.layers.is_empty(i)]
        shown = {index: self._shown(index, defocused) for index in order}
        finest = min(layer.size for layer in shown.values())
        last = max(index for index in order if shown[index].size == finest)
        front = _Gathered(self, shown[order[0]].size)
        for index in range(order[0], last + 1):
            if index in shown:
                front.resize(shown[index].size)
                self._put_behind(front.light, shown[index])
        behind = [shown[index] for index in reversed(order) if index > last]
        if behind:
            back = _Gathered(self, behind[0].size)
            for layer in behind:
                back.resize(layer.size)
                self._put_in_front(back.light, layer)
            back.resize(finest)
            _add_behind(front.light, back.light)
        front.resize(0)
        inside = slice(_MARGIN_PX, -_MARGIN_PX)
        return np.ascontiguousarray(front.light[inside, inside, :3])

    def depth_um(self) -> Floats:
        """Depth of what is seen at each pixel, float32 (height, width), micrometres."""
        size = (self.width_px, self.height_px)
        depth_um = np.full(size[::-1], self.layers.depths_um[-1], np.float32)
        for index in range(len(self.layers.depths_um) - 1, -1, -1):
            to_raster = self._to_raster(index, 0, 0)
            for coverage, sheet_um in self.layers.surfaces(index):
                covered = _warp(coverage, to_raster, size)
                here = _warp(sheet_um, to_raster, size, cv2.INTER_NEAREST)
                # Of a point shared by two layers, the nearer one that holds half decides.
                depth_um = np.where(covered >= 0.5, here, depth_um)
        return depth_um

    def canvas(self, size: int) -> tuple[int, int]:
        """Width and height at ``1 / 2**size``, with a margin all around for blur to come from."""
        width = -(-self.width_px // 2**size) + 2 * _MARGIN_PX
        height = -(-self.height_px // 2**size) + 2 * _MARGIN_PX
        return width, height

    def _distance_um(self, index: int) -> float:
        beyond_um = float(self.layers.depths_um[index]) - self.plane_um
        return self.lens.working_distance_um + beyond_um

    def _shown(self, index: int, defocused: bool) -> _Shown:
        distance_um = self._distance_um(index)
        f_number = self.lens.sensor_f_number
        disc_um = self.lens.blur_disc_um(distance_um) if defocused else 0.0
        spot_px = np.hypot(disc_um, first_dark_ring_um(f_number)) / self.pixel_pitch_um
        size = 0
        while spot_px > _LARGEST_SPOT_PX and size < SIZES - 1:
            spot_px /= 2
            size += 1
        wavefront_um = self.lens.wavefront_error_um(distance_um) if defocused else 0.0
        pixel_um = self.pixel_pitch_um * 2**size
        kernel = spot(wavefront_um, f_number, pixel_um, _widened_px2(size))
        return _Shown(index, size, kernel / np.float32(self.layers.full_scale(size)))

    def _to_raster(self, index: int, size: int, margin_px: int) -> npt.NDArray[np.float64]:
        """From pixels of the canvas at a size to those of the raster at that size, 2 x 3."""
        per_px = self.pixel_pitch_um / self.lens.scale(self._distance_um(index))
        zoom = per_px / self.object_pixel_um
        rows, columns = self.layers.shape
        matrix = np.zeros((2, 3))
        for axis, (sensor_px, raster_px) in enumerate(
            ((self.width_px, columns), (self.height_px, rows))
        ):
            middle = raster_px / 2 + self.aside_um[axis] / self.object_pixel_um
            # A pixel's middle lies half a pixel from its corner, at every size.
            corner = middle - zoom * sensor_px / 2
            matrix[axis, axis] = zoom
            matrix[axis, 2] = zoom * (0.5 - margin_px) + corner / 2**size - 0.5
        return matrix

    def _put_behind(self, light: Floats, layer: _Shown) -> None:
        """Add a layer where what lies in front is not opaque: of a body, a narrow ring."""
        height, width = light.shape[:2]
        for top in range(0, height, _TILE_PX):
            for left in range(0, width, _TILE_PX):
                rows = slice(top, min(top + _TILE_PX, height))
                columns = slice(left, min(left + _TILE_PX, width))
                there = light[rows, columns]
                if there[..., 3].min() < _OPAQUE and self._reaches(layer, (rows, columns)):
                    _add_behind(there, self._blurred(layer, (rows, columns)))

    def _put_in_front(self, light: Floats, layer: _Shown) -> None:
        height, width = light.shape[:2]
        blurred = self._blurred(layer, (slice(0, height), slice(0, width)))
        light *= _let_through(blurred)
        light += blurred

    def _reaches(self, layer: _Shown, window: _Window) -> bool:
        """Whether any of a layer's light can fall into a window of its canvas."""
        reach = layer.kernel.shape[0] // 2 + 1
        to_raster = self._to_raster(layer.index, layer.size, _MARGIN_PX)
        bounds = []
        for axis, span in ((1, window[0]), (0, window[1])):
            zoom, start = to_raster[axis, axis], to_raster[axis, 2]
            ends = (span.start - reach, span.stop + reach)
            bounds.append([(zoom * end + start) * 2**layer.size for end in ends])
        return self.layers.occupies(layer.index, *bounds)

    def _blurred(self, layer: _Shown, window: _Window) -> Floats:
        """A layer as it falls on a window of its canvas."""
        reach = layer.kernel.shape[0] // 2
        rows, columns = window
        to_raster = self._to_raster(layer.index, layer.size, _MARGIN_PX)
        to_raster[:, 2] += to_raster[:, :2] @ (columns.start - reach, rows.start - reach)
        size = columns.stop - columns.start + 2 * reach, rows.stop - rows.start + 2 * reach
        seen = _warp(
            self.layers.raster(layer.index, layer.size),
            to_raster,
            size,
            cv2.INTER_CUBIC if layer.size else cv2.INTER_LINEAR,
        )
        blurred = cv2.filter2D(seen, cv2.CV_32F, layer.kernel)
        inside = blurred[reach : size[1] - reach, reach : size[0] - reach]
        return inside.astype(np.float32, copy=False)


@dataclass(frozen=True)
class _Shown:
    """A layer's index, the size at which it is blurred, and its spot there."""

    index: int
    size: int
    kernel: Floats


class _Gathered:
    """Layers gathered so far: premultiplied light and coverage, float32 (rows, columns, 4)."""

    def __init__(self, view: View, size: int) -> None:
        width, height = view.canvas(size)
        self.light: Floats = np.zeros((height, width, 4), np.float32)
        self._view = view
        self._size = size

    def resize(self, size: int) -> None:
        """Go on at a finer (or the same) size."""
        while self._size > size:
            self._size -= 1
            width, height = self._view.canvas(self._size)
            twice = cv2.resize(self.light, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
            rows = slice(_MARGIN_PX, _MARGIN_PX + height)
            columns = slice(_MARGIN_PX, _MARGIN_PX + width)
            self.light = twice[rows, columns].astype(np.float32)


def _let_through(light: Floats) -> Floats:
    """What premultiplied light lets through, one minus its coverage, for all four channels."""
    return cv2.transform(light, _ONE_MINUS_COVERAGE).astype(np.float32, copy=False)


def _add_behind(light: Floats, behind: Floats) -> None:
    through = _let_through(light)
    through *= behind
    light += through


def _widened_px2(size: int) -> float:
    """Variance that working at a fraction of the size adds, in pixels of that size.

    A box of one pixel (1/12) twice, for shrinking and for the spot's own pixels; and going back up
    between two pixels at quarters (3/16, then a fourth of it at each finer size). The projection
    adds next to none: it interpolates with cubics.
    """
    if size == 0:
        return 0.0
    back_up = 3 / 16 * sum(0.25**step for step in range(size))
    return 2 / 12 + back_up


def _warp(
    raster: npt.NDArray[np.float32] | npt.NDArray[np.uint16],
    to_raster: npt.NDArray[np.float64],
    size: tuple[int, int],
    interpolation: int = cv2.INTER_LINEAR,
) -> npt.NDArray[np.float32]:
    warped = cv2.warpAffine(
        raster,
        to_raster,
        size,
        flags=interpolation | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return warped.astype(np.float32, copy=False)
