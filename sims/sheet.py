"""A coloured surface at varying depth: what the simulated world is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sheet:
    """One surface, as seen straight from the front.

    Attributes
    ----------
    colour
        float32 (height, width, 3), blue green red, linear light; 1 is white paper.
    coverage
        float32 (height, width), 0..1: how much of the pixel the surface covers.
    depth_um
        float32 (height, width), position, growing away from the camera.
    solid
        True when everything behind the surface is filled, as a body's is; a bristle's is not.
    """

    colour: Floats
    coverage: Floats
    depth_um: Floats
    solid: bool
