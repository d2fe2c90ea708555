"""Compares the number of slices, time and detail of each full stop, and recommends an aperture."""

from __future__ import annotations

from dataclasses import dataclass

from macrorail.config.protocol import Protocol
from macrorail.config.rig import Rig
from macrorail.errors import PlanError
from macrorail.optics.dof import PIXELS_PER_COC, effective_f_number
from macrorail.planning.plan import make_plan
from macrorail.quantity import format_length

STOPS = (1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 11.0, 16.0, 22.0)
"""Full stops as marked on lenses."""

WIDEST, SMALLEST = 2.8, 16.0
"""Widest and smallest stop compared when the lens's own range is not known."""

_AIRY = 2.44


@dataclass(frozen=True)
class ApertureCost:
    """The cost of a stack at one aperture: slices, time, disk space and detail.

    Attributes
    ----------
    f_number, effective_f_number
        Marked f-number, and working f-number at the sensor for the near end of the range.
    airy_px
        Diameter of the Airy disc on the sensor, in pixels: ``2.44 lambda Neff``.
    detail_um
        Finest detail on the specimen: two pixels or half the Airy disc, whichever is larger.
    dof_um
        Limiting depth of field at the near end.
    slices, duration_s, size_bytes
        Number of slices, duration and disk space of the stack; ``None`` if no plan is possible.
    refusal
        Why no plan is possible; empty if a plan is possible.
    """

    f_number: float
    effective_f_number: float
    airy_px: float
    detail_um: float
    dof_um: float | None
    slices: int | None
    duration_s: float | None
    size_bytes: int | None
    refusal: str = ""

    @property
    def sharp(self) -> bool:
        """Whether diffraction preserves all the detail that the sensor can resolve.

        Half the Airy disc (the Rayleigh criterion) must not exceed two pixels, the finest detail
        of the sensor. The protocol's circle of confusion is not used here. It limits the blur at
        the edges of a slice's depth of field, whereas diffraction also blurs the plane in focus.
        """
        return self.airy_px / 2 <= PIXELS_PER_COC


@dataclass(frozen=True)
class ApertureAdvice:
    """The costs of all apertures, and the recommended aperture.

    Attributes
    ----------
    costs
        Cost of each aperture, from open to closed.
    best
        Cost of the recommended aperture.
    reason
        Reason for the recommendation, and whether it agrees with the photographers' rule to use the
        middle of the lens's range.
    """

    costs: tuple[ApertureCost, ...]
    best: ApertureCost
    reason: str


def compare_apertures(
    protocol: Protocol, rig: Rig, widest: float = WIDEST, smallest: float = SMALLEST
) -> ApertureAdvice:
    """Compare the full stops from ``widest`` to ``smallest`` and return a recommendation.

    The recommended stop needs the fewest slices among the stops that are sharp (see
    `ApertureCost.sharp`). The widest possible stop is recommended only if it is the only one,
    because lenses are softest wide open.

    Raises
    ------
    PlanError
        The rig has an objective with a fixed aperture, the protocol lists positions or searches
        for its range, or no stop gives a plan.
    """
    if rig.optics.na is not None:
        raise PlanError("an objective's NA fixes its aperture, so there are no stops to compare")
    if protocol.range.search is not None:
        raise PlanError("the run searches for its range; give near and far to compare stops")
    if protocol.range.positions_um is not None:
        raise PlanError("'range: positions' fixes the slices; give near and far to compare stops")
    stops = [stop for stop in STOPS if widest * 0.99 <= stop <= smallest * 1.01]
    costs = tuple(_cost(protocol, rig, stop) for stop in stops)
    possible = [cost for cost in costs if not cost.refusal]
    if not possible:
        raise PlanError(
            f"no stop from f/{widest:g} to f/{smallest:g} gives a plan"
            + (f": {costs[0].refusal}" if costs else "; full stops are f/1.4, f/2, f/2.8 ...")
        )
    stopped_down = possible[1:] if len(possible) > 1 and possible[0] is costs[0] else possible
    sharp = [cost for cost in stopped_down if cost.sharp]
    best = sharp[-1] if sharp else stopped_down[0]
    return ApertureAdvice(costs, best, _reason(best, bool(sharp), stops))


def compare_with_best(advice: ApertureAdvice, protocol: Protocol, rig: Rig) -> str:
    """Return one or two sentences that compare the protocol's aperture with the recommendation.

    The text is empty if the protocol sets no aperture.
    """
    if protocol.exposure.aperture is None:
        return ""
    chosen, best = _cost(protocol, rig, protocol.exposure.aperture), advice.best
    if not best.sharp:
        return advice.reason
    if not chosen.sharp:
        return (
            f"Diffraction costs detail at f/{chosen.f_number:g}: the Airy disc spans "
            f"{chosen.airy_px:.2g} pixels; no detail is lost up to {2 * PIXELS_PER_COC:g} pixels. "
            f"Recommended: f/{best.f_number:g}."
        )
    if chosen.f_number < best.f_number:
        return (
            f"f/{best.f_number:g} needs fewer slices ({best.slices}) than "
            f"f/{chosen.f_number:g} and loses no detail."
        )
    return (
        f"f/{chosen.f_number:g} is a good choice: a smaller aperture would lose detail to "
        f"diffraction, and a wider one would need more slices."
    )


def _cost(protocol: Protocol, rig: Rig, stop: float) -> ApertureCost:
    m = rig.optics.magnification
    effective = stop
    if rig.optics.f_number_is == "marked":
        effective = effective_f_number(stop, m, rig.optics.pupil_ratio)
    airy_px = _AIRY * protocol.optics.wavelength_um * effective / rig.camera.pixel_pitch_um
    detail_um = max(PIXELS_PER_COC, airy_px / 2) * rig.camera.pixel_pitch_um / m
    exposure = protocol.exposure.model_copy(update={"aperture": stop})
    # Plan each stop with the steps that the depth of field at this stop allows.
    wanted = protocol.model_copy(update={"exposure": exposure, "step_um": None})
    try:
        plan = make_plan(wanted, rig)
    except PlanError as error:
        return ApertureCost(stop, effective, airy_px, detail_um, None, None, None, None, str(error))
    return ApertureCost(
        f_number=stop,
        effective_f_number=effective,
        airy_px=airy_px,
        detail_um=detail_um,
        dof_um=plan.slices[0].dof_um,
        slices=len(plan.slices),
        duration_s=plan.duration_s,
        size_bytes=plan.size_bytes,
    )


def _reason(best: ApertureCost, sharp: bool, stops: list[float]) -> str:
    middle = stops[len(stops) // 2]
    if sharp:
        why = (
            f"f/{best.f_number:g} needs the fewest slices ({best.slices}) before diffraction costs "
            f"detail: its Airy disc spans {best.airy_px:.2g} pixels, and detail of "
            f"{format_length(best.detail_um)} is kept."
        )
    else:
        why = (
            f"every stop from f/{best.f_number:g} on is limited by diffraction (at "
            f"f/{best.f_number:g} the Airy disc spans {best.airy_px:.2g} pixels): "
            f"f/{best.f_number:g} keeps the finest detail, {format_length(best.detail_um)}, "
            f"without being wide open."
        )
    if best.f_number == middle:
        return f"{why} The rule of thumb, the middle of the lens's range, says the same."
    towards = "wider" if best.f_number < middle else "smaller"
    return (
        f"{why} The rule of thumb, the middle of the lens's range, gives f/{middle:g}; at this "
        f"magnification a {towards} aperture is better. If a test picture at "
        f"f/{best.f_number:g} is visibly soft, trust the test picture."
    )
