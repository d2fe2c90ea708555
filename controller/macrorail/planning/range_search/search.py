"""Plans a range search: positions close enough that every plane is sharp in some picture.

A picture reduced to about 640 pixels across has a much larger depth of field than a photograph,
because its pixels are larger. A coarse search uses the coarse detail of these pictures, over all
allowed positions. A fine search then uses the fine detail, around the specimen that was found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from macrorail.config.protocol import Protocol
from macrorail.config.rig import Rig
from macrorail.errors import PlanError
from macrorail.optics.dof import PIXELS_PER_COC
from macrorail.planning.axis_optics import AxisOptics, axis_optics
from macrorail.planning.plan import limits_um, move_s
from macrorail.quantity import format_duration, format_length

WIDEST_PX = 640
"""Width in pixels to which search pictures are reduced; live view has about this width."""

COARSE_BAND, FINE_BAND = 2, 0
"""Octaves of detail: differences over four pixels and over one pixel of a search picture."""

_COARSE_STEP, _FINE_STEP = 0.5, 0.7
_MOST_PICTURES = 400
# A range that needs at most this many fine pictures is searched without a coarse search.
_FEW_PICTURES = 40
_PICTURE_S = 0.5


@dataclass(frozen=True)
class RangeSearch:
    """A search for the ends of the specimen.

    Attributes
    ----------
    low_um, high_um
        Lowest and highest position of the search, both within ``closest_approach``.
    optics
        Optics at each position of the axis.
    pixel_um
        Width of a pixel of a search picture, measured on the sensor.
    margin_um
        How far the range to shoot extends beyond the specimen's ends. ``None`` means one fine step,
        which is the accuracy of the ends.
    """

    low_um: float
    high_um: float
    optics: AxisOptics
    pixel_um: float
    margin_um: float | None

    @property
    def needs_coarse(self) -> bool:
        """Whether the range is too long to be searched in fine steps only."""
        few_um = _FEW_PICTURES * self.step_um(FINE_BAND, self.low_um)
        return self.high_um - self.low_um > few_um

    def step_um(self, band: int, position_um: float) -> float:
        """Return the distance from one picture to the next for an octave of detail, micrometres."""
        share = _COARSE_STEP if band == COARSE_BAND else _FINE_STEP
        return share * self.dof_um(band, position_um)

    def dof_um(self, band: int, position_um: float) -> float:
        """Return the depth over which an octave is sharp in a search picture, micrometres."""
        coc_um = PIXELS_PER_COC * 2**band * self.pixel_um
        dof = self.optics.with_coc(coc_um).at(position_um)
        return max(dof.geometric_um, dof.wave_um)

    def positions_um(self, band: int, from_um: float, to_um: float) -> list[float]:
        """Return the pictures' positions from ``from_um`` to ``to_um``, within the limits."""
        positions, position_um = [], max(from_um, self.low_um)
        last_um = min(to_um, self.high_um)
        while position_um < last_um:
            positions.append(position_um)
            position_um += self.step_um(band, position_um)
        return [*positions, last_um]

    def to_dict(self) -> dict[str, Any]:
        """Return the search as written to journal and ``plan.json``: plain numbers, micrometres."""
        band = COARSE_BAND if self.needs_coarse else FINE_BAND
        return {
            "from_um": self.low_um,
            "to_um": self.high_um,
            "step_um": self.step_um(band, self.low_um),
            "looks": len(self.positions_um(band, self.low_um, self.high_um)),
        }


def make_search(protocol: Protocol, rig: Rig) -> RangeSearch:
    """Plan the range search of a protocol and return it.

    Raises
    ------
    PlanError
        The search leaves the allowed positions or would take too many pictures.
    """
    wanted = protocol.range.search
    assert wanted is not None, "the protocol has no search"
    low_um, high_um = limits_um(protocol, rig)
    if rig.axis.far_focus is not None:
        high_um = min(high_um, rig.axis.far_focus.infinity_um)
    near_um = low_um if wanted.near_um is None else wanted.near_um
    far_um = high_um if wanted.far_um is None else wanted.far_um
    if near_um < low_um or far_um > high_um or not near_um < far_um:
        raise PlanError(
            f"range: search: {format_length(near_um, 6)} to {format_length(far_um, 6)} is not "
            f"within the positions that rig and protocol allow, {format_length(low_um, 6)} to "
            f"{format_length(high_um, 6)}"
        )
    camera = rig.camera
    width_px = min(camera.image_width, WIDEST_PX)
    settings = protocol.optics
    search = RangeSearch(
        low_um=near_um,
        high_um=far_um,
        optics=axis_optics(
            rig, protocol.exposure.aperture, settings.coc_um, settings.wavelength_um
        ),
        pixel_um=camera.image_width * camera.pixel_pitch_um / width_px,
        margin_um=wanted.margin_um,
    )
    pictures = (far_um - near_um) / search.step_um(COARSE_BAND, near_um)
    if pictures > _MOST_PICTURES:
        raise PlanError(
            f"range: searching for the specimen from {format_length(near_um, 6)} to "
            f"{format_length(far_um, 6)} would take {pictures:.0f} pictures, more than "
            f"{_MOST_PICTURES}; limit the search to the specimen's approximate range: 'range: "
            f"{{search: {{near: ..., far: ...}}}}'"
        )
    return search


def describe_search(search: RangeSearch, protocol: Protocol, rig: Rig) -> str:
    """Return a description of the search for the operator who is about to start the run."""
    data = search.to_dict()
    each_s = move_s(data["step_um"], rig.axis) + protocol.settle_s(rig.axis.settle_s) + _PICTURE_S
    return (
        f"The run first searches for the specimen, from {format_length(search.low_um, 6)} to "
        f"{format_length(search.high_um, 6)}: {data['looks']} pictures in steps of "
        f"{format_length(data['step_um'], 3)}, about {format_duration(data['looks'] * each_s)}, "
        f"then finer steps around the specimen's ends. The slices are planned from the range that "
        f"is found."
    )
