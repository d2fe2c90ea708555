"""Projects layers through a lens: each is blurred by its defocus and composited from near to far.

Compositing is in linear light. Each layer, from near to far, fills the part of a pixel that is
still free. So a blurred foreground spreads over the background and is partly transparent, and
along a slope the shares of the layers add up to one. A strongly defocused layer is blurred at a
reduced size. The layers in front of the focus are composited from coarse to fine. The layers behind
the focus are also composited from coarse to fine. Both groups are joined at the focus.
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

# Margin around a canvas for the interpolation when it is enlarged.
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
        The layers of the specimen.
    lens
        The lens.
    plane_um
        Position of the plane in focus.
    aside_um
        Offset of the lens from the middle of the raster, to the right and down.
    width_px, height_px, pixel_pitch_um
        Width, height and pixel pitch of the sensor.
    object_pixel_um
        Size of a pixel of the rasters.
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
        """Return the linear light on the sensor, float32 (height, width, 3); 1 is white paper.

        If ``defocused`` is false, every layer is in focus.
        """
        layers = self.layers
        ground = self._projected(layers.ground, float(layers.depths_um[-1]), defocused)
        core = None
        if layers.core is not None and layers.core_um is not None:
            core = self._projected(layers.core, layers.core_um, defocused)
        projected = [
            self._projected_layer(index, defocused)
            for index in range(len(layers.depths_um))
            if not layers.is_empty(index)
        ]
        finest = min(each.size for each in (*projected, core, ground) if each)
        # The front group ends with the sharpest layers. The back group is composited from behind.
        sharpest = [at for at, each in enumerate(projected) if each.size == finest]
        split = sharpest[-1] + 1 if sharpest else len(projected)
        front = _Composite(self, projected[0].size if projected[:split] else finest)
        for each in projected[:split]:
            front.resize(each.size)
            self._add(front.light, each, in_front=False)
        back = _Composite(self, projected[-1].size if projected[split:] else finest)
        for each in reversed(projected[split:]):
            back.resize(each.size)
            self._add(back.light, each, in_front=True)
        for composite in (front, back):
            composite.resize(finest)
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
        # Cubic interpolation undershoots at hard edges; light cannot be negative.
        return np.maximum(front.light[inside, inside, :3], np.float32(0))

    def depth_um(self) -> Floats:
        """Return the depth of the visible surface, float32 (height, width), micrometres."""
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
                # The depth of a pixel is that of the surface at which half the pixel is covered.
                depth_um = np.where((before < 0.5) & (covered >= 0.5), here, depth_um)
        return depth_um

    def canvas(self, size: int) -> tuple[int, int]:
        """Return the width and height at ``1 / 2**size``, including the margin on all sides."""
        width = -(-self.width_px // 2**size) + 2 * _MARGIN_PX
        height = -(-self.height_px // 2**size) + 2 * _MARGIN_PX
        return width, height

    def _projected_layer(self, index: int, defocused: bool) -> _ProjectedLayer:
        at_um = float(self.layers.depths_um[index])
        size, kernel = self._blur(at_um, defocused)
        raster = partial(self.layers.raster, index, size)
        return _ProjectedLayer(
            raster, size, kernel, self._to_raster(at_um, size, _MARGIN_PX), index
        )

    def _projected(self, rasters: list[Raster], at_um: float, defocused: bool) -> _ProjectedLayer:
        size, kernel = self._blur(at_um, defocused)
        to_raster = self._to_raster(at_um, size, _MARGIN_PX)
        return _ProjectedLayer(lambda: rasters[size], size, kernel, to_raster, None)

    def _distance_um(self, at_um: float) -> float:
        return self.lens.working_distance_um + at_um - self.plane_um

    def _blur(self, at_um: float, defocused: bool) -> tuple[int, Floats]:
        """Return the size at which a layer at a depth is blurred, and its point spread function."""
        distance_um = self._distance_um(at_um) if defocused else self.lens.working_distance_um
        f_number = self.lens.sensor_f_number
        disc_um = self.lens.blur_disc_um(distance_um)
        # The diffraction spot has a sharp centre, so only half its radius counts.
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
        """Return the 2 x 3 transform from canvas to raster pixels, both at ``1 / 2**size``."""
        per_px = self.pixel_pitch_um / self.lens.scale(self._distance_um(at_um))
        zoom = per_px / self.object_pixel_um
        rows, columns = self.layers.shape
        matrix = np.zeros((2, 3))
        for axis, (sensor_px, raster_px) in enumerate(
            ((self.width_px, columns), (self.height_px, rows))
        ):
            middle = raster_px / 2 + self.aside_um[axis] / self.object_pixel_um
            # The middle of a pixel is half a pixel from its corner, at every size.
            corner = middle - zoom * sensor_px / 2
            matrix[axis, axis] = zoom
            matrix[axis, 2] = zoom * (0.5 - margin_px) + corner / 2**size - 0.5
        return matrix

    def _add(self, light: Floats, layer: _ProjectedLayer, in_front: bool) -> None:
        """Add a layer in front of or behind the composite; skip tiles that do not change."""
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

    def _reaches(self, layer: _ProjectedLayer, window: _Window) -> bool:
        """Return whether light of a layer can fall into a window of its canvas."""
        assert layer.index is not None
        reach = layer.kernel.shape[0] // 2 + 2
        bounds = []
        for axis, span in ((1, window[0]), (0, window[1])):
            zoom, start = layer.to_raster[axis, axis], layer.to_raster[axis, 2]
            ends = (span.start - reach, span.stop + reach)
            bounds.append([(zoom * end + start) * 2**layer.size for end in ends])
        return self.layers.occupies(layer.index, *bounds)

    def _backdrop(self, layer: _ProjectedLayer, size: int) -> Floats:
        """Return a background layer, enlarged from the size at which it is blurred."""
        composite = _Composite(self, layer.size)
        height, width = composite.light.shape[:2]
        composite.light = layer.blurred((slice(0, height), slice(0, width)))
        composite.resize(size)
        return composite.light


@dataclass(frozen=True)
class _ProjectedLayer:
    """A layer to be blurred: its raster at the size of blurring, its kernel and its transform.

    The raster is loaded only when needed, because all rasters together need too much memory.
    """

    raster: Callable[[], Raster]
    size: int
    kernel: Floats
    to_raster: npt.NDArray[np.float64]
    index: int | None

    def blurred(self, window: _Window) -> Floats:
        """Return the blurred layer in a window of its canvas."""
        reach = self.kernel.shape[0] // 2
        rows, columns = window
        to_raster = self.to_raster.copy()
        to_raster[:, 2] += to_raster[:, :2] @ (columns.start - reach, rows.start - reach)
        size = columns.stop - columns.start + 2 * reach, rows.stop - rows.start + 2 * reach
        # Reduced sizes need cubic interpolation for accuracy; at full size it would be too slow.
        interpolation = cv2.INTER_CUBIC if self.size else cv2.INTER_LINEAR
        sharp = _warp(self.raster(), to_raster, size, interpolation)
        blurred = cv2.filter2D(sharp, cv2.CV_32F, self.kernel)
        inside = blurred[reach : size[1] - reach, reach : size[0] - reach]
        return inside.astype(np.float32)


class _Composite:
    """Layers composited so far: premultiplied light and coverage, float32 (rows, columns, 4)."""

    def __init__(self, view: View, size: int) -> None:
        self._view = view
        self._size = size
        width, height = view.canvas(self._size)
        self.light: Floats = np.zeros((height, width, 4), np.float32)

    def resize(self, size: int) -> None:
        """Enlarge the composite to a finer size; does nothing for the same size."""
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
    """Fill the part of each pixel of ``light`` that is still free with the layer behind."""
    _add_share(light, behind, 1.0)


def _fill_up_to(light: Floats, behind: Floats) -> None:
    """Fill each pixel with the layer behind, until the pixel is covered as much as that layer."""
    _add_share(light, behind, behind[..., 3])


def _add_share(light: Floats, behind: Floats, until: Floats | float) -> None:
    share = (until - light[..., 3]) / np.maximum(behind[..., 3], _LEAST)
    share = np.clip(share, 0, 1, dtype=np.float32)
    light += cv2.merge([share, share, share, share]) * behind


def _widened_px2(size: int) -> float:
    """Return the variance in reduced pixels squared that reducing and enlarging add to a blur.

    Two boxes of one pixel add 1/12 each: one for the reduction, one for the pixels of the kernel.
    OpenCV's cubic interpolation (a = -0.75) sharpens and subtracts 1/15. The first enlargement adds
    3/16, and each further enlargement a fourth of the previous one.
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
