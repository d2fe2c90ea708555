"""The parts of simulated specimens: coloured surfaces with a depth at each pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sheet:
    """One surface, seen from the front.

    Attributes
    ----------
    colour
        float32 (height, width, 3), blue green red, linear light, 0..1; 1 is white paper.
    coverage
        float32 (height, width), 0..1: share of the pixel that the surface covers.
    depth_um
        float32 (height, width), position of the surface, increasing away from the camera.
    solid
        True for a solid body: nothing is visible behind steps in its surface.
    """

    colour: Floats
    coverage: Floats
    depth_um: Floats
    solid: bool


@dataclass(frozen=True)
class Specimen:
    """Everything in front of the lens.

    Attributes
    ----------
    sheets
        Surfaces between ``near_um`` and ``far_um``. Of two surfaces at the same depth, the first
        in this list is in front. At most one surface is solid.
    ground
        Colour of the flat ground behind the sheets, as in :class:`Sheet`.
    near_um, far_um
        Position of the nearest point, and position of the ground.
    """

    sheets: tuple[Sheet, ...]
    ground: Floats
    near_um: float
    far_um: float

    def __post_init__(self) -> None:
        if not self.near_um < self.far_um:
            raise ValueError(
                f"the ground at {self.far_um:g} um is not behind the nearest point at "
                f"{self.near_um:g} um: positions grow away from the camera"
            )
        for sheet in self.sheets:
            depth_um = sheet.depth_um[sheet.coverage > 0]
            if depth_um.size and not (
                self.near_um <= depth_um.min() and depth_um.max() <= self.far_um
            ):
                raise ValueError(
                    f"a sheet from {depth_um.min():g} to {depth_um.max():g} um is not "
                    f"between {self.near_um:g} and {self.far_um:g} um"
                )
