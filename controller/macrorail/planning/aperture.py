"""Compares apertures: slices, time and detail of each full stop, and which one to use."""

from __future__ import annotations

from dataclasses import dataclass

from macrorail.config.protocol import Protocol
from macrorail.config.rig import Rig
from macrorail.errors import PlanError
from macrorail.optics.dof import PIXELS_PER_COC, effective_f_number
from macrorail.planning.plan import make_plan
from macrorail.quantity import format_length

STOPS = (1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 11.0, 16.0, 22.0)
"""Full stops as lenses mark them."""

WIDEST, SMALLEST = 2.8, 16.0
"""The stops compared when nothing is known of the lens."""

_AIRY = 2.44


@dataclass(frozen=True)
class ApertureCost:
    """What a stack takes at one aperture.

    Attributes
    ----------
    f_number, effective_f_number
        As marked, and as the sensor sees it at the near end.
    airy_px
        Diameter of the Airy disc on the sensor, in pixels: ``2.44 lambda Neff``.
    detail_um
        Finest detail on the specimen: two pixels or half the Airy disc, whichever is coarser.
    dof_um
        Limiting depth of field at the near end.
    slices, duration_s, size_bytes
        Of the whole stack; ``None`` where no plan is possible.
    refusal
        Why no plan is possible; empty when there is one.
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
        """Whether diffraction leaves all the detail that the sensor can resolve.

        Half the Airy disc (the Rayleigh criterion) must stay within the two pixels of the finest
        detail. The protocol's circle of confusion does not count here: it is the blur accepted at
        the edges of a slice's depth of field, whereas diffraction blurs the plane in focus too.
        """
        return self.airy_px / 2 <= PIXELS_PER_COC


@dataclass(frozen=True)
class ApertureAdvice:
    """All apertures, and the recommended one.

    Attributes
    ----------
    costs
        From open to closed.
    best
        The recommended one.
    reason
        Why, and whether the photographers' rule (the middle of the lens's range) agrees.
    """

    costs: tuple[ApertureCost, ...]
    best: ApertureCost
    reason: str


def compare_apertures(
    protocol: Protocol, rig: Rig, widest: float = WIDEST, smallest: float = SMALLEST
) -> ApertureAdvice:
    """Compare the full stops from ``widest`` to ``smallest`` and recommend one.

    The recommended one needs the fewest slices among those that are sharp (see
    `ApertureCost.sharp`). The widest stop is not recommended when there is another, because
    lenses are softest wide open.

    Raises
    ------
    PlanError
        An objective without an aperture to choose, a list of positions, or no stop that works.
    """
    if rig.optics.na is not None:
        raise PlanError("an objective's aperture is fixed by its NA; there is nothing to choose")
    if protocol.range.search is not None:
        raise PlanError("the range is searched for; give near and far to compare stops")
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
    """Compare the protocol's own aperture with the recommended one, in one or two sentences.

    Empty when the protocol sets no aperture.
    """
    if protocol.exposure.aperture is None:
        return ""
    chosen, best = _cost(protocol, rig, protocol.exposure.aperture), advice.best
    if not best.sharp:
        return advice.reason
    if not chosen.sharp:
        return (
            f"Diffraction costs detail at f/{chosen.f_number:g}: the Airy disc spans "
            f"{chosen.airy_px:.2g} pixels, and up to {2 * PIXELS_PER_COC:g} cost nothing. "
            f"Recommended: f/{best.f_number:g}."
        )
    if chosen.f_number < best.f_number:
        return (
            f"f/{best.f_number:g} needs fewer slices ({best.slices}) than "
            f"f/{chosen.f_number:g} and loses no detail."
        )
    return (
        f"f/{chosen.f_number:g} is a good choice: closed further, diffraction would cost detail; "
        f"opened wider, more slices would be needed."
    )


def _cost(protocol: Protocol, rig: Rig, stop: float) -> ApertureCost:
    m = rig.optics.magnification
    effective = stop
    if rig.optics.f_number_is == "marked":
        effective = effective_f_number(stop, m, rig.optics.pupil_ratio)
    airy_px = _AIRY * protocol.optics.wavelength_um * effective / rig.camera.pixel_pitch_um
    detail_um = max(PIXELS_PER_COC, airy_px / 2) * rig.camera.pixel_pitch_um / m
    exposure = protocol.exposure.model_copy(update={"aperture": stop})
    # Each stop with the steps that its own depth of field allows.
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
            f"every stop from here on is limited by diffraction (at f/{best.f_number:g} the Airy "
            f"disc spans {best.airy_px:.2g} pixels): f/{best.f_number:g} keeps the finest detail, "
            f"{format_length(best.detail_um)}, without being wide open."
        )
    if best.f_number == middle:
        return f"{why} The rule of thumb, the middle of the lens's range, says the same."
    towards = "more open" if best.f_number < middle else "further closed"
    return (
        f"{why} The rule of thumb, the middle of the lens's range, says f/{middle:g}; at this "
        f"magnification the numbers say {towards}. If your lens is visibly soft there, trust a "
        f"test picture."
    )
