"""What a lens makes of layers: each projected, blurred by its distance, the near before the far.

Every ray ends once. So the light of one layer after the other, from near to far, fills what is
still free of a pixel, in linear light: a blurred foreground spreads over what lies behind it and
lets it shine through, and along a slope the layers' shares add up to a whole. A layer much out of
focus is blurred at a fraction of its size: layers in front are gathered from coarse to fine
towards the focus, those behind it likewise, and the two meet there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from macrorail_sims.diffraction import first_dark_ring_um, spot
from macrorail_sims.layers import SIZES, Layers, Raster, full_scale
from macrorail_sims.pupil import Lens
from macrorail_sims.sheet import Floats

# Around a canvas, so that enlarging it has neighbours to go by.
_MARGIN_PX = 2
_LARGEST_SPOT_PX = 5.0
_TILE_PX = 128
_OPAQUE = 0.999
_LEAST = np.float32(1e-6)

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
        layers = self.layers
        ground = self._seen(layers.ground, float(layers.depths_um[-1]), defocused)
        core = None
        if layers.core is not None and layers.core_um is not None:
            core = self._seen(layers.core, layers.core_um, defocused)
        seen = [
            self._seen_layer(index, defocused)
            for index in range(len(layers.depths_um))
            if not layers.is_empty(index)
        ]
        finest = min(each.size for each in (*seen, core, ground) if each)
        # The sharpest layers end the group in front; what follows is gathered from behind.
        sharpest = [at for at, each in enumerate(seen) if each.size == finest]
        split = sharpest[-1] + 1 if sharpest else len(seen)
        front = _Gathered(self, seen[0].size if seen[:split] else finest)
        for each in seen[:split]:
            front.resize(each.size)
            self._add(front.light, each, in_front=False)
        back = _Gathered(self, seen[-1].size if seen[split:] else finest)
        for each in reversed(seen[split:]):
            back.resize(each.size)
            self._add(back.light, each, in_front=True)
        for gathered in (front, back):
            gathered.resize(finest)
        core_light = self._backdrop(core, finest) if core else None
        ground_light = self._backdrop(ground, finest)
        for window in _tiles(front.light):
            there = front.light[window]
            if there[..., 3].min() < _OPAQUE:
                _fill(there, back.light[window])
                if core_light is not None:
                    _fill_up_to(there, core_light[window])
                _fill(there, ground_light[window])
        front.resize(0)
        inside = slice(_MARGIN_PX, -_MARGIN_PX)
        # Cubics undershoot beside hard edges; there is no light below none.
        return np.maximum(front.light[inside, inside, :3], np.float32(0))

    def depth_um(self) -> Floats:
        """Depth of what is seen at each pixel, float32 (height, width), micrometres."""
        size = (self.width_px, self.height_px)
        depth_um = np.full(size[::-1], self.layers.depths_um[-1], np.float32)
        covered = np.zeros(size[::-1], np.float32)
        for index, at_um in enumerate(self.layers.depths_um):
            if self.layers.is_empty(index):
                continue
            to_raster = self._to_raster(float(at_um), 0, 0)
            for coverage, sheet_um in self.layers.surfaces(index):
                before = covered
                covered = before + _warp(coverage, to_raster, size)
                here = _warp(sheet_um, to_raster, size, cv2.INTER_NEAREST)
                # The surface that brings the pixel to its half decides.
                depth_um = np.where((before < 0.5) & (covered >= 0.5), here, depth_um)
        return depth_um

    def canvas(self, size: int) -> tuple[int, int]:
        """Width and height at ``1 / 2**size``, with the margin all around."""
        width = -(-self.width_px // 2**size) + 2 * _MARGIN_PX
        height = -(-self.height_px // 2**size) + 2 * _MARGIN_PX
        return width, height

    def _seen_layer(self, index: int, defocused: bool) -> _Seen:
        at_um = float(self.layers.depths_um[index])
        size, kernel = self._blur(at_um, defocused)
        raster = partial(self.layers.raster, index, size)
        return _Seen(raster, size, kernel, self._to_raster(at_um, size, _MARGIN_PX), index)

    def _seen(self, rasters: list[Raster], at_um: float, defocused: bool) -> _Seen:
        size, kernel = self._blur(at_um, defocused)
        to_raster = self._to_raster(at_um, size, _MARGIN_PX)
        return _Seen(lambda: rasters[size], size, kernel, to_raster, None)

    def _distance_um(self, at_um: float) -> float:
        return self.lens.working_distance_um + at_um - self.plane_um

    def _blur(self, at_um: float, defocused: bool) -> tuple[int, Floats]:
        """At which size to blur what lies at a depth, and its spot there."""
        distance_um = self._distance_um(at_um) if defocused else self.lens.working_distance_um
        f_number = self.lens.sensor_f_number
        disc_um = self.lens.blur_disc_um(distance_um)
        # What diffraction spreads stays sharp in the middle: half of it counts.
        spot_um = np.hypot(disc_um, first_dark_ring_um(f_number) / 2)
        spot_px = spot_um / self.pixel_pitch_um
        size = 0
        while spot_px > _LARGEST_SPOT_PX and size < SIZES - 1:
            spot_px /= 2
            size += 1
        wavefront_um = self.lens.wavefront_error_um(distance_um)
        pixel_um = self.pixel_pitch_um * 2**size
        kernel = spot(wavefront_um, f_number, pixel_um, _widened_px2(size))
        return size, kernel / np.float32(full_scale(size))

    def _to_raster(self, at_um: float, size: int, margin_px: int) -> npt.NDArray[np.float64]:
        """From pixels of the canvas at a size to those of the raster at that size, 2 x 3."""
        per_px = self.pixel_pitch_um / self.lens.scale(self._distance_um(at_um))
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

    def _add(self, light: Floats, layer: _Seen, in_front: bool) -> None:
        """Add a layer in front of or behind what is there, tile by tile: most stay as they are."""
        for window in _tiles(light):
            there = light[window]
            hidden = not in_front and there[..., 3].min() >= _OPAQUE
            if hidden or not self._reaches(layer, window):
                continue
            blurred = layer.blurred(window)
            if in_front:
                _fill(blurred, there)
                there[:] = blurred
            else:
                _fill(there, blurred)

    def _reaches(self, layer: _Seen, window: _Window) -> bool:
        """Whether any of a layer's light can fall into a window of its canvas."""
        assert layer.index is not None
        reach = layer.kernel.shape[0] // 2 + 2
        bounds = []
        for axis, span in ((1, window[0]), (0, window[1])):
            zoom, start = layer.to_raster[axis, axis], layer.to_raster[axis, 2]
            ends = (span.start - reach, span.stop + reach)
            bounds.append([(zoom * end + start) * 2**layer.size for end in ends])
        return self.layers.occupies(layer.index, *bounds)

    def _backdrop(self, layer: _Seen, size: int) -> Floats:
        """What lies behind everything, at a finer size than the one it is blurred at."""
        gathered = _Gathered(self, layer.size)
        height, width = gathered.light.shape[:2]
        gathered.light = layer.blurred((slice(0, height), slice(0, width)))
        gathered.resize(size)
        return gathered.light


