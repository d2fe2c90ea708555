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

_MARGIN_PX = 8
_LARGEST_SPOT_PX = 7.0


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
        sizes = {i: self._size(i) if defocused else self._size_in_focus() for i in order}
        finest = min(sizes.values())
        middle = [i for i in order if sizes[i] == finest]
        front, back = _Gathered(), _Gathered()
        for index in order:
            if index > middle[-1]:
                break
            front.resize(sizes[index], self)
            front.put_behind(self._blurred(index, sizes[index], defocused))
        for index in reversed(order):
            if index <= middle[-1]:
                break
            back.resize(sizes[index], self)
            back.put_in_front(self._blurred(index, sizes[index], defocused))
        if back.light is not None:
            back.resize(finest, self)
            front.put_behind(back.light)
        front.resize(0, self)
        assert front.light is not None
        inside = front.light[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX, :3]
        return np.ascontiguousarray(inside)

    def depth_um(self) -> Floats:
        """Depth of what is seen at each pixel, float32 (height, width), micrometres."""
        size = (self.width_px, self.height_px)
        depth_um = np.full(size[::-1], self.layers.depths_um[-1], np.float32)
        for index in range(len(self.layers.depths_um) - 1, -1, -1):
            to_raster = self._to_raster(index, 0, 0)
            for sheet, coverage in reversed(self.layers.shares(index)):
                covered = _warp(coverage, to_raster, size)
                here = _warp(sheet.depth_um, to_raster, size, cv2.INTER_NEAREST)
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

    def _size(self, index: int) -> int:
        disc_px = self.lens.blur_disc_um(self._distance_um(index)) / self.pixel_pitch_um
        return _size_for(float(np.hypot(disc_px, self._dark_ring_px())))

    def _size_in_focus(self) -> int:
        return _size_for(self._dark_ring_px())

    def _dark_ring_px(self) -> float:
        return first_dark_ring_um(self.lens.sensor_f_number) / self.pixel_pitch_um

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

    def _blurred(self, index: int, size: int, defocused: bool) -> Floats:
        raster = self.layers.raster(index, size)
        seen = _warp(raster, self._to_raster(index, size, _MARGIN_PX), self.canvas(size))
        wavefront_um = self.lens.wavefront_error_um(self._distance_um(index)) if defocused else 0.0
        kernel = spot(
            wavefront_um,
            self.lens.sensor_f_number,
            self.pixel_pitch_um * 2**size,
            _widened_px2(size),
        )
        blurred = cv2.filter2D(
            seen,
            cv2.CV_32F,
            kernel / np.float32(self.layers.full_scale(size)),
            borderType=cv2.BORDER_REPLICATE,
        )
        return blurred.astype(np.float32, copy=False)


class _Gathered:
    """Layers gathered so far: premultiplied light and coverage, float32 (rows, columns, 4)."""

    def __init__(self) -> None:
        self.light: Floats | None = None
        self._size = 0

    def resize(self, size: int, view: View) -> None:
        """Go on at a finer (or the same) size."""
        if self.light is None:
            self._size = size
        while self._size > size:
            assert self.light is not None
            self._size -= 1
            width, height = view.canvas(self._size)
            twice = cv2.resize(self.light, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
            rows = slice(_MARGIN_PX, _MARGIN_PX + height)
            columns = slice(_MARGIN_PX, _MARGIN_PX + width)
            self.light = np.ascontiguousarray(twice[rows, columns])

    def put_behind(self, light: Floats) -> None:
        if self.light is None:
            self.light = light
        else:
            self.light += (1 - self.light[..., 3:]) * light

    def put_in_front(self, light: Floats) -> None:
        if self.light is not None:
            light = light + (1 - light[..., 3:]) * self.light
        self.light = light


def _size_for(spot_px: float) -> int:
    size = 0
    while spot_px > _LARGEST_SPOT_PX and size < SIZES - 1:
        spot_px /= 2
        size += 1
    return size


def _widened_px2(size: int) -> float:
    """Variance that working at a fraction of the size adds, in pixels of that size.

    A box of one pixel (1/12) twice: shrinking, and the spot's own pixels; interpolating between
    two pixels (1/6 on average) for the projection, and on the way back up at quarters (3/16,
    then a fourth of it at each finer size).
    """
    if size == 0:
        return 0.0
    back_up = 3 / 16 * sum(0.25**step for step in range(size))
    return 2 / 12 + 1 / 6 + back_up


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
