"""A second path: every third frame is also laid directly on the one three before it.

Small errors of neighbours add up along a chain. What the chain says of two frames further apart and
what they show when they are laid on each other must agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from macrorail.stacking.look import Look, shrink_factor
from macrorail.stacking.register import Motion, Prior, Transform, enlarge, register, shrink

# Further apart frames have little in common; nearer ones tell nothing new.
_STEPS = 3
# How far the second path may lead away from the chain, in pixels of the pictures it is seen in.
_LEEWAY_PX = 3.0
# What may be between two paths, in pixels, or one of the pictures that alignment looks at.
_BOUND_PX = 2
# Fine detail that correlates less lies on each other by chance.
_LEAST_CORRELATION = 0.15


@dataclass(frozen=True)
class Closing:
    """Two paths to one frame compared.

    Attributes
    ----------
    error_px
        How far apart they put its corners, at most.
    bound_px
        What may be: two pixels, in large pictures one of those that alignment looks at.
    onto
        Name of the frame where the two paths part.
    """

    error_px: float
    bound_px: int
    onto: str


class SecondPath:
    """Follows a chain of neighbours, and checks it whenever three steps have been made."""

    def __init__(self, motion: Motion) -> None:
        self._motion = motion
        self._start: Look | None = None
        self._last: Look | None = None
        self._to_start: Transform = np.eye(3)
        self._steps = 0

    def check(self, neighbour: Look, frame: Look, to_neighbour: Transform) -> Closing | None:
        """Take one step of the chain, from ``frame`` to ``neighbour`` by ``to_neighbour`` (3, 3).

        Returns
        -------
        Closing or None
            ``None`` unless three steps are made, and the two frames have something in common.
        """
        if self._start is None or neighbour is not self._last:
            self._begin(neighbour)
        assert self._start is not None
        self._last = frame
        self._to_start = self._to_start @ to_neighbour
        self._steps += 1
        if self._steps < _STEPS:
            return None
        closing = self._compare(self._start, frame)
        self._begin(frame)
        return closing

    def _begin(self, start: Look) -> None:
        self._start = self._last = start
        self._to_start = np.eye(3)
        self._steps = 0

    def _compare(self, start: Look, frame: Look) -> Closing | None:
        # Half as fine as alignment itself: what it looks for is larger than a pixel.
        level = min(1, len(start.scales) - 1)
        fixed, moving = start.scales[level:], frame.scales[level:]
        factor = shrink_factor(frame.shape) * 2**level
        warp = shrink(np.linalg.inv(self._to_start).astype(np.float64), factor)
        corner = _LEEWAY_PX / (float(np.hypot(*fixed[0].even.shape)) / 2)
        spread = np.array([corner, corner, _LEEWAY_PX, corner, corner, _LEEWAY_PX])
        found = register(fixed, moving, self._motion, Prior(warp, spread))
        if found.correlation < _LEAST_CORRELATION:
            return None
        height, width = frame.shape[:2]
        corners = np.array([[x, y, 1] for x in (0, width - 1) for y in (0, height - 1)])
        apart = (np.linalg.inv(enlarge(found.warp, factor)) - self._to_start) @ corners.T
        error_px = float(np.hypot(apart[0], apart[1]).max())
        return Closing(error_px, max(_BOUND_PX, shrink_factor(frame.shape)), start.name)
