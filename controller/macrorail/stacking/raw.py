"""Camera raw files, developed for stacking: 16 bits, the camera's white balance, sRGB.

Pictures are not brightened, sharpened or rotated, and the sensor's white level becomes white. The
brightest part of a frame has no influence, so all frames of a stack are developed alike.
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
#: Share of white above which LibRaw uses a frame's maximum as white; 0 disables this.
_OWN_MAXIMUM_NEVER = 0.0


def develop(path: Path) -> NDArray[np.uint16]:
    """Develop a raw file and return its picture.

    Returns
    -------
    array of shape (height, width, 3), BGR, uint16, sRGB-encoded

    Raises
    ------
    StackError
        The file is damaged, or from a camera that LibRaw does not know, or rawpy is not installed.
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
            f"{path} is damaged, or is a raw file of a camera that LibRaw does not know: {error}"
        ) from error
    return np.ascontiguousarray(pixels[:, :, ::-1], np.uint16)


def raw_size(path: Path) -> tuple[int, int]:
    """Return width and height of the developed picture.

    Raises
    ------
    StackError
        The file cannot be developed, for the same reasons as in :func:`develop`.
    """
    rawpy = _rawpy(path)
    try:
        with rawpy.imread(str(path)) as raw:
            sizes: Any = raw.sizes
            return int(sizes.width), int(sizes.height)
    except (rawpy.LibRawError, OSError) as error:
        raise StackError(
            f"{path} is damaged, or is a raw file of a camera that LibRaw does not know: {error}"
        ) from error


def _rawpy(path: Path) -> ModuleType:
    with needs_extra("raw", f"reading the raw file {path}", StackError):
        import rawpy  # an optional extra, because most cameras also write JPEG
    return rawpy
