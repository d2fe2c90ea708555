"""What alignment looks at of a frame: small, grey, and ready to be registered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from macrorail.stacking.features import Features, find_features
from macrorail.stacking.forms import Forms, forms_of
from macrorail.stacking.images import Picture
from macrorail.stacking.kernels import Floats, Pixels, by_bands, compiled
from macrorail.stacking.register import Scale, prepare

# Long side of the picture in which the last refinement is made, and of the one that starts it.
_FINE_PX = 1500
_COARSE_PX = 200


@dataclass(frozen=True)
class Look:
    """What alignment looks at of a frame: see :func:`look`.

    Attributes
    ----------
    index
        What the frame is called in ``Placement.neighbour``.
    position
        Where it lies along the axis, in any unit: its neighbour is the placed frame nearest to it.
    scale
        Where the optics are known: by what the frame has to be enlarged to fit the reference, or
        any other frame, but the same one for all.
    name
        What errors call the frame.
    shape
        Of the picture.
    scales, forms, grey
        The picture, small and grey: ready to be registered, so small that defocus does not change
        it, and as 8-bit display values.
    """

    index: int
    position: float
    scale: float | None
    name: str
    shape: tuple[int, ...]
    scales: list[Scale]
    forms: Forms
    grey: NDArray[np.uint8]

    @cached_property
    def features(self) -> Features:
        """Where the global step looks for this frame in others; found when first asked for."""
        return find_features(self.grey)


def look(
    index: int, position: float, picture: Picture, name: str, scale: float | None = None
) -> Look:
    """Look at one frame: ``picture`` is (height, width, 3) BGR, the rest is :class:`Look`'s."""
    small = _shrunk(picture)
    grey = small.astype(np.uint8)
    scales = prepare(small, _COARSE_PX)
    return Look(
        index,
        position,
        scale,
        name,
        picture.shape,
        scales,
        forms_of(small, scales[min(1, len(scales) - 1)].even),
        grey,
    )


def shrink_factor(shape: tuple[int, ...]) -> int:
    """How many pixels of a picture of ``shape`` are one of those that alignment looks at."""
    return max(1, round(max(shape[:2]) / _FINE_PX))


def _shrunk(picture: Picture) -> Floats:
    height, width = picture.shape[:2]
    factor = shrink_factor(picture.shape)
    # Cropped to a multiple of the factor so that a small pixel is exactly factor x factor pixels.
    small: Floats = np.empty((height // factor, width // factor), np.float32)
    by_bands(_shrink, len(small), picture, factor, 255 / np.iinfo(picture.dtype).max, small)
    return small


@compiled
def _shrink(
    first: int, last: int, picture: Pixels, factor: int, unit: float, small: Floats
) -> None:
    """Means of the brightness (ITU-R BT.601) of squares of a picture (h, w, 3), times ``unit``."""
    width = small.shape[1] * factor
    sums = np.empty(3 * width, np.int32)
    grey = np.empty(width, np.float32)
    share = np.float32(unit / (factor * factor))
    for y in range(first, last):
        sums[:] = 0
        for row in range(factor * y, factor * (y + 1)):
            pixels = picture[row].reshape(-1)
            for x in range(3 * width):
                sums[x] += np.int32(pixels[x])
        for x in range(width):
            grey[x] = (
                np.float32(0.114) * np.float32(sums[3 * x])
                + np.float32(0.587) * np.float32(sums[3 * x + 1])
                + np.float32(0.299) * np.float32(sums[3 * x + 2])
            )
        for x in range(small.shape[1]):
            total = np.float32(0)
            for one in range(factor * x, factor * (x + 1)):
                total += grey[one]
            small[y, x] = share * total
