"""Cameras' raw files, developed for stacking: 16 bits, the camera's white balance, sRGB.

Nothing is brightened, sharpened or turned, and the sensor's white level is white: a frame's own
brightest place has no say, so all frames of a stack come out alike.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from macrorail.errors import StackError
from macrorail.extras import needs_extra
from macrorail.stacking.kinds import RAW

RAW_SUFFIXES = RAW.suffixes
# Power and slope at black of the sRGB curve (IEC 61966-2-1).
_SRGB_CURVE = (2.4, 12.92)
#: LibRaw takes a frame's own maximum for white where it lies above this share of white: never.
_OWN_MAXIMUM_NEVER = 0.0


def develop(path: Path) -> NDArray[np.uint16]:
    """A raw file's picture.

    Returns
    -------
    array of shape (height, width, 3), BGR, uint16, sRGB-encoded

    Raises
    ------
    StackError
        Damaged, of a camera that LibRaw does not know, or rawpy is not installed.
    """
    rawpy = _rawpy(path)
    try:
        with rawpy.imread(str(path)) as raw:
            pixels = raw.postprocess(
                use_camera_wb=True,
                no_auto_bright=True,
                adjust_maximum_thr=_OWN_MAXIMUM_NEVER,
                output_bps=16,
                output_color=rawpy.ColorSpace.sRGB,
                gamma=_SRGB_CURVE,
                user_flip=0,
            )
    except (rawpy.LibRawError, OSError) as error:
        raise StackError(
            f"{path} is damaged, or a raw file of a camera that LibRaw does not know: {error}"
        ) from error
    return np.ascontiguousarray(pixels[:, :, ::-1], np.uint16)


def raw_size(path: Path) -> tuple[int, int]:
    """Width and height of the developed picture.

    Raises
    ------
    StackError
        As :func:`develop`.
    """
    rawpy = _rawpy(path)
    try:
        with rawpy.imread(str(path)) as raw:
            sizes: Any = raw.sizes
            return int(sizes.width), int(sizes.height)
    except (rawpy.LibRawError, OSError) as error:
        raise StackError(
            f"{path} is damaged, or a raw file of a camera that LibRaw does not know: {error}"
        ) from error


def _rawpy(path: Path) -> ModuleType:
    with needs_extra("raw", f"reading the raw file {path}", StackError):
        import rawpy  # an extra of its own: most cameras also give JPEG
    return rawpy
