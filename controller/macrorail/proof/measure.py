"""Measures a frame: sharpness of each tile in three octaves, direction, light, a small picture.

For each frame only the measurements of its tiles are kept: 80 bytes for each of about 1500 tiles.
The small picture is kept only until the next frame has been compared with it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from macrorail.errors import FrameError, StackError
from macrorail.proof.gradients import add_gradients
from macrorail.stacking.images import read_picture, to_8_bit
from macrorail.stacking.kinds import JPEG

Floats = NDArray[np.float64]

BANDS = 3
"""Octaves of sharpness: differences over 1, 2 and 4 pixels."""

_OCTAVES = 6

_SMALLEST_TILE_PX = 8
_TILES_ACROSS = 48
_SMALL_WIDTH_PX = 1000
# Number of rows read per tile: enough for its mean, 500 pixels or more in all but small tiles.
_ROWS_PER_TILE = 16
_FINGERPRINT_ROWS = 16


@dataclass(frozen=True)
class Measurement:
    """Measurements of one frame.

    Attributes
    ----------
    energy
        (bands, tiles) float64: mean squared gradient of the 8-bit luma, in each octave.
    coarse
        (further octaves, tiles) float64: mean squared difference of the luma over 8, 16 and 32
        pixels, up to the width of a tile; shows how coarse the texture is.
    tensor
        (3, tiles) float64: mean of gx gx, gy gy and gx gy in the finest octave.
    light
        (tiles,) float64: mean linear light, 0..1.
    small
        (height, width) uint8: the picture at reduced size, used to detect shifts; empty once it is
        no longer needed.
    small_px
        Edge length, in pixels of the frame, of one pixel of ``small``; a power of two.
    fingerprint
        Checksum of the decoded pixels. Two exposures never have the same checksum, because of
        noise.
    rows, columns
        Number of rows and columns of tiles. Incomplete tiles at the right and lower edge are left
        out.
    tile_px
        Edge length of a tile, pixels.
    """

    energy: Floats
    coarse: Floats
    tensor: Floats
    light: Floats
    small: NDArray[np.uint8]
    small_px: int
    fingerprint: int
    rows: int
    columns: int
    tile_px: int

    def without_picture(self) -> Measurement:
        """Return the measurement without the small picture, which takes most of the memory."""
        return replace(self, small=np.empty((0, 0), np.uint8))


def measure(path: Path, widest_px: int | None = None) -> Measurement:
    """Read and measure a frame.

    Parameters
    ----------
    widest_px
        Frames wider than this are first reduced to this width.

    Raises
    ------
    FrameError
        The frame cannot be decoded completely, or is too small.
    """
    luma = _read_luma(path)
    if widest_px is not None and luma.shape[1] > widest_px:
        size = (widest_px, round(luma.shape[0] * widest_px / luma.shape[1]))
        luma = np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)
    height, width = luma.shape
    tile_px = tile_size_px(width)
    rows, columns = height // tile_px, width // tile_px
    if rows < 2 or columns < 2:
        raise FrameError(f"{path} is {width} x {height} pixels, too small to be divided into tiles")
    tensor = _tensor(luma, tile_px, rows, columns)
    energy = [tensor[0] + tensor[1]]
    # A view, because copying all pixels would take as long as the coarser octaves.
    octave = small = luma[: rows * tile_px, : columns * tile_px]
    coarse = []
    for band in range(1, min(_OCTAVES, tile_px.bit_length())):
        octave = _halved(octave)
        if small.shape[1] > _SMALL_WIDTH_PX:
            small = octave
        if band < BANDS:
            coarser = _tensor(octave, tile_px >> band, rows, columns)
            energy.append(coarser[0] + coarser[1])
        else:
            coarse.append(_coarse_energy(octave, rows, columns))
    linear = np.asarray(_LINEAR[small], np.float32)
    light = cv2.resize(linear, (columns, rows), interpolation=cv2.INTER_AREA)
    return Measurement(
        energy=np.array(energy),
        coarse=np.array(coarse),
        tensor=tensor,
        light=light.astype(np.float64).ravel(),
        small=small.copy(),
        small_px=columns * tile_px // small.shape[1],
        fingerprint=zlib.crc32(luma[::_FINGERPRINT_ROWS].tobytes()),
        rows=rows,
        columns=columns,
        tile_px=tile_px,
    )


def tile_size_px(width_px: int) -> int:
    """Return the edge length of a tile: about 1/48 of the frame's width, a multiple of 8 pixels."""
    return _SMALLEST_TILE_PX * max(1, round(width_px / _TILES_ACROSS / _SMALLEST_TILE_PX))


def _read_luma(path: Path) -> NDArray[np.uint8]:
    try:
        if path.suffix.lower() in JPEG.suffixes:
            luma = simplejpeg.decode_jpeg(path.read_bytes(), "GRAY")
            return np.asarray(luma[:, :, 0], np.uint8)
        grey = cv2.cvtColor(to_8_bit(read_picture(path)), cv2.COLOR_BGR2GRAY)
        return np.asarray(grey, np.uint8)
    except (OSError, ValueError, StackError) as error:
        raise FrameError(f"{path.name} cannot be decoded: {error}") from error


def _halved(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    size = (luma.shape[1] // 2, luma.shape[0] // 2)
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)


def _tensor(luma: NDArray[np.uint8], tile_px: int, rows: int, columns: int) -> Floats:
    """Return the means of gx gx, gy gy and gx gy of every tile, (3, rows * columns)."""
    means = np.empty((3, rows, columns))
    add_gradients(luma, tile_px, max(1, tile_px // _ROWS_PER_TILE), means)
    return means.reshape(3, rows * columns)


def _coarse_energy(luma: NDArray[np.uint8], rows: int, columns: int) -> Floats:
    """Return the mean squared gradient in octaves where a tile is not a whole number of pixels."""
    values = luma.astype(np.float32)
    squares = np.zeros_like(values)
    squares[:, :-1] = (values[:, 1:] - values[:, :-1]) ** 2
    squares[:-1] += (values[1:] - values[:-1]) ** 2
    energy = cv2.resize(squares, (columns, rows), interpolation=cv2.INTER_AREA)
    return energy.astype(np.float64).ravel()


def _linear_table() -> NDArray[np.float32]:
    # sRGB's transfer curve, IEC 61966-2-1.
    display = np.arange(256) / 255
    linear = np.where(display <= 0.04045, display / 12.92, ((display + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


_LINEAR = _linear_table()
