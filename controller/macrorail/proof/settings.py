"""Settings of the image proof: range, limits, and what to do about each fault."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from macrorail.proof.defocus import ClaimedOptics

FUSE, RESHOOT, PAUSE, STOP = "fuse", "reshoot", "pause", "stop"

DEFAULT_POLICY: Mapping[str, str] = {
    "damaged": RESHOOT,
    "frozen": RESHOOT,
    "exposure": RESHOOT,
    "blur": RESHOOT,
    "shift": RESHOOT,
    # Shooting the same position again cannot tell a missed move from lost steps. The gap is found
    # from all slices together, and filled.
    "missed_move": FUSE,
}
"""Action for each fault. If a fault remains after every repeat, the frame is fused and the fault
named in the manifest; a frame without a picture ends the run."""


@dataclass(frozen=True)
class ProofSettings:
    """What to prove, and within which limits.

    Attributes
    ----------
    near_um, far_um
        The planned range.
    minimum_overlap, planned_overlap
        Fractions of the depth of field.
    lowest_um, highest_um
        Positions the axis may reach; the highest is never beyond ``closest_approach``.
    extra_slices
        How many slices may be added in all.
    extend_um
        How far slices may be added beyond each end of the range.
    reshoots
        How often one slice may be shot again.
    optics
        The optics as the rig states them.
    nothing_beyond_um
        Position of infinity, beyond which nothing can be in focus.
    resolution_um
        Smallest step of the axis; 0 when only the device knows it.
    policy
        ``reshoot``, ``fuse``, ``pause`` or ``stop`` by kind of fault.
    """

    near_um: float
    far_um: float
    minimum_overlap: float
    planned_overlap: float
    lowest_um: float
    highest_um: float
    extra_slices: int
    extend_um: float
    reshoots: int
    optics: ClaimedOptics
    policy: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_POLICY))
    nothing_beyond_um: float = math.inf
    resolution_um: float = 0.0
