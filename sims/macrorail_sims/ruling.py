"""A tilted ruling to calibrate a lens: straight lines of known pitch along its slope."""

from __future__ import annotations

import math

import numpy as np

from macrorail_sims.sheet import Floats, Sheet, Specimen

_MEAN, _SWING = 0.45, 0.35


def tilted_ruling(
    shape: tuple[int, int],
    object_pixel_um: float,
    pitch_um: float,
    tilt_deg: float,
    near_um: float,
    far_um: float,
) -> Specimen:
    """Return a plate with lines across the picture; its left end is nearer than its right end.

    Parameters
    ----------
    shape
        Rows and columns of the rasters.
    object_pixel_um
        Size of a pixel of the raster.
    pitch_um
        Distance from line to line.
    tilt_deg
        Angle between the plate and the plane in focus, above 0 and below 90.
    near_um, far_um
        Positions of the plate's ends; the middle of the picture is halfway between them.
    """
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float64)
    across_um = (columns - (shape[1] - 1) / 2) * object_pixel_um
    depth_um = (near_um + far_um) / 2 + across_um * math.tan(math.radians(tilt_deg))
    there = (depth_um > near_um) & (depth_um < far_um)
    wave = np.sin(2 * np.pi * (rows - (shape[0] - 1) / 2) * object_pixel_um / pitch_um)
    grey = (_MEAN + _SWING * wave).astype(np.float32)
    plate = Sheet(
        colour=np.dstack([grey, grey, grey]),
        coverage=there.astype(np.float32),
        depth_um=np.clip(depth_um, near_um, far_um).astype(np.float32),
        solid=False,
    )
    ground: Floats = np.full((*shape, 3), 0.01, np.float32)
    return Specimen((plate,), ground, near_um, far_um)
