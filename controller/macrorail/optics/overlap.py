"""Proves from depth of field and achieved positions that slices overlap, and finds the gaps.

A slice at position p with depth of field d covers the band from p - d/2 to p + d/2. The overlap of
two slices is ``1 - distance / mean depth of field``: 1 for the same plane, 0 for bands that just
touch. The *core* of a band is the band shortened by the minimum overlap. Two slices overlap enough
exactly when their cores touch, so a range is covered when the union of the cores has no hole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from macrorail.errors import OverlapError
from macrorail.quantity import format_fraction, format_length

# Planned distances are exactly the largest allowed; rounding errors must not count as gaps.
_ROUNDING_UM = 1e-6
# Relative rounding error of distances that are a whole number of the axis's steps.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Band:
    """The range of positions that one slice covers.

    Attributes
    ----------
    position_um
        Position at which the slice was taken.
    dof_um
        Total depth of field at that position, > 0.
    """

    position_um: float
    dof_um: float

    @property
    def from_um(self) -> float:
        """The band's near edge."""
        return self.position_um - self.dof_um / 2

    @property
    def to_um(self) -> float:
        """The band's far edge."""
        return self.position_um + self.dof_um / 2


@dataclass(frozen=True)
class Gap:
    """Two neighbouring slices that do not overlap enough."""

    near: Band
    far: Band

    @property
    def distance_um(self) -> float:
        """Distance between the two slices."""
        return self.far.position_um - self.near.position_um

    @property
    def dof_um(self) -> float:
        """Mean depth of field of the two slices."""
        return (self.near.dof_um + self.far.dof_um) / 2

    @property
    def overlap(self) -> float:
        """Overlap of the two slices as a fraction; negative when the bands do not touch."""
        return 1 - self.distance_um / self.dof_um


