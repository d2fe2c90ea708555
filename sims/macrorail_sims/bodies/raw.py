"""Makes raw files, which are DNG files for every maker.

The layout follows Adobe's DNG specification 1.4: a linear 16-bit RGGB mosaic with sRGB primaries
and neutral white.
"""

from __future__ import annotations

import io

import cv2
import numpy as np
import tifffile

_WHITE = 65535
_GAMMA = 2.2
# From CIE XYZ (D65) to linear sRGB (IEC 61966-2-1), as rationals.
_XYZ_TO_SRGB = (32406, -15372, -4986, -9689, 18758, 415, 557, -2040, 10570)


def as_raw(jpeg: bytes) -> bytes:
    """Return the bytes of a raw file that contains the picture of ``jpeg``."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None, "the rendered picture is not a JPEG"
    blue, green, red = cv2.split(picture)
    mosaic = green.copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = red[::2, ::2], blue[1::2, 1::2]
    curve = np.rint((np.arange(256) / 255) ** _GAMMA * _WHITE).astype(np.uint16)
    matrix = [part for number in _XYZ_TO_SRGB for part in (number, 10000)]
    tags = [
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern: red, green, green, blue
        (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
        (50708, "s", 0, "Simulated", True),  # UniqueCameraModel
        (50714, "I", 1, 0, True),  # BlackLevel
        (50717, "I", 1, _WHITE, True),  # WhiteLevel
        (50721, "2i", 9, tuple(matrix), True),  # ColorMatrix1
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
        (50778, "H", 1, 21, True),  # CalibrationIlluminant1: D65
    ]
    file = io.BytesIO()
    tifffile.imwrite(file, curve[mosaic], photometric=32803, extratags=tags, metadata=None)
    return file.getvalue()
