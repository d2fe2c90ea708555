"""Blending without a pyramid: every pixel a mean of the frames that are sharp around it.

Colours stay as the frames show them and nothing rings, which suits smooth surfaces; where hairs
cross what lies far behind them the pyramid is better (``blend.py``). ``auto`` takes each where it
is good, by the depth map.
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

# Sharpness is looked at in a window of this standard deviation, pixels of the picture.
_WINDOW_SIGMA_PX = 6.0
# A surface is smooth where depth stays within so many slices over a window of so many pixels.
_SMOOTH_SLICES = 2.0
_SURROUNDINGS_PX = 25
# What is worked out beside the compiled passes is worked out for so many rows at a time; for the
# share of each picture so many rows around have a say, and some more do no harm.
_ROWS = 512
_HALO_ROWS = 64


class Method(Enum):
    """How frames become one picture."""

    PYRAMID = "pyramid"
    DEPTH_MAP = "depth-map"
    AUTO = "auto"


class SmoothBlender:
    """Takes aligned frames with their sharpness; gives the picture at the end.

    Parameters
    ----------
    height, width
        Of the reference frame, pixels.
    store
        Takes the sums.
    """

    def __init__(self, height: int, width: int, store: Store) -> None:
        self._store = store
        self._sums: list[Floats] = [store.zeros((height, width)) for _ in range(3)]
        self._weights: Floats = store.zeros((height, width))

    def add(self, picture: Picture, spans: Spans, sharpness: Floats, halvings: int) -> None:
        """Blend in one frame.

        Parameters
        ----------
        picture
            (height, width, 3) in the reference's geometry.
        spans
            (height, 2): the columns of each row that it reaches.
        sharpness
            As from ``Blender.add``, its size ``halvings`` times halved.
        """
        sigma = _WINDOW_SIGMA_PX / 2**halvings
        power = cv2.GaussianBlur(sharpness, (0, 0), sigma) ** 8
        table = linear_table(picture.dtype.itemsize * 8)
        of_frame, sums = (picture, spans, table, power, halvings), (self._weights, *self._sums)
        self._store.by_bands(add_weighted, len(picture), *of_frame, *sums)

    def finish(self) -> NDArray[np.uint16]:
        """The picture, (height, width, 3) BGR uint16; call it once."""
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
    """Put ``smooth`` in the place of ``detailed``, both (height, width, 3), on even surfaces.

    Parameters
    ----------
    depth
        (height, width), in any unit.
    slice_step
        Distance between two slices, in that unit.
    store
        Holds them all.
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