@dataclass(frozen=True)
class Coverage:
    """How well a set of slices covers a range.

    Attributes
    ----------
    bands
        The bands of the slices, ordered by position.
    near_um, far_um
        Ends of the range.
    minimum_overlap
        Required overlap of neighbours, a fraction from 0 to below 1.
    gaps
        Pairs of neighbours that overlap less than required, from near to far.
    near_covered, far_covered
        Whether a band reaches each end of the range.
    """

    bands: tuple[Band, ...]
    near_um: float
    far_um: float
    minimum_overlap: float
    gaps: tuple[Gap, ...]
    near_covered: bool
    far_covered: bool

    @property
    def proven(self) -> bool:
        """Whether both ends of the range are covered and there is no gap."""
        return self.near_covered and self.far_covered and not self.gaps

    @property
    def overlaps(self) -> tuple[float | None, ...]:
        """Overlap of each band with the preceding band; ``None`` for the first."""
        return (None, *(Gap(*pair).overlap for pair in pairwise(self.bands)))

    def error(self, resolution_um: float = 0.0, tried: bool = False) -> OverlapError:
        """Return the error to raise when coverage is not proven; it describes the worst gap.

        Parameters
        ----------
        resolution_um
            Smallest step of the axis, >= 0. A gap that is not wider than one step cannot be filled.
        tried
            Whether slices were added in the gaps and did not close the gaps.
        """
        worst = max(self.gaps, key=lambda gap: gap.distance_um / gap.dof_um, default=None)
        if worst is not None:
            remedy = "Shoot these planes again, or plan a smaller step."
            if worst.distance_um <= resolution_um * (1 + _ROUNDING):
                remedy = (
                    f"The axis moves in steps of {format_length(resolution_um)}, so no slice fits "
                    f"between them. Give the axis a finer step, close the aperture, or lower "
                    f"minimum_overlap."
                )
            elif tried:
                remedy = (
                    f"Slices added in the gap were shot at other positions: the axis does not make "
                    f"the steps that it reports (smallest step {format_length(resolution_um)}). "
                    f"Check the axis's coupling, its play and the step size in the rig file, or "
                    f"close the aperture."
                )
            return OverlapError(
                worst.distance_um,
                worst.dof_um,
                f"coverage is not proven: slices at {_place(worst.near.position_um)} and "
                f"{_place(worst.far.position_um)} are {format_length(worst.distance_um)} apart, "
                f"but the depth of field is {format_length(worst.dof_um)} (overlap "
                f"{format_fraction(worst.overlap)}, wanted at least "
                f"{format_fraction(self.minimum_overlap)}); {len(self.gaps)} such gap(s) in all. "
                f"{remedy}",
            )
        if not self.bands:
            return OverlapError(
                self.far_um - self.near_um, 0.0, "coverage is not proven: no slice was taken"
            )
        end, at_um, edge_um, band = (
            ("near", self.near_um, self.bands[0].from_um, self.bands[0])
            if not self.near_covered
            else ("far", self.far_um, self.bands[-1].to_um, self.bands[-1])
        )
        return OverlapError(
            abs(edge_um - at_um),
            band.dof_um,
            f"coverage is not proven: the {end} end at {_place(at_um)} is not covered; the nearest "
            f"slice is sharp only to {_place(edge_um)} ({format_length(abs(edge_um - at_um))} "
            f"short). Check that the axis can reach this end.",
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the coverage as written to journal and manifest: plain numbers, micrometres."""
        return {
            "proven": self.proven,
            "near_um": self.near_um,
            "far_um": self.far_um,
            "near_covered": self.near_covered,
            "far_covered": self.far_covered,
            "minimum_overlap": self.minimum_overlap,
            "gaps": [
                {
                    "near_um": gap.near.position_um,
                    "far_um": gap.far.position_um,
                    "distance_um": gap.distance_um,
                    "dof_um": gap.dof_um,
                    "overlap": gap.overlap,
                }
                for gap in self.gaps
            ],
            "overlaps": [
                {"position_um": band.position_um, "overlap": overlap}
                for band, overlap in zip(self.bands, self.overlaps, strict=True)
            ],
        }


def prove_coverage(
    bands: Sequence[Band], near_um: float, far_um: float, minimum_overlap: float
) -> Coverage:
    """Return how ``bands``, in any order, cover the range from ``near_um`` to ``far_um``.

    Parameters
    ----------
    minimum_overlap
        Required overlap of neighbours, a fraction from 0 to below 1.

    Raises
    ------
    ValueError
        The near end is beyond the far end, or the overlap is out of bounds.
    """
    if near_um > far_um:
        raise ValueError(f"near end {near_um} um is beyond far end {far_um} um")
    if not 0 <= minimum_overlap < 1:
        raise ValueError(f"minimum_overlap must be from 0 to below 1, got {minimum_overlap}")
    ordered = tuple(sorted(bands, key=lambda band: (band.position_um, band.dof_um)))
    useful = _reaching(ordered, near_um, far_um)
    return Coverage(
        bands=ordered,
        near_um=near_um,
        far_um=far_um,
        minimum_overlap=minimum_overlap,
        gaps=_gaps(useful, near_um, far_um, minimum_overlap),
        near_covered=any(band.from_um <= near_um + _ROUNDING_UM for band in useful),
        far_covered=any(band.to_um >= far_um - _ROUNDING_UM for band in useful),
    )


def missing_positions(coverage: Coverage, resolution_um: float = 0.0) -> list[float]:
    """Return the positions, ascending, at which more slices would prove the range's coverage.

    Between two slices, the depth of field is assumed to be at least the smaller of their depths.
    Beyond the outermost slice, it is assumed to be at least that slice's depth. If a gap remains
    after the new slices have been shot, call this function again with their bands included. If no
    slice covers any part of the range, the two ends of the range are returned.

    Parameters
    ----------
    resolution_um
        Smallest step of the axis, >= 0. The positions returned are at least one step apart.
    """
    near_um, far_um = coverage.near_um, coverage.far_um
    useful = _reaching(coverage.bands, near_um, far_um)
    if not useful:
        return sorted({near_um, far_um})
    reach = 1 - coverage.minimum_overlap
    first, last = useful[0], useful[-1]
    positions: list[float] = []

    def between(from_um: float, to_um: float, largest_um: float) -> list[float]:
        return _between(from_um, to_um, max(largest_um, resolution_um * (1 + _ROUNDING)))

    if not coverage.near_covered:
        positions += [near_um, *between(near_um, first.position_um, reach * first.dof_um)]
    for gap in coverage.gaps:
        thinner_um = min(gap.near.dof_um, gap.far.dof_um)
        positions += between(gap.near.position_um, gap.far.position_um, reach * thinner_um)
    if not coverage.far_covered:
        positions += [*between(last.position_um, far_um, reach * last.dof_um), far_um]
    # A slice just outside the range can still reach into it; new slices stay inside.
    return sorted({min(max(position, near_um), far_um) for position in positions})


def _reaching(ordered: Sequence[Band], near_um: float, far_um: float) -> list[Band]:
    """Return the bands that cover some part of the range."""
    return [
        band
        for band in ordered
        if band.to_um >= near_um - _ROUNDING_UM and band.from_um <= far_um + _ROUNDING_UM
    ]


def _gaps(
    bands: Sequence[Band], near_um: float, far_um: float, minimum_overlap: float
) -> tuple[Gap, ...]:
    """Return the holes in the union of the cores, except holes outside the range."""
    half = (1 - minimum_overlap) / 2
    gaps: list[Gap] = []
    reaching: Band | None = None  # the band whose core ends farthest so far
    for band in sorted(bands, key=lambda band: band.position_um - half * band.dof_um):
        if reaching is None:
            reaching = band
            continue
        edge_um = reaching.position_um + half * reaching.dof_um
        hole_um = band.position_um - half * band.dof_um - edge_um
        # A band across an end of the range covers that end; a hole beyond the end does not matter.
        inside = band.from_um > near_um + _ROUNDING_UM and reaching.to_um < far_um - _ROUNDING_UM
        if hole_um > _ROUNDING_UM and inside:
            gaps.append(Gap(reaching, band))
        if band.position_um + half * band.dof_um > edge_um:
            reaching = band
    return tuple(gaps)


def _between(from_um: float, to_um: float, largest_um: float) -> list[float]:
    """Return evenly spaced positions between two positions, at most ``largest_um`` apart."""
    parts = math.ceil((to_um - from_um - _ROUNDING_UM) / largest_um)
    return [from_um + (to_um - from_um) * part / parts for part in range(1, parts)]


def _place(position_um: float) -> str:
    return format_length(position_um, digits=6)
