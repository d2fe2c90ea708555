"""Analyses all frames of a run together: true positions, gaps, covered tiles, missing slices.

The sharpness curves of all textured tiles give the true positions of the slices. The gaps follow
from the true positions. Tiles that still get sharper at the first or last slice show that the
specimen extends beyond that slice. The fall-off of sharpness is compared with the optics that the
rig file states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from macrorail.optics.overlap import Band, Coverage, missing_positions, prove_coverage
from macrorail.proof.curves import Curves, sample
from macrorail.proof.dof_check import check_dof
from macrorail.proof.dof_scale import DofScale
from macrorail.proof.frame_checker import MeasuredFrame
from macrorail.proof.measure import Floats
from macrorail.proof.positions import ShortMove, locate
from macrorail.proof.settings import ProofSettings
from macrorail.proof.tiles import SharpnessTable, tabulate_sharpness

COVERED, UNCOVERED, NOT_PROVABLE = 1, 2, 0

_FEWEST_SLICES = 4
_LEAST_TILES = 8
_RISING_PER_DOF = 0.3
_HALF_DOF = 0.5
# Slightly inside the last band: one slice too many is cheaper than a blurred edge.
_PAST_END = 0.35
_END_TILES = 3
_END_SHARE = 0.005
# Once an end has been extended, slices are added there until no tile gets sharper any more.
_PAST_EXTENDED = 0.0
# Two slices closer together than this (depths of field) differ by little more than noise.
_SMALLEST_DISTANCE = 0.4
# Step from the outermost slice to a margin slice: the largest step that minimum_overlap allows,
# less the positioning errors of the axis.
_MARGIN_STEP = 0.97
# Shortest step, in depths of field, that is worth a slice.
_SHORTEST_STEP = 0.1
# A range counts as extended when a slice lies at least this far beyond it (depths of field).
_EXTENDED_BY = 0.25
_MOST_AT_ONCE = 3
# Peaks outside the range are extrapolated from one flank, so the nearer slices are added first.
_CAUTIOUS_QUANTILE = 0.25
# Remaining uncertainty after lost steps, in depths of field.
_UNCERTAINTY = 0.3


@dataclass(frozen=True)
class CoverageAnalysis:
    """Result of the analysis: which parts of the specimen are proven sharp and what is missing.

    Attributes
    ----------
    provable
        False when there are too few slices, too little texture or too many irregular moves; then
        no other attribute proves anything.
    positions_um
        True position of each slice, by slice number.
    shortfalls
        Moves that fell short. Each has the ``slice`` at its end, the number of ``slices`` that it
        displaced (``None``: this slice and all later ones) and its ``size_um``.
    lost_um
        Distance between the axis's reported and true position now, after all lost steps.
    coverage
        Coverage of the range computed from the true positions.
    near_tiles, far_tiles
        Number of tiles that still get sharper at each end. 0 at infinity, and at an end where the
        range must not be extended.
    state
        (tiles,) COVERED, UNCOVERED or NOT_PROVABLE. In a proven run no tile is UNCOVERED.
    gaps
        Gaps between slices: ``near_um``, ``far_um`` and the number of ``tiles`` whose sharpest
        plane is in the gap.
    missing_um
        Reported positions at which slices must be added, corrected for lost steps.
    margins_um
        Position of one additional slice at the near and the far end. ``None`` for an end that was
        not extended, or where the axis may not go.
    why
        Reasons for the missing slices as text, for the journal.
    dof
        ``ratio`` of measured to computed depth of field, and ``warning``; ``None`` when there are
        too few tiles.
    measured_coverage
        Coverage computed with the measured depth of field, if the measured one is clearly smaller
        than the computed one; otherwise ``None``.
    not_provable_because
        Reason why nothing is provable; not set if there are too few slices or too little texture.
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
    measured_coverage: Coverage | None = None
    not_provable_because: str = ""


