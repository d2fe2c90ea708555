"""Reduces the pictures of a report and embeds them in the page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from macrorail.errors import StackError
from macrorail.stacking.images import read_picture

_WIDEST_PX = 1600
_JPEG_QUALITY = 88
_COLOURS = cv2.COLORMAP_VIRIDIS
_COLOUR_STOPS = 12


@dataclass(frozen=True)
class Embedded:
    """A picture embedded in the page.

    Attributes
    ----------
    source
        A ``data:`` URI.
    width, height
        Size of the full picture in pixels; the embedded picture may be smaller.
    """

    source: str
    width: int
    height: int


@dataclass(frozen=True)
class DepthPicture:
    """A depth map in false colours.

    Attributes
    ----------
    picture
        The depth map as a picture; near is dark, far is light.
    near_um, far_um
        Ends of the colour scale: the 0.5th and 99.5th percentile, so that single pixels do not
        determine the colours.
    stops
        Colours of the colour scale from near to far, as CSS.
    """

    picture: Embedded
    near_um: float
    far_um: float
    stops: list[str]


def embed(path: Path) -> Embedded:
    """Read a photograph and return it for embedding, reduced to at most 1600 px wide.

    Raises
    ------
    StackError
        The photograph cannot be read.
    """
    pixels = read_picture(path)
    return _as_jpeg(pixels, pixels.shape[1], pixels.shape[0])


def embed_depth(path: Path) -> DepthPicture:
    """Read a depth map (float TIFF, micrometres) and return it for embedding in false colours.

    Raises
    ------
    StackError
        The depth map cannot be read.
    """
    try:
        depth = tifffile.imread(path)
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise StackError(f"{path} cannot be read: {error}") from error
    height, width = depth.shape
    small = _shrink(np.asarray(depth, np.float32))
    near_um, far_um = (float(value) for value in np.nanpercentile(small, (0.5, 99.5)))
    span_um = max(far_um - near_um, 1e-6)
    grey = np.clip((small - near_um) / span_um * 255, 0, 255).astype(np.uint8)
    ramp = np.linspace(0, 255, _COLOUR_STOPS).astype(np.uint8)[np.newaxis]
    stops = [
        f"rgb({red},{green},{blue})" for blue, green, red in cv2.applyColorMap(ramp, _COLOURS)[0]
    ]
    return DepthPicture(
        _as_jpeg(cv2.applyColorMap(grey, _COLOURS), width, height), near_um, far_um, stops
    )


def _as_jpeg(pixels: NDArray[Any], width: int, height: int) -> Embedded:
    done, data = cv2.imencode(".jpg", _shrink(pixels), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise StackError("a picture of the report cannot be encoded")
    text = base64.b64encode(data.tobytes()).decode()
    return Embedded(f"data:image/jpeg;base64,{text}", width, height)


def _shrink(pixels: NDArray[Any]) -> NDArray[Any]:
    height, width = pixels.shape[:2]
    if width <= _WIDEST_PX:
        return pixels
    size = (_WIDEST_PX, max(1, round(height * _WIDEST_PX / width)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
