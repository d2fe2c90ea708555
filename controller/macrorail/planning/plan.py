"""Plans the slices to shoot from a protocol and a rig, and refuses plans that are unsafe.

The first slice is at the near end, the last at the far end. The distance between slices is the
protocol's step, or is computed from the planned overlap and the local depth of field. Only the last
distance may be shorter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from macrorail.config.document import read_document
from macrorail.config.protocol import Protocol, Range
from macrorail.config.rig import AxisSection, Rig
from macrorail.errors import OverlapError, PlanError
from macrorail.optics.dof import object_pixel_um
from macrorail.optics.image_space import FarFocus
from macrorail.optics.overlap import Band, Gap, prove_coverage
from macrorail.planning.axis_optics import AxisOptics, axis_optics
from macrorail.quantity import format_fraction, format_length

# Largest relative difference between the magnifications in the rig and in the lens file.
_MAGNIFICATION_TOLERANCE = 0.05
# A last distance shorter than this fraction of a step is a rounding error, not another slice.
_ROUNDING = 1e-9
# Disk space in addition to the frames: the fused picture in 16 bits, depth map and previews.
_RESULT_BYTES_PER_PIXEL = 16


@dataclass(frozen=True)
class SharpDistances:
    """The distances between which a slice is sharp, micrometres; ``None`` is infinity.

    Attributes
    ----------
    focus_um
        Distance of the plane in focus.
    from_um, to_um
        Near and far edge of the depth of field; not symmetric about the plane in focus.
    """

    focus_um: float | None
    from_um: float | None
    to_um: float | None


@dataclass(frozen=True)
class PlannedSlice:
    """One slice to shoot.

    Attributes
    ----------
    index
        Number of the slice, from 1, in the order of shooting.
    target_um
        Planned position of the axis.
    overlap
        Overlap with the previous slice, as a fraction; ``None`` for the first slice.
    dof_um
        Limiting depth of field at this position.
    criterion
        Criterion that limits the depth of field: ``geometric`` or ``wave``.
    magnification, effective_f_number, um_per_px
        Magnification, working f-number and pixel size on the specimen at this position;
        ``um_per_px`` is ``None`` at infinity.
    scale
        Factor by which the slice's frame must be resized to match the first frame, the starting
        value for alignment; ``None`` when the lens's focal length is not known.
    distances
        Distances between which the slice is sharp, for a lens that focuses up to infinity.
    """

    index: int
    target_um: float
    overlap: float | None
    dof_um: float
    criterion: str
    magnification: float
    effective_f_number: float
    um_per_px: float | None
    scale: float | None = None
    distances: SharpDistances | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the slice as written to ``plan.json``; scale and distances only when known."""
        data = asdict(self)
        unknown = [name for name in ("scale", "distances") if data[name] is None]
        return {name: value for name, value in data.items() if name not in unknown}


