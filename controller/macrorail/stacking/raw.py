"""Cameras' raw files, developed for stacking: 16 bits, the camera's white balance, sRGB.

Nothing is brightened, sharpened or turned: all frames of a stack are to come out alike.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from macrorail.errors import StackError
from macrorail.extras import needs_extra

RAW_SUFFIXES = frozenset(
    {".nef", ".nrw", ".cr2", ".cr3", ".arw", ".raf", ".orf", ".rw2", ".pef", ".dng", ".3fr", ".iiq"}
)
# Power and slope at black of the sRGB curve (IEC 61966-2-1).
_SRGB_CURVE = (2.4, 12.92)


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
    with needs_extra("raw", f"reading the raw file {path}", StackError):
        import rawpy  # an extra of its own: most cameras also give JPEG
    try:
        with rawpy.imread(str(path)) as raw:
            pixels = raw.postprocess(
                use_camera_wb=True,
                no_auto_bright=True,
                output_bps=16,
                output_color=rawpy.ColorSpace.sRGB,
                gamma=_SRGB_CURVE,
                user_flip=0,
            )
    except (rawpy.LibRawError, OSError) as error:
        raise StackError(
            f"{path} is damaged, or a raw file nobody here can read: {error}"
        ) from error
    return np.ascontiguousarray(pixels[:, :, ::-1], np.uint16)
