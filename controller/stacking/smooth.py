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

from controller.stacking.images import Picture
from controller.stacking.kernels import Floats, Spans, add_weighted, by_bands
from controller.stacking.light import display_table, linear_table, to_display

# Sharpness is looked at in a window of this standard deviation, pixels of the picture.
_WINDOW_SIGMA_PX = 6.0
# A surface is smooth where depth stays within so many slices over a window of so many pixels.
_SMOOTH_SLICES = 2.0
_SURROUNDINGS_PX = 25


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
    """

    def __init__(self, height: int, width: int) -> None:
        self._sums: list[Floats] = [np.zeros((height, width), np.float32) for _ in range(3)]
        self._weights: Floats = np.zeros((height, width), np.float32)
        self._power: Floats = np.empty((height, width), np.float32)

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
        height, width = self._weights.shape
        sigma = _WINDOW_SIGMA_PX / 2**halvings
        power = cv2.GaussianBlur(sharpness, (0, 0), sigma) ** 8
        enlarge = np.diag([0.5**halvings] * 3)[:2]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cv2.warpAffine(power, enlarge, (width, height), self._power, flags, cv2.BORDER_REPLICATE)
        table = linear_table(picture.dtype.itemsize * 8)
        by_bands(
            add_weighted, height, picture, spans, table, self._power, self._weights, *self._sums
        )

    def finish(self) -> NDArray[np.uint16]:
        """The picture, (height, width, 3) BGR uint16; call it once."""
        for plane in self._sums:
            plane /= self._weights
        return to_display(self._sums, display_table())


def mix(
    smooth: NDArray[np.uint16], detailed: NDArray[np.uint16], depth: Floats, slice_step: float
) -> NDArray[np.uint16]:
    """Each picture (height, width, 3) where it is good: ``smooth`` on even surfaces.

    Parameters
    ----------
    depth
        (height, width), in any unit.
    slice_step
        Distance between two slices, in that unit.
    """
    window = np.ones((_SURROUNDINGS_PX, _SURROUNDINGS_PX), np.uint8)
    steady = np.asarray(cv2.medianBlur(depth, 5))
    spread = cv2.dilate(steady, window) - cv2.erode(steady, window)
    even = (spread < _SMOOTH_SLICES * slice_step).astype(np.float32)
    share: Floats = np.asarray(cv2.GaussianBlur(even, (0, 0), _SURROUNDINGS_PX / 4), np.float32)
    mixed = np.empty_like(detailed)
    for channel in range(3):
        difference = smooth[:, :, channel].astype(np.float32) - detailed[:, :, channel]
        mixed[:, :, channel] = np.rint(detailed[:, :, channel] + share * difference)
    return mixed
