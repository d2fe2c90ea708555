"""What all frames of a run together prove: where slices were, what is missing, what is covered.

From the curves of all textured tiles follow the true places of the slices; from those the gaps.
Tiles that were still getting sharper at the first or last slice say that the specimen goes on
there. How fast sharpness falls off is held against the optics that the rig claims.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from macrorail.optics.overlap import Band, Coverage, missing_positions, prove_coverage
from macrorail.proof.claimed import measured_dof
from macrorail.proof.curves import Curves, sample
from macrorail.proof.depths import DepthScale
from macrorail.proof.judge import Look
from macrorail.proof.measure import Floats
from macrorail.proof.positions import Departure, locate
from macrorail.proof.settings import ProofSettings
from macrorail.proof.tiles import Table, tabulate

COVERED, UNCOVERED, NOT_PROVABLE = 1, 2, 0

_LEAST_SLICES = 4
_LEAST_TILES = 8
_RISING_PER_DOF = 0.3
_BEYOND = 0.5
# Somewhat before the last band ends: a slice too many is cheaper than a blurred rim.
_PAST_END = 0.35
_END_TILES = 3
_END_SHARE = 0.005
# An end that was followed beyond the range is followed until not even one tile gets sharper.
_PAST_FOLLOWED = 0.0
# Slices nearer to each other than this, in depths of field, differ by little more than noise.
_APART = 0.4
# A margin is as wide as the overlap that must be proven allows, but for the axis's errors.
_WIDELY = 0.97
# A shorter step, in depths of field, is no slice of its own.
_WORTH_A_SLICE = 0.1
# The last slice of a range that was followed stands at least this far beyond it.
_FOLLOWED = 0.25
_AT_ONCE = 3
# Peaks outside are guessed from one flank; what is nearer first, then look again.
_MODEST = 0.25
# What is left unknown of lost steps, in depths of field.
_DOUBT = 0.3


@dataclass(frozen=True)
class Findings:
    """What is proven, and what is still to be shot.

    Attributes
    ----------
    provable
        False with too few slices or too little texture; then nothing below means anything.
    positions_um
        True position of each slice, by slice number.
    shortfalls
        Moves that fell short: ``slice``, ``slices`` off because of it (``None``: all later ones)
        and ``size_um``.
    lost_um
        By how much the axis stands off its own account now, after all lost steps.
    coverage
        Of the true positions.
    near_tiles, far_tiles
        How many tiles were still getting sharper at each end; none at an end that is meant, nor
        at infinity.
    state
        (tiles,) COVERED, UNCOVERED or NOT_PROVABLE. None is UNCOVERED in a proven run.
    gaps
        ``near_um``, ``far_um`` and the ``tiles`` whose sharpest plane lies there.
    missing_um
        Where to send the axis for what is missing, its lost steps allowed for.
    margins_um
        The same for one slice more at the near and the far end, if that was followed beyond the
        range; ``None`` where it was not, or where the axis may not go.
    why
        In words, for the journal.
    dof
        ``ratio`` of measured to computed, and ``warning``; ``None`` without enough tiles.
    """

    provable: bool
    positions_um: dict[int, float]
    shortfalls: list[dict[str, Any]]
    lost_um: float
    coverage: Coverage | None
    near_tiles: int
    far_tiles: int
    state: NDArray[np.int8]
    peak_um: Floats
    gaps: list[dict[str, Any]]
    missing_um: list[float]
    margins_um: tuple[float | None, float | None]
    why: str
    dof: dict[str, Any] | None


def find(looks: Sequence[Look], settings: ProofSettings) -> Findings:
    """Judge the whole run from its accepted frames.

    Parameters
    ----------
    looks
        In the order of time.
    """
    good = [look for look in looks if not _blinded(look)]
    told_um = np.array([look.position_um for look in good])
    if len(np.unique(told_um)) < _LEAST_SLICES:
        return _nothing(looks)
    table = tabulate(good)
    if len(table.level) < _LEAST_TILES:
        return _nothing(looks)
    dof_um = np.array([look.dof_um for look in good])
    scale = DepthScale(told_um, dof_um)
    told = scale.to_dof(told_um)
    samples = sample(table.level, table.weight, told)
    located = locate(samples, told)
    true_um = scale.to_um(located.u)
    peak_um = scale.to_um(located.curves.peak)
    lost = any(departure.slices is None for departure in located.departures)
    doubt_um = _DOUBT * float(dof_um.mean()) if lost else 0.0
    followed = (
        bool(true_um.min() < settings.near_um - _FOLLOWED * dof_um.mean()),
        bool(true_um.max() > settings.far_um + doubt_um + _FOLLOWED * dof_um.mean()),
    )
    near, far = _rising(located.curves, located.u, table, followed)
    if settings.extend_um <= 0:
        near, far = np.zeros_like(near), np.zeros_like(far)
    # What gets sharper up to infinity is sharp there.
    at_infinity = far & (settings.far_um >= settings.nothing_beyond_um)
    far &= ~at_infinity
    coverage = _coverage(true_um, dof_um, doubt_um, settings)
    state, gaps = _covered(peak_um, true_um, dof_um, coverage, table)
    tile_numbers = np.flatnonzero(table.textured)
    state[tile_numbers[near | far]] = UNCOVERED
    state[tile_numbers[at_infinity]] = COVERED
    lost_um = _lost(located.departures, dof_um)
    wanted = missing_positions(coverage)
    if coverage.near_covered and coverage.far_covered:
        # One at a time while the axis's own account is in doubt; else a few, then look again.
        at_once = 1 if located.departures else _AT_ONCE
        wanted += _extensions(peak_um, near, far, true_um, dof_um, at_once, settings)
    low_um, high_um = settings.lowest_um, settings.highest_um
    missing_um = [um - lost_um for um in sorted(wanted) if low_um <= um - lost_um <= high_um]
    reasons = []
    if coverage.gaps:
        reasons.append(f"{len(coverage.gaps)} gap(s) between the slices' true places")
    if not coverage.far_covered or not coverage.near_covered:
        reasons.append("an end of the range was not reached")
    if near.any():
        reasons.append(f"{near.sum()} tiles still get sharper at the near end")
    if far.any():
        reasons.append(f"{far.sum()} tiles still get sharper at the far end")
    return Findings(
        provable=True,
        positions_um={look.slice: float(um) for look, um in zip(good, true_um, strict=True)},
        shortfalls=[
            {
                "slice": good[departure.index].slice,
                "slices": departure.slices,
                "size_um": departure.size * float(dof_um[departure.index]),
            }
            for departure in located.departures
        ],
        lost_um=lost_um,
        coverage=coverage,
        near_tiles=int(near.sum()),
        far_tiles=int(far.sum()),
        state=state,
        peak_um=_spread(peak_um, table.textured),
        gaps=gaps,
        missing_um=missing_um,
        margins_um=_margins(true_um, dof_um, lost_um, followed, settings),
        why=", ".join(reasons),
        dof=measured_dof(located.curves, located.u, good, table, settings.optics),
    )


def _blinded(look: Look) -> bool:
    return any(fault.kind in ("blur", "exposure", "shift") for fault in look.faults)


def _nothing(looks: Sequence[Look]) -> Findings:
    tiles = looks[0].seen.rows * looks[0].seen.columns if looks else 0
    return Findings(
        provable=False,
        positions_um={},
        shortfalls=[],
        lost_um=0.0,
        coverage=None,
        near_tiles=0,
        far_tiles=0,
        state=np.full(tiles, NOT_PROVABLE, np.int8),
        peak_um=np.full(tiles, np.nan),
        gaps=[],
        missing_um=[],
        margins_um=(None, None),
        why="",
        dof=None,
    )


def _coverage(
    true_um: Floats, dof_um: Floats, doubt_um: float, settings: ProofSettings
) -> Coverage:
    """Overlap of the true places, over the range and whatever was shot beyond it."""
    bands = [Band(float(p), float(d)) for p, d in zip(true_um, dof_um, strict=True)]
    near_um = min(settings.near_um, float(true_um.min()))
    far_um = max(settings.far_um + doubt_um, float(true_um.max()))
    return prove_coverage(bands, near_um, far_um, settings.minimum_overlap)


def _rising(
    curves: Curves, u: Floats, table: Table, followed: tuple[bool, bool]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tiles whose sharpest plane lies beyond the first or the last slice.

    Parameters
    ----------
    followed
        Whether the near and the far end lie beyond the range already.
    """
    near = _rising_outwards(curves.peak, u, table, -1, followed[0])
    far = _rising_outwards(curves.peak, u, table, 1, followed[1])
    return near, far