@dataclass(frozen=True)
class Plan:
    """The slices of one stack, and the time and disk space they take.

    Attributes
    ----------
    slices
        The slices in the order of shooting, from near to far.
    near_um, far_um
        Ends of the range to be covered.
    minimum_overlap
        Overlap (fraction) that the achieved positions must prove.
    optics
        Depth of field and scale at each position of the axis.
    medium
        Refractive index of the medium around the specimen.
    closest_approach_um
        Highest position allowed: the stricter limit of rig and protocol.
    duration_s
        Predicted world time from the first move to the last frame on disk.
    size_bytes
        Predicted size of the frames and the results.
    """

    slices: tuple[PlannedSlice, ...]
    near_um: float
    far_um: float
    minimum_overlap: float
    optics: AxisOptics
    medium: float
    closest_approach_um: float
    duration_s: float
    size_bytes: int

    @property
    def object_pixel_um(self) -> float:
        """Size of a pixel on the specimen in the first slice, micrometres."""
        first_um = self.slices[0].um_per_px
        assert first_um is not None, "a range begins nearer than infinity"
        return first_um

    @property
    def positions_um(self) -> NDArray[np.float64]:
        """(slices,) float64: planned position of each slice, micrometres."""
        return np.array([planned.target_um for planned in self.slices])

    @property
    def dof_um(self) -> NDArray[np.float64]:
        """(slices,) float64: depth of field of each slice, micrometres."""
        return np.array([planned.dof_um for planned in self.slices])

    @property
    def overlap(self) -> NDArray[np.float64]:
        """(slices,) float64: overlap of each slice with the previous slice, as a share of the depth
        of field; NaN for the first."""
        return np.array(
            [math.nan if one.overlap is None else one.overlap for one in self.slices], dtype=float
        )

    def scale_at(self, position_um: float) -> float | None:
        """Return the factor by which the frame at a position must be resized to match the first
        slice's frame; ``None`` when the lens's focal length is not known."""
        return self.optics.scale(position_um, self.slices[0].target_um)

    def resolution_um_at(self, position_um: float) -> float | None:
        """Return the axis's smallest step at a position; ``None`` if only the device knows it."""
        return self.optics.axis.resolution_um_at(position_um)

    def dof_um_at(self, position_um: float) -> float:
        """Return the limiting depth of field with the axis at ``position_um``, in micrometres."""
        return self.optics.at(position_um).limiting_um

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as written to ``plan.json``: plain numbers with units in the names."""
        return {
            "slices": [planned.to_dict() for planned in self.slices],
            "near_um": self.near_um,
            "far_um": self.far_um,
            "minimum_overlap": self.minimum_overlap,
            "coc_um": self.optics.coc_um,
            "wavelength_um": self.optics.wavelength_um,
            "medium": self.medium,
            "closest_approach_um": self.closest_approach_um,
            "duration_s": self.duration_s,
            "size_bytes": self.size_bytes,
        }


@contextmanager
def errors_with_lines(path: Path) -> Iterator[None]:
    """Add the protocol's line to planning errors that are raised inside this block.

    Parameters
    ----------
    path
        The protocol file.
    """
    try:
        yield
    except (PlanError, OverlapError) as error:
        key, colon, message = str(error).partition(": ")
        location = tuple(key.split(".")) if colon and " " not in key else ()
        document = read_document(path)
        if location[:1] and location[0] not in document.data:
            location, message = (), str(error)
        if not location:
            location, message = ("range",) if "range" in document.data else (), str(error)
        error.args = (str(document.error(location, message)),)
        raise


def make_plan(protocol: Protocol, rig: Rig) -> Plan:
    """Plan the slices for ``protocol`` on ``rig``, check them and return the plan.

    Raises
    ------
    PlanError
        The range is outside the travel or beyond the closest approach, there are too many
        slices, protocol and rig disagree about the optics, or slices would be closer together
        than the axis's smallest step.
    OverlapError
        Slices would be too far apart for their depth of field.
    """
    if protocol.range.search is not None:
        raise PlanError(
            "range: the run first searches for the specimen, and the slices depend on the range "
            "that is found; give 'near' and 'far' to plan without a search"
        )
    low_um, high_um = limits_um(protocol, rig)
    near_um, far_um = _ends_um(protocol.range, rig)
    _check_limits(near_um, far_um, low_um, high_um, rig.axis.travel.to_um)
    optics = _axis_optics(protocol, rig)
    targets_um = list(_targets(protocol, optics, near_um, far_um))
    slices = tuple(_planned(targets_um, optics, rig.camera.pixel_pitch_um))
    _check_overlap(slices, protocol, near_um, far_um)
    _check_resolution(targets_um, protocol, optics)
    return Plan(
        slices=slices,
        near_um=near_um,
        far_um=far_um,
        minimum_overlap=protocol.minimum_overlap,
        optics=optics,
        medium=protocol.optics.medium,
        closest_approach_um=high_um,
        duration_s=_duration_s(targets_um, protocol, rig),
        size_bytes=round(
            len(slices) * _files_of_a_slice(protocol) * rig.camera.frame_size_bytes
            + results_bytes(rig)
        ),
    )


def plan_before_search(protocol: Protocol, rig: Rig) -> Plan:
    """Return the plan, without slices, of a run that has not yet searched for its range.

    Raises
    ------
    PlanError
        The protocol and the rig disagree about the optics.
    """
    low_um, high_um = limits_um(protocol, rig)
    return Plan(
        slices=(),
        near_um=low_um,
        far_um=high_um,
        minimum_overlap=protocol.minimum_overlap,
        optics=_axis_optics(protocol, rig),
        medium=protocol.optics.medium,
        closest_approach_um=high_um,
        duration_s=0.0,
        size_bytes=0,
    )


def results_bytes(rig: Rig) -> int:
    """Return the predicted bytes of a run's fused pictures, depth map and coverage map."""
    return rig.camera.image_width * rig.camera.image_height * _RESULT_BYTES_PER_PIXEL


