"""Coloured surfaces at varying depth, of which simulated specimens consist."""

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
        float32 (height, width), 0..1: how much of the pixel the surface covers.
    depth_um
        float32 (height, width), position, increasing away from the camera.
    solid
        True when nothing is visible behind its steps, as with a solid body.
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
        Surfaces between ``near_um`` and ``far_um``; of two at the same depth, the earlier one is
        in front. At most one is solid.
    ground
        Colour of the flat ground behind them, as in a sheet.
    near_um, far_um
        Position of the nearest point, and of the ground.
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
