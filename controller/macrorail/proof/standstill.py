"""Detects a run in which nothing moved: every frame shows the same plane.

One missed move stands out among the other moves. If every move is missed, there is no good move to
compare with. Therefore the difference between distant frames is compared with the difference
between neighbouring frames. If nothing moved, both differences are noise and equally large. In a
normal run the difference grows with the distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

import numpy as np

from macrorail.proof.frame_checker import MeasuredFrame
from macrorail.proof.frame_faults import sharpness_change

_LEAST_FRAMES = 3
#: Over a shorter range the frames change too little for a decision.
_LEAST_SPAN_DOF = 1.5
#: The change from the first frame to the most different frame, divided by that between neighbours.
#: Measured: 1.05 when nothing moves, 2 to 10 when the axis moves, 1.24 for pictures that are nearly
#: all noise.
_GROWTH = 1.15
#: Correlation of the tiles' sharpness between first and last frame: near 0 for noise alone.
_LOWEST_CORRELATION = 0.7


def stood_still(frames: Sequence[MeasuredFrame]) -> bool:
    """Return whether frames from different reported positions all show the same plane."""
    ordered = sorted(frames, key=lambda frame: frame.position_um)
    if len(ordered) < _LEAST_FRAMES:
        return False
    first, last = ordered[0], ordered[-1]
    if last.position_um - first.position_um < _LEAST_SPAN_DOF * first.dof_um:
        return False
    if _correlation(first, last) < _LOWEST_CORRELATION:
        return False  # only noise, or the axis did move
    neighbours = [
        sharpness_change(far.measurement, near.measurement) for near, far in pairwise(ordered)
    ]
    most = max(sharpness_change(frame.measurement, first.measurement) for frame in ordered[1:])
    return most < _GROWTH * median(neighbours)


def _correlation(first: MeasuredFrame, last: MeasuredFrame) -> float:
    """Return the correlation of the tiles' sharpness in two frames, -1..1."""
    one, other = (np.log(frame.measurement.energy[1] + 1.0) for frame in (first, last))
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