def analyse_coverage(frames: Sequence[MeasuredFrame], settings: ProofSettings) -> CoverageAnalysis:
    """Analyse the accepted frames of a run and return what is proven and what is missing.

    Parameters
    ----------
    frames
        Accepted frames in the order of shooting.
    """
    good = [frame for frame in frames if not _unusable(frame)]
    reported_um = np.array([frame.position_um for frame in good])
    if len(np.unique(reported_um)) < _FEWEST_SLICES:
        return _not_provable(frames)
    table = tabulate_sharpness(good)
    if len(table.level) < _LEAST_TILES:
        return _not_provable(frames)
    dof_um = np.array([frame.dof_um for frame in good])
    scale = DofScale(reported_um, dof_um)
    reported = scale.to_dof(reported_um)
    samples = sample(table.level, table.weight, reported)
    located = locate(samples, reported)
    true_um = scale.to_um(located.u)
    peak_um = scale.to_um(located.curves.peak)
    lost = any(short_move.slices is None for short_move in located.short_moves)
    uncertainty_um = _UNCERTAINTY * float(dof_um.mean()) if lost else 0.0
    extended = (
        bool(true_um.min() < settings.near_um - _EXTENDED_BY * dof_um.mean()),
        bool(true_um.max() > settings.far_um + uncertainty_um + _EXTENDED_BY * dof_um.mean()),
    )
    near, far = _rising(located.curves, located.u, table, extended)
    if settings.extend_um <= 0:
        near, far = np.zeros_like(near), np.zeros_like(far)
    # Tiles that get sharper all the way to infinity are sharp at infinity.
    at_infinity = far & (settings.far_um >= settings.nothing_beyond_um)
    far &= ~at_infinity
    coverage = _coverage(true_um, dof_um, uncertainty_um, settings)
    state, gaps = _covered(peak_um, true_um, dof_um, coverage, table)
    tile_numbers = np.flatnonzero(table.textured)
    state[tile_numbers[near | far]] = UNCOVERED
    state[tile_numbers[at_infinity]] = COVERED
    lost_um = _lost(located.short_moves, dof_um)
    wanted = missing_positions(coverage, settings.resolution_um)
    if coverage.near_covered and coverage.far_covered:
        # Add one slice at a time while the position of the axis is in doubt, otherwise several at
        # once.
        at_once = 1 if located.short_moves else _MOST_AT_ONCE
        wanted += _extensions(peak_um, near, far, true_um, dof_um, at_once, settings)
    low_um, high_um = settings.lowest_um, settings.highest_um
    missing_um = [um - lost_um for um in sorted(wanted) if low_um <= um - lost_um <= high_um]
    reasons = []
    if coverage.gaps:
        reasons.append(f"{len(coverage.gaps)} gap(s) between the true positions of the slices")
    if not coverage.far_covered or not coverage.near_covered:
        reasons.append("an end of the range was not reached")
    if near.any():
        reasons.append(f"{near.sum()} tiles still get sharper at the near end")
    if far.any():
        reasons.append(f"{far.sum()} tiles still get sharper at the far end")
    dof = check_dof(located.curves, located.u, good, table, settings.optics)
    measured_coverage = None
    if dof is not None and dof["warning"] and dof["ratio"] < 1:
        measured_um = dof["ratio"] * dof_um
        measured_coverage = _coverage(true_um, measured_um, uncertainty_um, settings)
    analysis = CoverageAnalysis(
        provable=True,
        positions_um={frame.slice: float(um) for frame, um in zip(good, true_um, strict=True)},
        shortfalls=[
            {
                "slice": good[short_move.index].slice,
                "slices": short_move.slices,
                "size_um": short_move.size * float(dof_um[short_move.index]),
            }
            for short_move in located.short_moves
        ],
        lost_um=lost_um,
        coverage=coverage,
        near_tiles=int(near.sum()),
        far_tiles=int(far.sum()),
        state=state,
        peak_um=_in_all_tiles(peak_um, table.textured),
        gaps=gaps,
        missing_um=missing_um,
        margins_um=_margins(true_um, dof_um, lost_um, extended, settings),
        why=", ".join(reasons),
        dof=dof,
        measured_coverage=measured_coverage,
    )
    return analysis if located.explained else _unexplained(analysis, len(good))


def _unusable(frame: MeasuredFrame) -> bool:
    return any(fault.kind in ("blur", "exposure", "shift") for fault in frame.faults)


def _unexplained(analysis: CoverageAnalysis, slices: int) -> CoverageAnalysis:
    """Return the best analysis found, marked as not provable and without missing slices."""
    return replace(
        analysis,
        provable=False,
        missing_um=[],
        margins_um=(None, None),
        lost_um=0.0,
        not_provable_because=(
            f"too many irregular moves to explain: the images of {slices} slices fit "
            f"{len(analysis.shortfalls)} moves that fell short and not all is explained. Check "
            f"the axis's coupling, motor current and play, and that nothing moved the specimen"
        ),
    )


def _not_provable(frames: Sequence[MeasuredFrame]) -> CoverageAnalysis:
    tiles = frames[0].measurement.rows * frames[0].measurement.columns if frames else 0
    return CoverageAnalysis(
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
    true_um: Floats, dof_um: Floats, uncertainty_um: float, settings: ProofSettings
) -> Coverage:
    """Return the coverage of the range and of all slices beyond it, from the true positions."""
    bands = [Band(float(p), float(d)) for p, d in zip(true_um, dof_um, strict=True)]
    near_um = min(settings.near_um, float(true_um.min()))
    far_um = max(settings.far_um + uncertainty_um, float(true_um.max()))
    return prove_coverage(bands, near_um, far_um, settings.minimum_overlap)