def limits_um(protocol: Protocol, rig: Rig) -> tuple[float, float]:
    """Return the lowest and highest position that rig and protocol allow, micrometres."""
    low_um, high_um = rig.axis.allowed_um
    if protocol.closest_approach_um is not None:
        high_um = min(high_um, protocol.closest_approach_um)
    return low_um, high_um


def move_s(distance_um: float, axis: AxisSection) -> float:
    """Return the world time of a move in seconds, for a trapezoidal speed profile.

    The profile of a short move is triangular: the move does not reach full speed.
    """
    distance_um = abs(distance_um)
    speed, acceleration = axis.speed_um_s, axis.acceleration_um_s2
    if acceleration is None:
        return distance_um / speed
    if distance_um < speed**2 / acceleration:
        return 2 * math.sqrt(distance_um / acceleration)
    return distance_um / speed + speed / acceleration


def _ends_um(wanted: Range, rig: Rig) -> tuple[float, float]:
    """Return the ends of the range as axis positions."""
    far = rig.axis.far_focus
    if far is not None:
        m = far.magnification(0.0, rig.optics.pupil_ratio)
        if abs(m / rig.optics.magnification - 1) > _MAGNIFICATION_TOLERANCE:
            raise PlanError(
                f"optics.magnification: the rig says {rig.optics.magnification:g} at the lens's "
                f"nearest distance, but the focal length and nearest distance in its lens file "
                f"give {m:.4g}; correct the rig or the lens file"
            )
    if wanted.from_um is None or wanted.to_um is None:
        if far is not None and not wanted.nearest_um < far.infinity_um:
            raise PlanError(
                f"range: must begin nearer than infinity, which is at {_place(far.infinity_um)} on "
                f"this axis"
            )
        return wanted.nearest_um, wanted.farthest_um
    if far is None:
        raise PlanError(
            "range: 'from' and 'to' are distances from the lens, but this rig's axis has positions "
            "only; give 'near' and 'far' instead"
        )
    if wanted.from_um < far.nearest_um:
        raise PlanError(
            f"range: {format_length(wanted.from_um)} is nearer than the lens's nearest distance of "
            f"{format_length(far.nearest_um)}; begin the range at the nearest distance, or use a "
            f"lens that focuses nearer"
        )
    return far.position_um(wanted.from_um), far.position_um(wanted.to_um)


def _check_limits(
    near_um: float, far_um: float, low_um: float, high_um: float, travel_end_um: float
) -> None:
    if near_um < low_um:
        raise PlanError(
            f"range: the near end {_place(near_um)} is outside the axis' travel, which starts at "
            f"{_place(low_um)}; move the specimen away from the camera, or increase the positions "
            f"of the range by {format_length(low_um - near_um)}"
        )
    if far_um > high_um:
        limit = "the axis' travel, which ends" if high_um == travel_end_um else "closest_approach"
        raise PlanError(
            f"range: the far end {_place(far_um)} is {format_length(far_um - high_um)} beyond "
            f"{limit} at {_place(high_um)}; move the specimen towards the camera, or end the "
            f"range at this limit"
        )


def _axis_optics(protocol: Protocol, rig: Rig) -> AxisOptics:
    f_number, na = protocol.exposure.aperture, rig.optics.na
    if na is not None and f_number is not None:
        raise PlanError(
            f"exposure.aperture: the rig's optics have a fixed numerical aperture (na: {na:g}) and "
            f"no f-number to set; remove the aperture"
        )
    if na is None and f_number is None:
        raise PlanError(
            "exposure.aperture: is missing, so the depth of field is not known; write "
            "'aperture: f/5.6', or for an objective add its 'na' to the rig's optics"
        )
    return axis_optics(rig, f_number, protocol.optics.coc_um, protocol.optics.wavelength_um)


