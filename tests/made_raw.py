"""Raw files (DNG) of pictures that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

from macrorail.stacking.light import linear_table

# Of XYZ with a white of D65 (IEC 61966-2-1).
_TO_SRGB = [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]


def write_raw(
    path: Path,
    picture: npt.NDArray[np.uint8],
    mosaic: tuple[int, ...] = (0, 1, 1, 2),
    orientation: int = 1,
    taken: str = "",
) -> None:
    """What a camera of 14 bits and these filters (0 is red) sees of an sRGB picture, as a DNG.

    Its red is half as strong as its green, and its black is 512.
    """
    black, white, strengths = 512, 16383, np.array([0.5, 1, 0.8])
    light = linear_table(8)[picture][:, :, ::-1] * strengths
    seen = np.empty(light.shape[:2])
    for place, colour in enumerate(mosaic):
        part = (slice(place // 2, None, 2), slice(place % 2, None, 2))
        seen[part] = light[(*part, colour)]
    matrix = [(round(10_000 * one), 10_000) for one in (np.diag(strengths) @ _TO_SRGB).ravel()]
    neutral = [(round(10 * one), 10) for one in strengths]
    tags = [
        (274, "H", 1, orientation, True),
        (33421, "H", 2, (2, 2), True),
        (33422, "B", 4, mosaic, True),
        (50706, "B", 4, (1, 4, 0, 0), True),
        (50708, "s", 0, "Made camera", True),
        (50714, "H", 1, black, True),
        (50717, "H", 1, white, True),
        (50721, "2i", 9, tuple(np.ravel(matrix).tolist()), True),
        (50728, "2I", 3, tuple(np.ravel(neutral).tolist()), True),
        (50778, "H", 1, 21, True),
    ]
    if taken:
        tags.append((306, "s", 0, taken, True))
    told = np.rint(black + seen * (white - black)).astype(np.uint16)
    tifffile.imwrite(path, told, photometric=32803, extratags=tags, metadata=None)
