"""Reduces pictures for the browser: frames, the fused picture, and the depth map in colours."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
import tifffile
from numpy.typing import NDArray

from macrorail.errors import StackError
from macrorail.stacking.images import read_picture

#: Widths in pixels that are served. With free choice of the width, a viewer could fill the cache
#: with one picture.
WIDTHS = (320, 1600)
#: Side length of the square that the loupe shows, pixels.
DETAIL_PX = 320
_QUALITY = 82
_CACHE_BYTES = 64_000_000
#: Percentiles of the depth values to which the first and last colours are assigned. Without them, a
#: few stray pixels would leave few colours for the specimen.
_STRAY = (0.5, 99.5)

Pixels = NDArray[np.uint8]


class NoPicture(Exception):
    """A picture does not exist or cannot be shown."""


class PictureCache:
    """Makes reduced pictures and caches the most recent; usable from several threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, int, int, str], bytes] = OrderedDict()
        self._size = 0
        self._full_size: tuple[tuple[Path, int], Pixels] | None = None
        self._lock = threading.Lock()

    def scaled(self, path: Path, width: int) -> bytes:
        """Return a JPEG of at most ``width`` pixels width, made from a JPEG or TIFF file.

        Raises
        ------
        NoPicture
            The file is neither a JPEG nor a TIFF, or is damaged.
        """
        return self._get(path, width, "scaled", lambda: _scaled(path, width))

    def detail(self, path: Path, x: float, y: float) -> bytes:
        """Return a square part of a JPEG file at full resolution, as JPEG.

        ``x`` and ``y`` are the centre as fractions of the picture's width and height, 0..1.

        Raises
        ------
        NoPicture
            The file is not a JPEG, or is damaged.
        """
        with self._lock:
            stamp = (path, path.stat().st_mtime_ns)
            if self._full_size is None or self._full_size[0] != stamp:
                self._full_size = stamp, _decoded(path)
            pixels = self._full_size[1]
        height, width = pixels.shape[:2]
        left, top = (
            max(0, min(round(share * size) - DETAIL_PX // 2, size - DETAIL_PX))
            for share, size in ((x, width), (y, height))
        )
        return _encode(pixels[top : top + DETAIL_PX, left : left + DETAIL_PX])

    def depth(self, path: Path, width: int) -> bytes:
        """Return a depth map in colours as JPEG; near is bright, far is dark.

        Raises
        ------
        NoPicture
            The file is not a depth map.
        """
        return self._get(path, width, "depth", lambda: _depth(path, width))

    def _get(self, path: Path, width: int, kind: str, make: Callable[[], bytes]) -> bytes:
        key = (path, path.stat().st_mtime_ns, width, kind)
        # One decoding at a time, so that a frame with several viewers is decoded only once.
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
                self._size += len(self._kept[key])
                while self._size > _CACHE_BYTES and len(self._kept) > 1:
                    self._size -= len(self._kept.popitem(last=False)[1])
            self._kept.move_to_end(key)
            return self._kept[key]


def _scaled(path: Path, width: int) -> bytes:
    if path.suffix == ".tif":
        try:
            deep = read_picture(path)
        except StackError as error:
            raise NoPicture(f"{path.name} cannot be shown") from error
        return _encode(
            _shrunk((deep >> 8 if deep.dtype == np.uint16 else deep).astype(np.uint8), width)
        )
    return _encode(_shrunk(_decoded(path, min_width=width, min_height=1), width))


def _decoded(path: Path, **at_least: int) -> Pixels:
    try:
        return np.asarray(simplejpeg.decode_jpeg(path.read_bytes(), "BGR", **at_least), np.uint8)
    except ValueError as error:
        raise NoPicture(f"{path.name} is not a JPEG that can be shown") from error


def _depth(path: Path, width: int) -> bytes:
    try:
        depth = tifffile.imread(path)
    except (tifffile.TiffFileError, ValueError) as error:
        raise NoPicture(f"{path.name} is not a depth map") from error
    near, far = np.nanpercentile(depth, _STRAY)
    share = np.nan_to_num((far - depth) / max(far - near, 1e-9))
    grey = (np.clip(share, 0, 1) * 255).astype(np.uint8)
    colours = cv2.applyColorMap(_shrunk(grey, width), cv2.COLORMAP_INFERNO)
    return _encode(np.asarray(colours, np.uint8))


def _shrunk(pixels: Pixels, width: int) -> Pixels:
    if pixels.shape[1] <= width:
        return pixels
    height = max(1, round(pixels.shape[0] * width / pixels.shape[1]))
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _encode(pixels: Pixels) -> bytes:
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), _QUALITY, "BGR", "420"))