def _rising_outwards(
    peak: Floats, u: Floats, table: Table, outwards: int, followed: bool
) -> NDArray[np.bool_]:
    away = outwards * u
    end = int(away.argmax())
    apart = np.flatnonzero(away <= away[end] - _APART)
    inner = int(apart[away[apart].argmax()])
    # In both fine octaves and steeply: a far-off background gets sharper as well, but slowly.
    fine, seen = table.level[:, :, :2], table.weight[:, :, :2]
    both = (seen[:, end] > 0) & (seen[:, inner] > 0)
    steeply = _RISING_PER_DOF * abs(u[end] - u[inner])
    up = (both & (fine[:, end] > fine[:, inner] + steeply)).all(axis=1)
    past = _PAST_FOLLOWED if followed else _PAST_END
    rising = np.asarray(up & (outwards * peak > away[end] + past), np.bool_)
    enough = 1 if followed else max(_END_TILES, round(_END_SHARE * len(peak)))
    return rising if rising.sum() >= enough else np.zeros_like(rising)


def _extensions(
    peak_um: Floats,
    near: NDArray[np.bool_],
    far: NDArray[np.bool_],
    true_um: Floats,
    dof_um: Floats,
    at_once: int,
    settings: ProofSettings,
) -> list[float]:
    """The next slices beyond each end that is not covered; a few at once, then look again."""
    positions: list[float] = []
    for rising, end, outwards in ((near, true_um.argmin(), -1), (far, true_um.argmax(), 1)):
        if not rising.any():
            continue
        step_um = (1 - settings.planned_overlap) * dof_um[end]
        reach_um = float(np.quantile(outwards * (peak_um[rising] - true_um[end]), _MODEST))
        count = int(np.clip(round(reach_um / step_um), 1, at_once))
        positions += [float(true_um[end] + outwards * step_um * k) for k in range(1, count + 1)]
    low_um, high_um = settings.near_um - settings.extend_um, settings.far_um + settings.extend_um
    return [um for um in positions if low_um <= um <= high_um]


