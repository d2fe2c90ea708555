"""One exposure of a simulated body, with all data that the scene needs to render it."""

from __future__ import annotations

from dataclasses import dataclass

from macrorail_sims.bodies.lens import LensState

LIVE_VIEW = 0
"""Exposure number of a live-view frame, which is not counted as an exposure."""


@dataclass(frozen=True)
class SimulatedExposure:
    """One exposure to be rendered by the scene.

    Attributes
    ----------
    number
        Number of the body's exposure, from 1; ``LIVE_VIEW`` for a live-view frame.
    start_s, end_s
        World time during which the shutter was open, seconds.
    f_number
        Nominal f-number; ``None`` with a lens that the body cannot read.
    iso
        Sensitivity.
    lens
        State of the lens that the body drives; ``None`` when the body drives no lens.
    jpeg_quality
        Quality of the JPEG, 1..100.
    """

    number: int
    start_s: float
    end_s: float
    f_number: float | None
    iso: int
    lens: LensState | None
    jpeg_quality: int
