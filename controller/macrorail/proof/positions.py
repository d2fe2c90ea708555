"""Finds the true positions of the slices from the tiles' sharpness curves.

The true positions are explained by moves that fell short. A short move displaces either a few
slices (the axis stalled and caught up later) or all later slices (steps were lost). Short moves are
added, exchanged and removed one at a time as long as this explains the images much better. An axis
that works correctly makes no short moves. Moves that went too far are not considered: no motor
turns further than it is driven, and a move that went too far would look as if the slice before it
had fallen short.

The number of explanations that are tried is limited in proportion to the slices. If
an axis makes too many irregular moves to be told apart, they are reported as not explained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from macrorail.proof.curves import (
    Curves,
    SharpnessSamples,
    fit,
    fit_with_noise,
    information,
    negative_log_likelihood,
    with_noise,
    without_common_shape,
)
from macrorail.proof.measure import Floats

SMALLEST = 0.15
"""Smallest short move in depths of field; smaller ones are hidden by errors of the curves."""

# Increase of the log-likelihood (natural logarithm) that each short move must achieve.
_REQUIRED_GAIN = 120.0
# A stalled axis usually catches up on the next move, so longer stalls must explain more.
_REQUIRED_GAIN_PER_SLICE = 45.0
_MOST_CHANGES = 24
# How often the shape common to all curves is re-estimated, and in how many rounds.
_SHAPE_ESTIMATES, _SHAPE_ROUNDS = 2, 2
# The first estimate gives about half of the true value, because the tiles' peaks move with it.
_PROMISING_GAIN, _SMALLEST_ESTIMATE, _FIRST_SIZE = 5.0, 0.06, 0.2
_LARGEST = 3.0
_REFINEMENTS = 3
_TRIALS = 4
_LONGEST_STALL = 5
# Explanations that may be tried. Sixty slices take 1 without a short move, 80 with three and 240
# with twelve.
_TRIALS_AT_LEAST, _TRIALS_PER_SLICE = 60, 3


@dataclass(frozen=True)
class ShortMove:
    """A move that fell short.

    Attributes
    ----------
    index
        Index of the slice at the end of the move, in the order of shooting.
    slices
        Number of displaced slices; ``None`` for all that follow.
    size
        Displacement of the slices in depths of field, positive away from the camera.
    """

    index: int
    slices: int | None
    size: float


@dataclass(frozen=True)
class LocatedSlices:
    """The true positions of the slices.

    Attributes
    ----------
    u
        (slices,) true positions in depths of field, in the order of shooting.
    short_moves
        Short moves that explain the differences from the reported positions.
    curves
        Curves fitted with the slices at ``u``.
    explained
        False when the search was ended before it found the best explanation, because there are too
        many irregular moves. The other attributes are then the best so far.
    """

    u: Floats
    short_moves: tuple[ShortMove, ...]
    curves: Curves
    explained: bool = True


@dataclass(frozen=True)
class _CandidateMoves:
    """All possible short moves, each as a column with the displacement of every slice."""

    columns: Floats
    kinds: tuple[tuple[int, int | None], ...]

    @property
    def required_gain(self) -> list[float]:
        """Return the increase of the log-likelihood that each short move must achieve."""
        return [
            _REQUIRED_GAIN + _REQUIRED_GAIN_PER_SLICE * ((slices or 1) - 1)
            for _, slices in self.kinds
        ]


@dataclass(frozen=True)
class _Explanation:
    """One explanation of the images.

    Attributes
    ----------
    chosen
        Indices of the short moves among the candidates.
    shortfalls
        Amount by which each of these moves fell short, depths of field.
    curves
        Curves fitted with the slices at these positions, including their noise.
    cost
        Negative log-likelihood plus the required gain of each short move.
    """

    chosen: tuple[int, ...]
    shortfalls: Floats
    curves: Curves
    cost: float


class _Budget:
    """Limit on the number of explanations that a search may try.

    Attributes
    ----------
    exceeded
        Whether the search asked for more explanations than the limit allows.
    """

    def __init__(self, slices: int) -> None:
        self._left = _TRIALS_AT_LEAST + _TRIALS_PER_SLICE * slices
        self.exceeded = False

    def allows(self, trials: int) -> bool:
        """Return whether so many more trials are allowed; if they are, count them as used."""
        self.exceeded |= trials > self._left
        if not self.exceeded:
            self._left -= trials
        return not self.exceeded


def locate(samples: SharpnessSamples, reported: Floats) -> LocatedSlices:
    """Estimate the true positions of slices.

    Parameters
    ----------
    reported
        (slices,) positions reported by the axis in depths of field, in the order of shooting.
    """
    candidates, budget = _candidates(reported), _Budget(len(reported))
    columns = candidates.columns
    chosen: tuple[int, ...] = ()
    u, shortfalls, curves = reported, np.zeros(0), fit(samples, reported)
    for _ in range(_SHAPE_ESTIMATES):
        corrected, curves = samples, fit_with_noise(samples, u, curves)
        for _ in range(_SHAPE_ROUNDS):
            corrected = without_common_shape(corrected, u, curves)
            curves = fit_with_noise(corrected, u, curves)
        start = _explanation(corrected, reported, candidates, chosen, shortfalls, curves)
        best = _most_likely(corrected, reported, candidates, start, budget)
        if best.chosen == chosen or budget.exceeded:
            break
        # The displaced slices had distorted the shape common to all curves, so estimate it again.
        chosen, shortfalls, curves = best.chosen, best.shortfalls, best.curves
        u = reported + columns[:, chosen] @ shortfalls
    u = reported + columns[:, best.chosen] @ best.shortfalls
    # Fit from the start, because curves that were moved with the slices do not always recover. Do
    # not subtract the common shape: it is estimated from complete curves and misleads where only
    # one flank is visible.
    curves = fit(samples, u)
    curves = fit(samples, u, with_noise(curves, samples, u), rounds=20)
    short_moves = tuple(
        ShortMove(*candidates.kinds[c], float(shortfall * columns[candidates.kinds[c][0], c]))
        for c, shortfall in zip(best.chosen, best.shortfalls, strict=True)
    )
    return LocatedSlices(u, short_moves, curves, explained=not budget.exceeded)


def _most_likely(
    samples: SharpnessSamples,
    reported: Floats,
    candidates: _CandidateMoves,
    start: _Explanation,
    budget: _Budget,
) -> _Explanation:
    """Return the best explanation reachable from ``start`` by one change at a time, within the
    budget."""
    best = start
    tried = {frozenset(best.chosen)}
    for _ in range(_MOST_CHANGES):
        for nearby in _neighbouring_explanations(samples, reported, candidates, best):
            new = [
                (chosen, shortfalls)
                for chosen, shortfalls in nearby
                if frozenset(chosen) not in tried
            ]
            if not budget.allows(len(new)):
                return best
            tried |= {frozenset(chosen) for chosen, _ in new}
            trials = [_explanation(samples, reported, candidates, *one, best.curves) for one in new]
            better = min(trials, key=lambda trial: trial.cost, default=best)
            if better.cost < best.cost:
                best = better
                break
        else:
            break
    return best


def _explanation(
    samples: SharpnessSamples,
    reported: Floats,
    candidates: _CandidateMoves,
    chosen: tuple[int, ...],
    shortfalls: Floats,
    curves: Curves,
) -> _Explanation:
    """Refine the sizes of these short moves, the curves and their noise by Newton steps.

    Moves that become too small are dropped.
    """
    part = candidates.columns[:, chosen]
    for _ in range(_REFINEMENTS if chosen else 0):
        u = reported + part @ shortfalls
        curves = with_noise(fit(samples, u, curves, rounds=4), samples, u)
        matrix, gradient = information(curves, samples, u)
        normal = part.T @ matrix @ part + 1e-9 * np.eye(part.shape[1])
        shortfalls = shortfalls + np.clip(np.linalg.solve(normal, part.T @ gradient), -0.4, 0.4)
    kept = shortfalls >= SMALLEST
    if not kept.all():
        left = tuple(c for c, keep in zip(chosen, kept, strict=True) if keep)
        return _explanation(samples, reported, candidates, left, shortfalls[kept], curves)
    u = reported + part @ shortfalls
    curves = fit_with_noise(samples, u, curves)
    cost = negative_log_likelihood(curves, samples, u) + sum(
        candidates.required_gain[c] for c in chosen
    )
    return _Explanation(chosen, shortfalls, curves, cost)


def _neighbouring_explanations(
    samples: SharpnessSamples, reported: Floats, candidates: _CandidateMoves, best: _Explanation
) -> Iterator[list[tuple[tuple[int, ...], Floats]]]:
    """Return explanations that differ from the best one in one short move.

    The move is added, exchanged or removed. So a loss can be recognised as a stall or vice versa,
    or be shifted by one slice.
    """
    columns, kinds = candidates.columns, candidates.kinds
    u = reported + columns[:, best.chosen] @ best.shortfalls
    known = information(best.curves, samples, u)
    yield [
        ((*best.chosen, index), np.append(best.shortfalls, shortfall))
        for index, shortfall in _most_promising(columns, list(best.chosen), *known)
    ]
    for place, departed in enumerate(best.chosen):
        index, slices = kinds[departed]
        rest = best.chosen[:place] + best.chosen[place + 1 :]
        shortfalls, shortfall = np.delete(best.shortfalls, place), best.shortfalls[place]
        nearby = [(rest, shortfalls)]
        for other, (its_index, its_slices) in enumerate(kinds):
            same_move = its_index == index and its_slices != slices
            next_to_it = abs(its_index - index) == 1 and its_slices == slices
            if (same_move or next_to_it) and other not in rest:
                nearby.append(((*rest, other), np.append(shortfalls, shortfall)))
        yield nearby


def _candidates(reported: Floats) -> _CandidateMoves:
    count = len(reported)
    back = -np.sign(np.diff(reported, prepend=-np.inf))
    columns, kinds = [], []
    for index in range(1, count):
        for slices in (*range(1, _LONGEST_STALL + 1), None):
            end = count if slices is None else index + slices
            # At the last slice a short stall and a loss look the same.
            if end > count or (slices is not None and slices > 1 and end == count):
                continue
            if slices is None and index == count - 1:
                continue
            column = np.zeros(count)
            column[index:end] = back[index]
            columns.append(column)
            kinds.append((index, slices))
    return _CandidateMoves(np.array(columns).reshape(-1, count).T, tuple(kinds))


def _most_promising(
    columns: Floats, chosen: list[int], matrix: Floats, gradient: Floats
) -> list[tuple[int, float]]:
    """Return the unused candidates that explain most by a first estimate, and their sizes."""
    if columns.shape[1] == 0:
        return []
    pushed = matrix @ columns
    alone = np.einsum("sc,sc->c", columns, pushed)
    strength, pull = alone, columns.T @ gradient
    if chosen:
        known = columns[:, chosen]
        normal = known.T @ matrix @ known + 1e-9 * np.eye(len(chosen))
        solved = np.linalg.solve(normal, known.T @ pushed)
        strength = strength - np.einsum("kc,kc->c", known.T @ pushed, solved)
        pull = pull - solved.T @ (known.T @ gradient)
    # The size of a candidate that the chosen ones already explain cannot be estimated.
    usable = strength > np.maximum(1e-3 * alone, 1e-9)
    usable[chosen] = False
    safe = np.where(usable, strength, 1.0)
    shortfall = np.minimum(np.where(usable, pull / safe, 0.0), _LARGEST)
    gain = np.where(usable & (shortfall >= _SMALLEST_ESTIMATE), pull / np.sqrt(safe), 0.0)
    best = np.argsort(-gain)[:_TRIALS]
    return [
        (int(c), max(float(shortfall[c]), _FIRST_SIZE)) for c in best if gain[c] >= _PROMISING_GAIN
    ]