def _margins(
    true_um: Floats,
    dof_um: Floats,
    lost_um: float,
    followed: tuple[bool, bool],
    settings: ProofSettings,
) -> tuple[float | None, float | None]:
    step_um = _WIDELY * (1 - settings.minimum_overlap) * dof_um
    near, far = int(true_um.argmin()), int(true_um.argmax())
    near_um = float(true_um[near] - step_um[near])
    far_um = float(true_um[far] + step_um[far])
    # Where the whole step may not be gone, what is left of the way is.
    near_um = max(near_um, settings.near_um - settings.extend_um, settings.lowest_um + lost_um)
    far_um = min(far_um, settings.far_um + settings.extend_um, settings.highest_um + lost_um)
    least_um = _WORTH_A_SLICE * dof_um
    return (
        near_um - lost_um if followed[0] and near_um < true_um[near] - least_um[near] else None,
        far_um - lost_um if followed[1] and far_um > true_um[far] + least_um[far] else None,
    )


def _covered(
    peak_um: Floats, true_um: Floats, dof_um: Floats, coverage: Coverage, table: Table
) -> tuple[NDArray[np.int8], list[dict[str, Any]]]:
    """Each tile's state by its peak. One beyond the outermost slices is guessed from one flank
    only and proves nothing, neither way: whether the specimen goes on there is ``_rising``'s."""
    away = np.abs(peak_um[:, None] - true_um[None, :]) / dof_um[None, :]
    between = (peak_um > true_um.min()) & (peak_um < true_um.max())
    tile_numbers = np.flatnonzero(table.textured)
    state = np.full(len(table.textured), NOT_PROVABLE, np.int8)
    state[tile_numbers[between]] = UNCOVERED
    state[tile_numbers[away.min(axis=1) <= _BEYOND]] = COVERED
    gaps = []
    for gap in coverage.gaps:
        inside = (peak_um > gap.near.position_um) & (peak_um < gap.far.position_um)
        gaps.append(
            {
                "near_um": gap.near.to_um,
                "far_um": gap.far.from_um,
                "tiles": [int(tile) for tile in tile_numbers[inside]],
            }
        )
    return state, gaps


def _lost(departures: Sequence[Departure], dof_um: Floats) -> float:
    """By how much the axis stands off its own account now, after all lost steps."""
    return float(sum(d.size * dof_um[d.index] for d in departures if d.slices is None))


def _spread(peak_um: Floats, textured: NDArray[np.bool_]) -> Floats:
    everywhere = np.full(len(textured), np.nan)
    everywhere[textured] = peak_um
    return everywhere
