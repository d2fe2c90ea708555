"""Feathers a frame's borders into the reference, so that no step is seen where a frame ends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from macrorail.stacking.images import Picture
from macrorail.stacking.kernels import Doubles, Pixels, compiled
from macrorail.stacking.store import Store

# Width of the feather: so many times as far as a border reaches into the picture, and at most this
# share of its long side. A border that just misses the picture's edge needs next to none.
_TIMES = 2.0
_LEAST_PX = 4.0
_MOST_SHARE = 0.04


def feather(laid: Picture, reference: Picture, to_frame: NDArray[np.float64], store: Store) -> None:
    """Mix an aligned frame with the reference towards its borders, in place.

    Beyond its borders the frame becomes the reference. Borders that lie outside the picture are
    left alone.

    Parameters
    ----------
    laid, reference
        (height, width, 3), uint8 or uint16, in the reference's geometry.
    to_frame
        (2, 3) float64, reference pixel coordinates to the frame's.
    """
    height, width = laid.shape[:2]
    corners = np.array([[x, y, 1] for x in (0, width - 1) for y in (0, height - 1)])
    at = corners @ to_frame.T
    ends = np.array([width - 1, height - 1])
    # How far the picture reaches beyond the frame's left, top, right and bottom border.
    beyond = np.concatenate([-at.min(axis=0), (at - ends).max(axis=0)])
    most = _MOST_SHARE * max(height, width)
    widths = np.where(beyond > 1e-6, np.clip(_TIMES * beyond, _LEAST_PX, most), 0.0)
    if widths.any():
        store.by_bands(_feather, height, laid, reference, to_frame, widths)


@compiled
def _share(at: float, end: float, before: float, after: float) -> float:
    """Share of the frame, 0..1, at a place ``at`` between its borders 0 and ``end``."""
    share = 1.0
    if before > 0:
        share = min(share, at / before)
    if after > 0:
        share = min(share, (end - at) / after)
    return max(share, 0.0)


@compiled
def _feather(
    first: int, last: int, laid: Pixels, reference: Pixels, to_frame: Doubles, widths: Doubles
) -> None:
    height, width = laid.shape[:2]
    for y in range(first, last):
        for x in range(width):
            u = to_frame[0, 0] * x + to_frame[0, 1] * y + to_frame[0, 2]
            v = to_frame[1, 0] * x + to_frame[1, 1] * y + to_frame[1, 2]
            share = min(
                _share(u, width - 1.0, widths[0], widths[2]),
                _share(v, height - 1.0, widths[1], widths[3]),
            )
            if share >= 1:
                continue
            share = share * share * (3 - 2 * share)
            for channel in range(3):
                base = float(reference[y, x, channel])
                mixed = base + share * (float(laid[y, x, channel]) - base)
                laid[y, x, channel] = np.int32(mixed + 0.5)
