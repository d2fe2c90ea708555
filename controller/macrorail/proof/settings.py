"""What the proof has to know of the plan, and what to do about each fault."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from macrorail.proof.defocus import Optics

FUSE, RESHOOT, PAUSE, STOP = "fuse", "reshoot", "pause", "stop"

DEFAULT_POLICY: Mapping[str, str] = {
    "damaged": RESHOOT,
    "frozen": RESHOOT,
    "exposure": RESHOOT,
    "blur": RESHOOT,
    "shift": RESHOOT,
    # Shooting the same place again cannot tell a missed move from a lost one: the gap that it
    # leaves is found from all slices together, and filled.
    "missed_move": FUSE,
}
"""What happens first; a fault that stays after every repeat is fused and named in the manifest,
except for frames without a picture, which end the run."""


@dataclass(frozen=True)
class ProofSettings:
    """What is to be proven.

    Attributes
    ----------
    near_um, far_um
        The range asked for.
    minimum_overlap, planned_overlap
        Fractions of the depth of field.
    lowest_um, highest_um
        Where the axis may go; the highest is never beyond ``closest_approach``.
    extra_slices
        How many slices may be added in all.
    extend_um
        How far beyond each end of the range it may go.
    reshoots
        How often one slice is shot again.
    optics
        What the rig claims.
    nothing_beyond_um
        Position beyond which there is nothing to be seen: infinity, on a lens that gets there.
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
    optics: Optics
    policy: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_POLICY))
    nothing_beyond_um: float = math.inf