def _targets(
    protocol: Protocol, optics: AxisOptics, near_um: float, far_um: float
) -> Iterator[float]:
    """Yield the positions of the slices from near to far; refuse more than ``max_slices``."""
    if protocol.range.positions_um is not None:
        yield from _at_most_max_slices(iter(protocol.range.positions_um), protocol)
    elif protocol.step_um is not None:
        yield from _at_most_max_slices(_by_step(near_um, far_um, protocol.step_um), protocol)
    else:
        yield from _at_most_max_slices(_by_overlap(protocol, optics, near_um, far_um), protocol)


def _at_most_max_slices(targets_um: Iterator[float], protocol: Protocol) -> Iterator[float]:
    for index, target_um in enumerate(targets_um, 1):
        if index > protocol.max_slices:
            raise PlanError(
                f"the plan needs more than {protocol.max_slices} slices; check the units of range "
                f"and step, or raise max_slices if the plan is intended"
            )
        yield target_um


def _by_step(near_um: float, far_um: float, step_um: float) -> Iterator[float]:
    # The step is multiplied, because adding it repeatedly accumulates rounding errors, which can
    # drop or double the last slice.
    for index in count():
        if far_um - near_um - index * step_um <= step_um * _ROUNDING:
            break
        yield near_um + index * step_um
    yield far_um


def _by_overlap(
    protocol: Protocol, optics: AxisOptics, near_um: float, far_um: float
) -> Iterator[float]:
    reach = 1 - protocol.planned_overlap
    position_um = near_um
    while True:
        yield position_um
        here_um = optics.at(position_um).limiting_um
        # The overlap is relative to the mean depth of field of both slices. The depth of field of
        # the next slice is evaluated at an estimated position, which assumes equal depths of field.
        # If the depth of field increases, the estimate is too near; if it decreases, the estimate
        # is too far. In both cases the resulting step is on the safe side.
        guess_um = min(position_um + reach * here_um, far_um)
        step_um = reach * (here_um + optics.at(guess_um).limiting_um) / 2
        if far_um - position_um <= step_um * (1 + _ROUNDING):
            break
        position_um += step_um
    yield far_um


def _planned(
    targets_um: list[float], optics: AxisOptics, pixel_pitch_um: float
) -> Iterator[PlannedSlice]:
    before: Band | None = None
    for index, target_um in enumerate(targets_um, 1):
        dof, m = optics.at(target_um), optics.magnification_at(target_um)
        band = Band(target_um, dof.limiting_um)
        yield PlannedSlice(
            index=index,
            target_um=target_um,
            overlap=None if before is None else Gap(before, band).overlap,
            dof_um=dof.limiting_um,
            criterion=dof.criterion,
            magnification=m,
            effective_f_number=dof.effective_f_number,
            um_per_px=object_pixel_um(pixel_pitch_um, m) if m > 0 else None,
            scale=optics.scale(target_um, targets_um[0]),
            distances=_distances(optics.axis.far_focus, band),
        )
        before = band


def _distances(far: FarFocus | None, band: Band) -> SharpDistances | None:
    if far is None:
        return None
    ends_um = [far.distance_um(at_um) for at_um in (band.position_um, band.from_um, band.to_um)]
    return SharpDistances(*(None if math.isinf(end_um) else end_um for end_um in ends_um))


