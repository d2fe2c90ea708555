"""One exposure of a simulated body: all that the scene needs to render its picture."""

from __future__ import annotations

from dataclasses import dataclass

from macrorail_sims.bodies.lens import LensState

LIVE_VIEW = 0
"""The number of a live-view frame, which is no exposure."""


@dataclass(frozen=True)
class SimulatedExposure:
    """One exposure, as the scene has to render it.

    Attributes
    ----------
    number
        Counts the body's exposures, from 1; ``LIVE_VIEW`` for a frame of live view.
    start_s, end_s
        World time during which the shutter was open, seconds.
    f_number
        Nominal f-number; ``None`` with a lens that the body cannot read.
    iso
        Sensitivity.
    lens
        The body's own lens; ``None`` when another optic is mounted.
    jpeg_quality
        1..100.
    """

    number: int
    start_s: float
    end_s: float
    f_number: float | None
    iso: int
    lens: LensState | None
    jpeg_quality: int