@dataclass(frozen=True)
class _Seen:
    """A layer's raster at the size at which it is blurred, its spot, and where its canvas lies.

    The raster is asked for when it is needed: all of them at once are much memory.
    """

    raster: Callable[[], Raster]
    size: int
    kernel: Floats
    to_raster: npt.NDArray[np.float64]
    index: int | None

    def blurred(self, window: _Window) -> Floats:
        """The layer as it falls on a window of its canvas."""
        reach = self.kernel.shape[0] // 2
        rows, columns = window
        to_raster = self.to_raster.copy()
        to_raster[:, 2] += to_raster[:, :2] @ (columns.start - reach, rows.start - reach)
        size = columns.stop - columns.start + 2 * reach, rows.stop - rows.start + 2 * reach
        # Coarse pixels need cubics to stay where they are; at full size they would cost too much.
        interpolation = cv2.INTER_CUBIC if self.size else cv2.INTER_LINEAR
        sharp = _warp(self.raster(), to_raster, size, interpolation)
        blurred = cv2.filter2D(sharp, cv2.CV_32F, self.kernel)
        inside = blurred[reach : size[1] - reach, reach : size[0] - reach]
        return inside.astype(np.float32)


class _Gathered:
    """Layers gathered so far: premultiplied light and coverage, float32 (rows, columns, 4)."""

    def __init__(self, view: View, size: int) -> None:
        self._view = view
        self._size = size
        width, height = view.canvas(self._size)
        self.light: Floats = np.zeros((height, width, 4), np.float32)

    def resize(self, size: int) -> None:
        """Go on at a finer (or the same) size."""
        while self._size > size:
            self._size -= 1
            width, height = self._view.canvas(self._size)
            twice = cv2.resize(self.light, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
            rows = slice(_MARGIN_PX, _MARGIN_PX + height)
            columns = slice(_MARGIN_PX, _MARGIN_PX + width)
            self.light = twice[rows, columns].astype(np.float32)


def _tiles(light: Floats) -> Iterator[_Window]:
    height, width = light.shape[:2]
    for top in range(0, height, _TILE_PX):
        for left in range(0, width, _TILE_PX):
            yield (
                slice(top, min(top + _TILE_PX, height)),
                slice(left, min(left + _TILE_PX, width)),
            )


def _fill(light: Floats, behind: Floats) -> None:
    """Fill what is free of each pixel with what lies behind, as far as that goes."""
    _add_share(light, behind, 1.0)


def _fill_up_to(light: Floats, behind: Floats) -> None:
    """Fill each pixel until it is covered as far as what lies behind would cover it alone."""
    _add_share(light, behind, behind[..., 3])


def _add_share(light: Floats, behind: Floats, until: Floats | float) -> None:
    share = (until - light[..., 3]) / np.maximum(behind[..., 3], _LEAST)
    share = np.clip(share, 0, 1, dtype=np.float32)
    light += cv2.merge([share, share, share, share]) * behind


def _widened_px2(size: int) -> float:
    """Variance that working at a fraction of the size adds, in pixels of that size.

    A box of one pixel (1/12) twice, for shrinking and for the spot's own pixels; for the
    projection OpenCV's cubics (a = -0.75), which sharpen by 1/15 on average; and going back up
    between two pixels at quarters (3/16, then a fourth of it at each finer size).
    """
    if size == 0:
        return 0.0
    back_up = 3 / 16 * sum(0.25**step for step in range(size))
    return 2 / 12 - 1 / 15 + back_up


def _warp(
    raster: Raster,
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
