"""Fades a frame into the reference near the frame's borders, so that no step is visible there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from macrorail.stacking.images import Picture
from macrorail.stacking.kernels import Doubles, Pixels, compiled
from macrorail.stacking.store import Store

# Width of the feather: this many times the distance by which a border cuts into the picture, at
# least _LEAST_PX pixels and at most this share of the picture's long side. A frame border just
# inside the picture's edge needs almost no feather.
_TIMES = 2.0
_LEAST_PX = 4.0
_MOST_SHARE = 0.04


def feather(laid: Picture, reference: Picture, to_frame: NDArray[np.float64], store: Store) -> None:
    """Mix an aligned frame with the reference near the frame's borders, in place.

    Outside the frame's borders the pixels become those of the reference. Borders outside the
    picture are not feathered.

    Parameters
    ----------
    laid, reference
        (height, width, 3), uint8 or uint16, in the reference's geometry.
    to_frame
        (2, 3) float64 transform from reference pixel coordinates to the frame's.
    """
    height, width = laid.shape[:2]
    corners = np.array([[x, y, 1] for x in (0, width - 1) for y in (0, height - 1)])
    at = corners @ to_frame.T
    ends = np.array([width - 1, height - 1])
    # How far the picture extends beyond the frame's left, top, right and bottom border.
    beyond = np.concatenate([-at.min(axis=0), (at - ends).max(axis=0)])
    most = _MOST_SHARE * max(height, width)
    widths = np.where(beyond > 1e-6, np.clip(_TIMES * beyond, _LEAST_PX, most), 0.0)
    if widths.any():
        store.by_bands(_feather, height, laid, reference, to_frame, widths)


@compiled
def _mix(
    y: int,
    first: int,
    last: int,
    laid: Pixels,
    reference: Pixels,
    to_frame: Doubles,
    widths: Doubles,
) -> None:
    height, width = laid.shape[:2]
    inverse = 1 / np.maximum(widths, 1e-9)
    for x in range(first, last):
        u = to_frame[0, 0] * x + to_frame[0, 1] * y + to_frame[0, 2]
        v = to_frame[1, 0] * x + to_frame[1, 1] * y + to_frame[1, 2]
        share = 1.0
        if widths[0] > 0:
            share = min(share, u * inverse[0])
        if widths[1] > 0:
            share = min(share, v * inverse[1])
        if widths[2] > 0:
            share = min(share, (width - 1 - u) * inverse[2])
        if widths[3] > 0:
            share = min(share, (height - 1 - v) * inverse[3])
        share = max(share, 0.0)
        if share >= 1:
            continue
        share = share * share * (3 - 2 * share)
        for channel in range(3):
            base = float(reference[y, x, channel])
            mixed = base + share * (float(laid[y, x, channel]) - base)
            laid[y, x, channel] = np.int32(mixed + 0.5)


@compiled
def _feather(
    first: int, last: int, laid: Pixels, reference: Pixels, to_frame: Doubles, widths: Doubles
) -> None:
    height, width = laid.shape[:2]
    for y in range(first, last):
        # Columns inside all four borders by more than the feather's width are not changed.
        begin, end = 0, width
        for axis in range(2):
            slope, at = to_frame[axis, 0], to_frame[axis, 1] * y + to_frame[axis, 2]
            most = (width if axis == 0 else height) - 1.0
            for side in range(2):
                margin = widths[axis + 2 * side]
                if margin <= 0:
                    continue
                # Solve rise * x + room >= 0, with rise and room counted towards the inside of the
                # frame.
                rise = slope if side == 0 else -slope
                room = (at if side == 0 else most - at) - margin
                if rise == 0:
                    if room < 0:
                        end = 0
                elif rise > 0:
                    begin = max(begin, int(min(np.ceil(-room / rise), float(width))))
                else:
                    end = min(end, int(max(np.floor(room / -rise) + 1, 0.0)))
        if end <= begin:
            begin, end = width, width
        _mix(y, 0, begin, laid, reference, to_frame, widths)
        _mix(y, end, width, laid, reference, to_frame, widths)
