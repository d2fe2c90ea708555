"""Blending without a pyramid: each pixel is a mean of the frames that are sharp around it.

Colours stay as in the frames and there are no halos, which suits smooth surfaces. Where hairs cross
a background far behind them the pyramid is better (``blend.py``). ``auto`` uses each method where
it is better, according to the depth map.
"""

from __future__ import annotations

from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

from macrorail.stacking.images import Picture
from macrorail.stacking.kernels import Floats, Spans, add_weighted
from macrorail.stacking.light import display_table, linear_table, to_display
from macrorail.stacking.store import Store

# Standard deviation, in pixels of the picture, of the window over which sharpness is averaged.
_WINDOW_SIGMA_PX = 6.0
# A surface is smooth where depth varies by at most this many slices within a window of this many
# pixels.
_SMOOTH_SLICES = 2.0
_SURROUNDINGS_PX = 25
# Work outside the compiled kernels is done for this many rows at a time. For the share of each
# picture, this many rows around them are included; they are at least as many as needed.
_ROWS = 512
_HALO_ROWS = 64


class Method(Enum):
    """Method by which frames are fused into one picture."""

    PYRAMID = "pyramid"
    DEPTH_MAP = "depth-map"
    AUTO = "auto"


class SmoothBlender:
    """Fuses aligned frames, added one at a time with their sharpness, into one picture.

    Parameters
    ----------
    height, width
        Size of the reference frame in pixels.
    store
        Provides the memory for the sums.
    """

    def __init__(self, height: int, width: int, store: Store) -> None:
        self._store = store
        self._sums: list[Floats] = [store.zeros((height, width)) for _ in range(3)]
        self._weights: Floats = store.zeros((height, width))

    def add(self, picture: Picture, spans: Spans, sharpness: Floats, halvings: int) -> None:
        """Add one frame.

        Parameters
        ----------
        picture
            (height, width, 3) in the reference's geometry.
        spans
            (height, 2): the columns of each row that the frame covers.
        sharpness
            Local sharpness from ``Blender.add``; its size has been halved ``halvings`` times.
        """
        sigma = _WINDOW_SIGMA_PX / 2**halvings
        power = cv2.GaussianBlur(sharpness, (0, 0), sigma) ** 8
        table = linear_table(picture.dtype.itemsize * 8)
        of_frame, sums = (picture, spans, table, power, halvings), (self._weights, *self._sums)
        self._store.by_bands(add_weighted, len(picture), *of_frame, *sums)

    def finish(self) -> NDArray[np.uint16]:
        """Return the fused picture, (height, width, 3) BGR uint16. Call this once."""
        picture: NDArray[np.uint16] = self._store.empty((*self._weights.shape, 3), np.uint16)
        for first in range(0, len(picture), _ROWS):
            rows = slice(first, first + _ROWS)
            light = [plane[rows] / self._weights[rows] for plane in self._sums]
            picture[rows] = to_display(light, display_table())
            self._store.let_go()
        return picture


def mix(
    smooth: NDArray[np.uint16],
    detailed: NDArray[np.uint16],
    depth: Floats,
    slice_step: float,
    store: Store,
) -> None:
    """Replace ``detailed`` by ``smooth``, both (height, width, 3), on smooth surfaces, in place.

    Parameters
    ----------
    depth
        (height, width) depth map in any unit.
    slice_step
        Distance between two slices, in the unit of ``depth``.
    store
        Store that provided the memory of all these arrays.
    """
    window = np.ones((_SURROUNDINGS_PX, _SURROUNDINGS_PX), np.uint8)
    for first in range(0, len(depth), _ROWS):
        above = max(first - _HALO_ROWS, 0)
        around = depth[above : first + _ROWS + _HALO_ROWS]
        steady = np.asarray(cv2.medianBlur(around, 5))
        spread = cv2.dilate(steady, window) - cv2.erode(steady, window)
        even = (spread < _SMOOTH_SLICES * slice_step).astype(np.float32)
        share = np.asarray(cv2.GaussianBlur(even, (0, 0), _SURROUNDINGS_PX / 4), np.float32)
        share = share[first - above :][:_ROWS]
        rows = slice(first, first + _ROWS)
        for channel in range(3):
            there = detailed[rows, :, channel]
            difference = smooth[rows, :, channel].astype(np.float32) - there
            detailed[rows, :, channel] = np.rint(there + share * difference)
        store.let_go()
