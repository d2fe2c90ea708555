"""Draws the coverage map: which tiles are proven to be sharp in some slice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from macrorail.errors import FrameError
from macrorail.proof.coverage_analysis import COVERED, NOT_PROVABLE, UNCOVERED, CoverageAnalysis
from macrorail.proof.frame_checker import MeasuredFrame
from macrorail.proof.measure import measure
from macrorail.stacking.writing import write_picture

_COLOURS = {  # blue, green, red
    NOT_PROVABLE: (120, 120, 120),
    COVERED: (90, 170, 60),
    UNCOVERED: (40, 40, 220),
}
_SHADE = 0.45
_WIDTH_PX = 960


def write_coverage_map(
    path: Path, found: CoverageAnalysis, frames: Sequence[MeasuredFrame]
) -> None:
    """Write the coverage map, drawn over the middle frame, as an image file.

    Green tiles are covered, red tiles are not. Grey tiles are not provable, because they have no
    texture or because their peak is beyond the outermost slices.

    Raises
    ------
    StackError
        The coverage map cannot be written to its folder.
    """
    middle = frames[len(frames) // 2].measurement
    grid = found.state.reshape(middle.rows, middle.columns)
    colours = np.zeros((*grid.shape, 3), np.uint8)
    for state, colour in _COLOURS.items():
        colours[grid == state] = colour
    width = max(_WIDTH_PX // middle.columns, 1) * middle.columns
    height = width // middle.columns * middle.rows
    size = (width, height)
    over = cv2.resize(colours, size, interpolation=cv2.INTER_NEAREST)
    under = cv2.resize(_picture(frames[len(frames) // 2]), size, interpolation=cv2.INTER_LINEAR)
    under = under.astype(np.uint8)
    mixed = cv2.addWeighted(cv2.cvtColor(under, cv2.COLOR_GRAY2BGR), 1 - _SHADE, over, _SHADE, 0.0)
    write_picture(path, mixed.astype(np.uint8))


def _picture(frame: MeasuredFrame) -> NDArray[np.uint8]:
    """Return the frame at reduced size, or a plain grey picture if the frame is unreadable."""
    if frame.measurement.small.size:
        return frame.measurement.small
    try:
        return measure(frame.path).small
    except FrameError:
        return np.full((1, 1), 128, np.uint8)