def _rising(
    curves: Curves, u: Floats, table: SharpnessTable, extended: tuple[bool, bool]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which tiles have their sharpest plane in front of the first or behind the last slice.

    Parameters
    ----------
    extended
        Whether the near and the far end have been extended already.
    """
    near = _rising_outwards(curves.peak, u, table, -1, extended[0])
    far = _rising_outwards(curves.peak, u, table, 1, extended[1])
    return near, far


def _rising_outwards(
    peak: Floats, u: Floats, table: SharpnessTable, outwards: int, extended: bool
) -> NDArray[np.bool_]:
    away = outwards * u
    end = int(away.argmax())
    apart = np.flatnonzero(away <= away[end] - _SMALLEST_DISTANCE)
    inner = int(apart[away[apart].argmax()])
    # The tile must get sharper in both fine octaves, and steeply: a distant background gets sharper
    # too, but slowly.
    fine, visible = table.level[:, :, :2], table.weight[:, :, :2]
    both = (visible[:, end] > 0) & (visible[:, inner] > 0)
    steeply = _RISING_PER_DOF * abs(u[end] - u[inner])
    up = (both & (fine[:, end] > fine[:, inner] + steeply)).all(axis=1)
    past = _PAST_EXTENDED if extended else _PAST_END
    rising = np.asarray(up & (outwards * peak > away[end] + past), np.bool_)
    enough = 1 if extended else max(_END_TILES, round(_END_SHARE * len(peak)))
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
    """Return up to ``at_once`` further slice positions for each end at which tiles get sharper."""
    positions: list[float] = []
    for rising, end, outwards in ((near, true_um.argmin(), -1), (far, true_um.argmax(), 1)):
        if not rising.any():
            continue
        step_um = (1 - settings.planned_overlap) * dof_um[end]
        reach_um = float(
            np.quantile(outwards * (peak_um[rising] - true_um[end]), _CAUTIOUS_QUANTILE)
        )
        count = int(np.clip(round(reach_um / step_um), 1, at_once))
        positions += [float(true_um[end] + outwards * step_um * k) for k in range(1, count + 1)]
    low_um, high_um = settings.near_um - settings.extend_um, settings.far_um + settings.extend_um
    return [um for um in positions if low_um <= um <= high_um]


def _margins(
    true_um: Floats,
    dof_um: Floats,
    lost_um: float,
    extended: tuple[bool, bool],
    settings: ProofSettings,
) -> tuple[float | None, float | None]:
    step_um = _MARGIN_STEP * (1 - settings.minimum_overlap) * dof_um
    near, far = int(true_um.argmin()), int(true_um.argmax())
    near_um = float(true_um[near] - step_um[near])
    far_um = float(true_um[far] + step_um[far])
    # Where the axis limits do not allow the full step, the allowed part of the step is used.
    near_um = max(near_um, settings.near_um - settings.extend_um, settings.lowest_um + lost_um)
    far_um = min(far_um, settings.far_um + settings.extend_um, settings.highest_um + lost_um)
    least_um = _SHORTEST_STEP * dof_um
    return (
        near_um - lost_um if extended[0] and near_um < true_um[near] - least_um[near] else None,
        far_um - lost_um if extended[1] and far_um > true_um[far] + least_um[far] else None,
    )


def _covered(
    peak_um: Floats, true_um: Floats, dof_um: Floats, coverage: Coverage, table: SharpnessTable
) -> tuple[NDArray[np.int8], list[dict[str, Any]]]:
    """Return the state of each tile according to its peak, and the gaps.

    A peak beyond the outermost slices is extrapolated from one flank and proves nothing. Whether
    the range is extended there is decided by `_rising`.
    """
    away = np.abs(peak_um[:, None] - true_um[None, :]) / dof_um[None, :]
    between = (peak_um > true_um.min()) & (peak_um < true_um.max())
    tile_numbers = np.flatnonzero(table.textured)
    state = np.full(len(table.textured), NOT_PROVABLE, np.int8)
    state[tile_numbers[between]] = UNCOVERED
    state[tile_numbers[away.min(axis=1) <= _HALF_DOF]] = COVERED
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


def _lost(short_moves: Sequence[ShortMove], dof_um: Floats) -> float:
    """Return the distance between reported and true position now, in um, after all lost steps."""
    return float(sum(d.size * dof_um[d.index] for d in short_moves if d.slices is None))


def _in_all_tiles(peak_um: Floats, textured: NDArray[np.bool_]) -> Floats:
    everywhere = np.full(len(textured), np.nan)
    everywhere[textured] = peak_um
    return everywhere
