"""Tells a sweep in which nothing moved: every frame shows the same plane.

One missed move stands out among the others. When all are missed there are no others; but then the
first frame differs from the last no more than from its neighbour, by noise alone, where a sweep
that moves differs the more the farther it has gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

import numpy as np

from macrorail.proof.faults import change
from macrorail.proof.judge import Look

_LEAST_FRAMES = 3
#: A shorter sweep changes too little from end to end.
_LEAST_SPAN_DOF = 1.5
#: How many times as much as between neighbours a sweep changes from its first frame to the one
#: that differs most: 1.05 when nothing moves, 2 to 10 when it does, 1.24 where next to nothing but
#: noise is left of the pictures.
_GROWTH = 1.15
#: Correlation of the tiles' sharpness, first frame against last: near 0 for noise alone.
_LEAST_LIKENESS = 0.7


def stood_still(looks: Sequence[Look]) -> bool:
    """Whether frames that are said to be from different places all show one plane."""
    ordered = sorted(looks, key=lambda look: look.position_um)
    if len(ordered) < _LEAST_FRAMES:
        return False
    first, last = ordered[0], ordered[-1]
    if last.position_um - first.position_um < _LEAST_SPAN_DOF * first.dof_um:
        return False
    if _likeness(first, last) < _LEAST_LIKENESS:
        return False  # noise and nothing else, or a sweep that did move
    neighbours = [change(far.seen, near.seen) for near, far in pairwise(ordered)]
    most = max(change(look.seen, first.seen) for look in ordered[1:])
    return most < _GROWTH * median(neighbours)


def _likeness(first: Look, last: Look) -> float:
    """Whether the two frames are sharp in the same places, -1..1."""
    one, other = (np.log(look.seen.energy[1] + 1.0) for look in (first, last))
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