def _check_overlap(
    slices: tuple[PlannedSlice, ...], protocol: Protocol, near_um: float, far_um: float
) -> None:
    """Refuse slices that would not overlap enough even with a perfect axis."""
    bands = [Band(planned.target_um, planned.dof_um) for planned in slices]
    coverage = prove_coverage(bands, near_um, far_um, protocol.minimum_overlap)
    if coverage.proven:
        return
    worst = max(coverage.gaps, key=lambda gap: gap.distance_um / gap.dof_um)
    index = bands.index(worst.far) + 1
    largest_um = (1 - protocol.minimum_overlap) * min(band.dof_um for band in bands)
    limiting = slices[index - 1].criterion
    raise OverlapError(
        worst.distance_um,
        worst.dof_um,
        f"slices {index - 1} and {index} would be {format_length(worst.distance_um)} apart, but "
        f"the depth of field is {format_length(worst.dof_um)} ({limiting} criterion): overlap "
        f"{format_fraction(worst.overlap)}, required at least "
        f"{format_fraction(protocol.minimum_overlap)}. The largest allowed step is "
        f"{format_length(_rounded_down(largest_um))}. Write a smaller step, or 'overlap: "
        f"{format_fraction(max(protocol.planned_overlap, protocol.minimum_overlap))}' to have the "
        f"steps computed, or close the aperture.",
    )


def too_fine(
    positions_um: Sequence[float], resolution_um_at: Callable[[float], float | None]
) -> tuple[int, float, float] | None:
    """Return the first step between slices that is too small for the axis; ``None`` if none is.

    The last step of a plan is not checked, because it may be a remainder.

    Returns
    -------
    tuple or None
        Index of the slice before the step, from 0; the step; and the axis's smallest step at this
        slice. Both steps are in micrometres.
    """
    for index, (before_um, after_um) in enumerate(pairwise(positions_um[:-1])):
        resolution_um = resolution_um_at(before_um) or 0.0
        if after_um - before_um < resolution_um * (1 - _ROUNDING):
            return index, after_um - before_um, resolution_um
    return None


def _check_resolution(targets_um: list[float], protocol: Protocol, optics: AxisOptics) -> None:
    """Refuse steps too small for the axis, which would shoot two slices at one position."""
    found = too_fine(targets_um, optics.axis.resolution_um_at)
    if found is None:
        return
    index, step_um, resolution_um = found
    largest_um = (1 - protocol.minimum_overlap) * optics.at(targets_um[index]).limiting_um
    key = "step" if protocol.step_um is not None else "overlap"
    if protocol.range.positions_um is not None:
        key = "range"
    coarser = f"plan steps of {format_length(resolution_um)} or more"
    if resolution_um > largest_um:
        coarser = (
            f"close the aperture (a minimum overlap of "
            f"{format_fraction(protocol.minimum_overlap)} allows steps of at most "
            f"{format_length(_rounded_down(largest_um))}, which this axis cannot make)"
        )
    raise PlanError(
        f"{key}: slices {index + 1} and {index + 2} would be {format_length(step_um)} apart, but "
        f"the smallest step of this axis is {format_length(resolution_um)}; "
        f"{optics.axis.finer_steps}; or {coarser}"
    )


def _rounded_down(length_um: float) -> float:
    """Return a length rounded down to four digits, so that the limit is not exceeded."""
    unit_um = 10.0 ** (math.floor(math.log10(length_um)) - 3)
    return math.floor(length_um / unit_um * (1 + _ROUNDING)) * unit_um


def _duration_s(targets_um: list[float], protocol: Protocol, rig: Rig) -> float:
    """Return the time from the first move to the last frame on disk.

    With a rail, frames are downloaded while the axis moves.
    """
    axis, download_s = rig.axis, rig.camera.download_s
    position_um = axis.travel.from_um
    total_s = 0.0
    exposures_s = protocol.exposure.exposures_s
    # In a bracket, each frame except the last is downloaded before the next exposure.
    shooting_s = sum(exposures_s) + (len(exposures_s) - 1) * download_s
    for index, target_um in enumerate(targets_um):
        ready_s = move_s(target_um - position_um, axis) + protocol.settle_s(axis.settle_s)
        if index > 0:
            download_wait_s = download_s
            ready_s = (
                ready_s + download_wait_s if axis.shares_camera else max(ready_s, download_wait_s)
            )
            ready_s = max(ready_s, rig.camera.flash_recycle_s)
        total_s += ready_s + shooting_s
        position_um = target_um
    return total_s + download_s


def _files_of_a_slice(protocol: Protocol) -> int:
    exposures = len(protocol.exposure.exposures_s)
    return exposures if exposures == 1 else exposures + 1  # plus the merged frame


def _place(position_um: float) -> str:
    return format_length(position_um, digits=6)
