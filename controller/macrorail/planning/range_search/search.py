"""Where to look for a specimen: steps so wide that nothing sharp in a small picture is missed.

A picture reduced to some six hundred pixels across forgives far more defocus than a photograph:
its depth of field grows with its pixels. A coarse sweep looks at its coarse detail, over all of
the way that is allowed; a fine one then at its fine detail, around the ends that came out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from macrorail.config.protocol import Protocol
from macrorail.config.rig import Rig
from macrorail.errors import PlanError
from macrorail.optics.dof import PIXELS_PER_COC
from macrorail.planning.plan import limits_um, move_s
from macrorail.planning.sweep import SweepOptics, sweep_optics
from macrorail.quantity import format_duration, format_length

WIDEST_PX = 640
"""Looks are reduced to this width; cameras send live view at about it."""

COARSE_BAND, FINE_BAND = 2, 0
"""Octaves of detail: differences over four pixels of a look, and over one."""

_COARSE_STEP, _FINE_STEP = 0.5, 0.7
_MOST_LOOKS = 400
# A way that takes no more fine looks than this needs no coarse sweep before.
_FEW_LOOKS = 40
_LOOK_S = 0.5


@dataclass(frozen=True)
class Search:
    """A search for the ends of a specimen.

    Attributes
    ----------
    low_um, high_um
        Where it may look; the highest is never beyond ``closest_approach``.
    optics
        Of the sweep.
    pixel_um
        Width of a look's pixel on the sensor.
    margin_um
        How far beyond the sharp planes that are found the range is to reach; ``None`` for a
        fine step, within which they are known.
    """

    low_um: float
    high_um: float
    optics: SweepOptics
    pixel_um: float
    margin_um: float | None

    @property
    def needs_coarse(self) -> bool:
        """Whether the way is too long to be gone in fine steps."""
        few_um = _FEW_LOOKS * self.step_um(FINE_BAND, self.low_um)
        return self.high_um - self.low_um > few_um

    def step_um(self, band: int, position_um: float) -> float:
        """From one look to the next, for detail of an octave."""
        share = _COARSE_STEP if band == COARSE_BAND else _FINE_STEP
        return share * self.dof_um(band, position_um)

    def dof_um(self, band: int, position_um: float) -> float:
        """Depth in which detail of an octave stays sharp in a look."""
        coc_um = PIXELS_PER_COC * 2**band * self.pixel_um
        dof = self.optics.with_coc(coc_um).at(position_um)
        return max(dof.geometric_um, dof.wave_um)

    def positions_um(self, band: int, from_um: float, to_um: float) -> list[float]:
        """Where to look from one position to another, both included, within what is allowed."""
        positions, position_um = [], max(from_um, self.low_um)
        last_um = min(to_um, self.high_um)
        while position_um < last_um:
            positions.append(position_um)
            position_um += self.step_um(band, position_um)
        return [*positions, last_um]

    def to_dict(self) -> dict[str, Any]:
        """For the journal and for ``plan.json``: plain numbers, micrometres."""
        band = COARSE_BAND if self.needs_coarse else FINE_BAND
        return {
            "from_um": self.low_um,
            "to_um": self.high_um,
            "step_um": self.step_um(band, self.low_um),
            "looks": len(self.positions_um(band, self.low_um, self.high_um)),
        }


def make_search(protocol: Protocol, rig: Rig) -> Search:
    """Work out a protocol's search.

    Raises
    ------
    PlanError
        Outside of what the axis may reach, or too long.
    """
    wanted = protocol.range.search
    assert wanted is not None, "the range is to be searched for"
    low_um, high_um = limits_um(protocol, rig)
    if rig.axis.far_focus is not None:
        high_um = min(high_um, rig.axis.far_focus.infinity_um)
    near_um = low_um if wanted.near_um is None else wanted.near_um
    far_um = high_um if wanted.far_um is None else wanted.far_um
    if near_um < low_um or far_um > high_um or not near_um < far_um:
        raise PlanError(
            f"range: search: {format_length(near_um, 6)} to {format_length(far_um, 6)} is not "
            f"within what this rig and protocol allow, {format_length(low_um, 6)} to "
            f"{format_length(high_um, 6)}"
        )
    camera = rig.camera
    width_px = min(camera.image_width, WIDEST_PX)
    settings = protocol.optics
    search = Search(
        low_um=near_um,
        high_um=far_um,
        optics=sweep_optics(
            rig, protocol.exposure.aperture, settings.coc_um, settings.wavelength_um
        ),
        pixel_um=camera.image_width * camera.pixel_pitch_um / width_px,
        margin_um=wanted.margin_um,
    )
    looks = (far_um - near_um) / search.step_um(COARSE_BAND, near_um)
    if looks > _MOST_LOOKS:
        raise PlanError(
            f"range: looking for the specimen from {format_length(near_um, 6)} to "
            f"{format_length(far_um, 6)} would take {looks:.0f} looks, more than {_MOST_LOOKS}; "
            f"say roughly where it is: 'range: {{search: {{near: ..., far: ...}}}}'"
        )
    return search


def describe(search: Search, protocol: Protocol, rig: Rig) -> str:
    """In words, for whoever is about to start it."""
    told = search.to_dict()
    each_s = move_s(told["step_um"], rig.axis) + protocol.settle_s(rig.axis.settle_s) + _LOOK_S
    return (
        f"The specimen is looked for first, from {format_length(search.low_um, 6)} to "
        f"{format_length(search.high_um, 6)}: {told['looks']} looks in steps of "
        f"{format_length(told['step_um'], 3)}, about {format_duration(told['looks'] * each_s)}, "
        f"then finer ones around its ends. The slices follow from what is found."
    )
