"""A frame prepared for alignment: small, grey, and ready to be registered."""

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

# Long side of the picture used for the last refinement, and of the one used for the first.
_FINE_PX = 1500
_COARSE_PX = 200


@dataclass(frozen=True)
class Look:
    """A frame prepared for alignment by :func:`look`.

    Attributes
    ----------
    index
        Number that identifies the frame in ``Placement.neighbour``.
    position
        Position along the axis in any unit. A frame is aligned to the placed frame nearest to it.
    scale
        Factor by which the frame has to be enlarged to fit the reference. The factor may also refer
        to another frame, if this is the same frame for all. ``None`` if the optics are not known.
    name
        Name of the frame in errors.
    shape
        Shape of the full-size picture.
    scales, forms, grey
        The small grey picture in three forms: prepared for registration, reduced so much that
        defocus does not change it, and as 8-bit display values.
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
        """Features of this frame to search for in other frames; computed on first use."""
        return find_features(self.grey)


def look(
    index: int, position: float, picture: Picture, name: str, scale: float | None = None
) -> Look:
    """Prepare a frame for alignment; ``picture`` is (height, width, 3) BGR.

    For the other parameters see :class:`Look`.
    """
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
    """Return the edge length, in picture pixels, of one pixel of the picture used for alignment."""
    return max(1, round(max(shape[:2]) / _FINE_PX))


def _shrunk(picture: Picture) -> Floats:
    height, width = picture.shape[:2]
    factor = shrink_factor(picture.shape)
    # Crop to a multiple of the factor, so that a small pixel is exactly factor x factor pixels.
    small: Floats = np.empty((height // factor, width // factor), np.float32)
    by_bands(_shrink, len(small), picture, factor, 255 / np.iinfo(picture.dtype).max, small)
    return small


@compiled
def _shrink(
    first: int, last: int, picture: Pixels, factor: int, unit: float, small: Floats
) -> None:
    """Average the brightness (ITU-R BT.601) of squares of a picture (h, w, 3), times ``unit``."""
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
