"""Draws the coverage map: what of the frame is proven sharp in some slice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from macrorail.proof.findings import COVERED, NOT_PROVABLE, UNCOVERED, Findings
from macrorail.proof.judge import Look
from macrorail.stacking.images import write_picture

_COLOURS = {  # blue, green, red
    NOT_PROVABLE: (120, 120, 120),
    COVERED: (90, 170, 60),
    UNCOVERED: (40, 40, 220),
}
_SHADE = 0.45
_WIDTH_PX = 960


def write_map(path: Path, found: Findings, looks: Sequence[Look]) -> None:
    """Green is covered, red is not, grey shows too little to say: no texture, or a peak beyond the
    outermost slices that is guessed.

    The picture beneath is the middle frame.

    Raises
    ------
    StackError
        The folder cannot be written.
    """
    middle = looks[len(looks) // 2].seen
    grid = found.state.reshape(middle.rows, middle.columns)
    colours = np.zeros((*grid.shape, 3), np.uint8)
    for state, colour in _COLOURS.items():
        colours[grid == state] = colour
    width = max(_WIDTH_PX // middle.columns, 1) * middle.columns
    height = width // middle.columns * middle.rows
    size = (width, height)
    over = cv2.resize(colours, size, interpolation=cv2.INTER_NEAREST)
    under = cv2.resize(middle.small, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    mixed = cv2.addWeighted(cv2.cvtColor(under, cv2.COLOR_GRAY2BGR), 1 - _SHADE, over, _SHADE, 0.0)
    write_picture(path, mixed.astype(np.uint8))
