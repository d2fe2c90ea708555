"""Settings of the image proof: range, limits, and the action for each kind of fault."""

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
    # Shooting the same position again cannot distinguish a missed move from lost steps. The gap is
    # found from all slices together and then filled.
    "missed_move": FUSE,
}
"""Action for each kind of fault. If a fault remains after every repeat, the frame is fused and the
manifest reports the fault. A frame without a picture ends the run."""


@dataclass(frozen=True)
class ProofSettings:
    """What the image proof has to prove, and within which limits.

    Attributes
    ----------
    near_um, far_um
        Ends of the planned range, micrometres.
    minimum_overlap, planned_overlap
        Smallest allowed and planned overlap, as fractions of the depth of field.
    lowest_um, highest_um
        Positions that the axis may reach; the highest is never beyond ``closest_approach``.
    extra_slices
        Largest number of slices that may be added.
    extend_um
        How far beyond each end of the range slices may be added.
    reshoots
        How often one slice may be shot again.
    optics
        Optics as stated in the rig file.
    nothing_beyond_um
        Position of infinity, beyond which nothing can be in focus.
    resolution_um
        Smallest step of the axis; 0 if only the device knows it.
    policy
        Action by kind of fault: ``reshoot``, ``fuse``, ``pause`` or ``stop``.
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
