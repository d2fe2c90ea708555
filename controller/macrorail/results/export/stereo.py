"""Exports side views computed from picture and depth map: stereo pair and rocking animation.

The views are synthetic: areas hidden behind an edge are filled by stretching. The parallax is a
fixed fraction of the picture's width for comfortable viewing, not the true depth of the specimen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from macrorail.results.export.source import ExportSource
from macrorail.stacking.images import to_8_bit
from macrorail.stacking.kernels import by_bands, compiled
from macrorail.stacking.metadata import exif_block

#: Parallax between near and far: 1/30 of the width, the usual rule for comfortable stereo.
_STEREO_SHARE = 1 / 30
_ROCKING_SHARE = 1 / 22
_STEREO_WIDTH_PX = 3000
_ROCKING_WIDTH_PX = 900
_ROCKING_VIEWS = 24
_ROCKING_MS = 70
#: Median filter against single wrong depths, which would tear the picture.
_SMOOTHING_PX = 5

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def write_stereo(source: ExportSource, left: Path, right: Path) -> None:
    """Write one picture for each eye."""
    picture, nearness = _reduced(source, _STEREO_WIDTH_PX)
    scale = source.size[0] / picture.shape[1]
    height, width = picture.shape[:2]
    exif = exif_block(source.exif, width, height, source.um_per_px * scale)
    # For the left eye, near parts are farther to the right.
    for path, side in ((left, 0.5), (right, -0.5)):
        view = shifted(picture, nearness, side * _STEREO_SHARE * picture.shape[1])
        _image(view).save(
            path, "JPEG", quality=93, subsampling=0, exif=exif, icc_profile=source.icc
        )


def write_rocking(source: ExportSource, gif: Path, webp: Path) -> None:
    """Write a looping animation of the view swinging from side to side, as GIF and as WebP."""
    picture, nearness = _reduced(source, _ROCKING_WIDTH_PX)
    first, *others = [_image(view) for view in _swing(picture, nearness)]
    common: dict[str, Any] = {
        "save_all": True,
        "append_images": others,
        "duration": _ROCKING_MS,
        "loop": 0,
    }
    first.save(webp, "WEBP", quality=88, **common)
    first.save(gif, "GIF", **common)


def shifted(picture: Pixels, nearness: Floats, shift_px: float) -> Pixels:
    """Return the picture as seen from the side.

    The nearest parts move by half of ``shift_px``, and the farthest parts move by the same
    distance in the opposite direction.

    Parameters
    ----------
    picture
        (height, width, 3) uint8.
    nearness
        (height, width) float32, 0 (far) to 1 (near).
    shift_px
        Parallax between the nearest and the farthest parts, pixels; above 0 the nearest parts
        move to the right.
    """
    view = np.empty_like(picture)
    by_bands(_shift_rows, picture.shape[0], picture, nearness, np.float32(shift_px), view)
    return view


@compiled
def _shift_rows(
    first: int, last: int, picture: Pixels, nearness: Floats, shift_px: float, view: Pixels
) -> None:
    """Shift and stretch each row of pixels; nearer parts cover farther parts."""
    width = picture.shape[1]
    for y in range(first, last):
        nearest = np.full(width, -1.0, np.float32)
        for x in range(-1, width):
            left, right = max(x, 0), min(x + 1, width - 1)
            near = max(nearness[y, left], nearness[y, right])
            start = left + (nearness[y, left] - 0.5) * shift_px
            end = right + (nearness[y, right] - 0.5) * shift_px
            # The edge pixels are extended outwards, so that no part of the view stays empty.
            if x < 0:
                start, near = min(start, 0.0) - 1, -0.5
            if x == width - 1:
                end, near = max(end, width) + 1, -0.5
            if end <= start:
                continue
            for target in range(max(0, math.ceil(start)), min(width - 1, math.floor(end)) + 1):
                if near > nearest[target]:
                    nearest[target] = near
                    share = (target - start) / (end - start)
                    for channel in range(3):
                        value = (1 - share) * picture[y, left, channel]
                        value += share * picture[y, right, channel]
                        view[y, target, channel] = np.uint8(value + 0.5)


def _swing(picture: Pixels, nearness: Floats) -> Iterator[Pixels]:
    for number in range(_ROCKING_VIEWS):
        side = math.sin(2 * math.pi * number / _ROCKING_VIEWS)
        yield shifted(picture, nearness, side * _ROCKING_SHARE * picture.shape[1])


def _reduced(source: ExportSource, widest_px: int) -> tuple[Pixels, Floats]:
    """Return picture and nearness (0 far .. 1 near), reduced to at most ``widest_px`` wide."""
    picture, depth = to_8_bit(source.fused()), source.depth()
    width, height = source.size
    if width > widest_px:
        size = (widest_px, max(1, round(height * widest_px / width)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        depth = np.asarray(cv2.resize(depth, size, interpolation=cv2.INTER_AREA), np.float32)
    depth = np.asarray(cv2.medianBlur(depth, _SMOOTHING_PX), np.float32)
    near_um, far_um = np.percentile(depth, (1, 99))
    span_um = max(float(far_um - near_um), 1e-6)
    nearness = np.clip((far_um - depth) / span_um, 0, 1).astype(np.float32)
    return picture, nearness


def _image(view: Pixels) -> Image.Image:
    return Image.fromarray(cv2.cvtColor(view, cv2.COLOR_BGR2RGB))
