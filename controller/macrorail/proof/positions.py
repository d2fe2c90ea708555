"""Finds where the slices truly were from the tiles' curves, as short moves that an axis can make.

A move that falls short leaves either some slices off their place (the axis stuck and caught up
later) or every later slice (steps were lost). Such departures are added, exchanged and taken away
one by one as long as that explains the images decidedly better; an axis that did what it said has
none. No motor turns further than it is driven, so a move that went too far is no explanation: it
would be the mirror image of a slice before it that fell short.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from macrorail.proof.curves import (
    Curves,
    Samples,
    fit,
    fit_with_noise,
    improbability,
    information,
    with_noise,
    without_common_shape,
)
from macrorail.proof.measure import Floats

SMALLEST = 0.15
"""Departures below this, in depths of field, are not told from the curves' own imperfection."""

# So much more likely, in natural logarithms, must each departure make the images.
_WORTH = 120.0
# An axis that stuck catches up on the next move; the longer it is said not to, the more that must
# explain.
_WORTH_OF_LONGER = 45.0
_CHANGES = 24
# How often what is common to all curves is learned anew, and in how many steps.
_SHAPES, _SHAPE_ROUNDS = 2, 2
# The first estimate says about half of it: the tiles' peaks give way.
_HINT, _LEAST_HINT, _FIRST_SIZE = 5.0, 0.06, 0.2
_LARGEST = 3.0
_REFINEMENTS = 3
_TRIALS = 4
_LONGEST_HOLD = 5


@dataclass(frozen=True)
class Departure:
    """A move that fell short.

    Attributes
    ----------
    index
        Of the slice it was to reach, in the order of time.
    slices
        How many slices were off because of it; ``None`` when all that follow are.
    size
        How far off, in depths of field, positive away from the camera.
    """

    index: int
    slices: int | None
    size: float


@dataclass(frozen=True)
class Located:
    """What the images say about the slices' places.

    Attributes
    ----------
    u
        (slices,) true places in depths of field, in the order of time.
    departures
        What makes them differ from the axis' account.
    curves
        Fitted with the slices at ``u``.
    """

    u: Floats
    departures: tuple[Departure, ...]
    curves: Curves


@dataclass(frozen=True)
class _Candidates:
    """Departures there could be: one column each, per unit of falling short."""

    columns: Floats
    kinds: tuple[tuple[int, int | None], ...]

    @property
    def worth(self) -> list[float]:
        """By how much each must make the images more likely, natural logarithms."""
        return [_WORTH + _WORTH_OF_LONGER * ((slices or 1) - 1) for _, slices in self.kinds]


@dataclass(frozen=True)
class _Explanation:
    """One way to explain the images.

    Attributes
    ----------
    chosen
        Which of the candidates took place.
    lags
        By how much each of these moves fell short, depths of field.
    curves
        Fitted to what is seen then, their noise too.
    cost
        How improbable it is, with what each departure has to be worth.
    """

    chosen: tuple[int, ...]
    lags: Floats
    curves: Curves
    cost: float


def locate(samples: Samples, told: Floats) -> Located:
    """Estimate the true places of slices that the axis says were at ``told``.

    Parameters
    ----------
    told
        (slices,) in depths of field, in the order of time.
    """
    candidates = _candidates(told)
    columns = candidates.columns
    chosen: tuple[int, ...] = ()
    u, lags, curves = told, np.zeros(0), fit(samples, told)
    for _ in range(_SHAPES):
        even, curves = samples, fit_with_noise(samples, u, curves)
        for _ in range(_SHAPE_ROUNDS):
            even = without_common_shape(even, u, curves)
            curves = fit_with_noise(even, u, curves)
        start = _explanation(even, told, candidates, chosen, lags, curves)
        best = _most_likely(even, told, candidates, start)
        if best.chosen == chosen:
            break
        # Slices off their places had blurred what is common to all curves.
        chosen, lags, curves = best.chosen, best.lags, best.curves
        u = told + columns[:, chosen] @ lags
    u = told + columns[:, best.chosen] @ best.lags
    # Afresh: curves that were pushed about with the slices do not always find back. And with what
    # is common to all: it is learned from whole curves and misleads where one flank is seen.
    curves = fit(samples, u)
    curves = fit(samples, u, with_noise(curves, samples, u), rounds=20)
    departures = tuple(
        Departure(*candidates.kinds[c], float(lag * columns[candidates.kinds[c][0], c]))
        for c, lag in zip(best.chosen, best.lags, strict=True)
    )
    return Located(u, departures, curves)


def _most_likely(
    samples: Samples, told: Floats, candidates: _Candidates, start: _Explanation
) -> _Explanation:
    """The best explanation that is reached from one, a change at a time."""
    best = start
    tried = {frozenset(best.chosen)}
    for _ in range(_CHANGES):
        for nearby in _changes(samples, told, candidates, best):
            new = [(chosen, lags) for chosen, lags in nearby if frozenset(chosen) not in tried]
            tried |= {frozenset(chosen) for chosen, _ in new}
            trials = [_explanation(samples, told, candidates, *one, best.curves) for one in new]
            better = min(trials, key=lambda trial: trial.cost, default=best)
            if better.cost < best.cost:
                best = better
                break
        else:
            break
    return best


def _explanation(
    samples: Samples,
    told: Floats,
    candidates: _Candidates,
    chosen: tuple[int, ...],
    lags: Floats,
    curves: Curves,
) -> _Explanation:
    """Newton's steps for the sizes of these departures, with the curves and their noise; what
    becomes too small to be told is left out."""
    part = candidates.columns[:, chosen]
    for _ in range(_REFINEMENTS if chosen else 0):
        u = told + part @ lags
        curves = with_noise(fit(samples, u, curves, rounds=4), samples, u)
        matrix, gradient = information(curves, samples, u)
        normal = part.T @ matrix @ part + 1e-9 * np.eye(part.shape[1])
        lags = lags + np.clip(np.linalg.solve(normal, part.T @ gradient), -0.4, 0.4)
    kept = lags >= SMALLEST
    if not kept.all():
        left = tuple(c for c, keep in zip(chosen, kept, strict=True) if keep)
        return _explanation(samples, told, candidates, left, lags[kept], curves)
    u = told + part @ lags
    curves = fit_with_noise(samples, u, curves)
    cost = improbability(curves, samples, u) + sum(candidates.worth[c] for c in chosen)
    return _Explanation(chosen, lags, curves, cost)


def _changes(
    samples: Samples, told: Floats, candidates: _Candidates, best: _Explanation
) -> Iterator[list[tuple[tuple[int, ...], Floats]]]:
    """Explanations next to the best one: with a departure more; with another in the place of one,
    or without it. A loss may turn out to be a hold and the other way round, or to lie a slice off.
    """
    columns, kinds = candidates.columns, candidates.kinds
    u = told + columns[:, best.chosen] @ best.lags
    known = information(best.curves, samples, u)
    yield [
        ((*best.chosen, index), np.append(best.lags, lag))
        for index, lag in _promising(columns, list(best.chosen), *known)
    ]
    for place, departed in enumerate(best.chosen):
        index, slices = kinds[departed]
        rest = best.chosen[:place] + best.chosen[place + 1 :]
        lags, lag = np.delete(best.lags, place), best.lags[place]
        nearby = [(rest, lags)]
        for other, (its_index, its_slices) in enumerate(kinds):
            same_move = its_index == index and its_slices != slices
            next_to_it = abs(its_index - index) == 1 and its_slices == slices
            if (same_move or next_to_it) and other not in rest:
                nearby.append(((*rest, other), np.append(lags, lag)))
        yield nearby


def _candidates(told: Floats) -> _Candidates:
    count = len(told)
    back = -np.sign(np.diff(told, prepend=-np.inf))
    columns, kinds = [], []
    for index in range(1, count):
        for slices in (*range(1, _LONGEST_HOLD + 1), None):
            end = count if slices is None else index + slices
            # To the last slice a short hold and a loss look the same.
            if end > count or (slices is not None and slices > 1 and end == count):
                continue
            if slices is None and index == count - 1:
                continue
            column = np.zeros(count)
            column[index:end] = back[index]
            columns.append(column)
            kinds.append((index, slices))
    return _Candidates(np.array(columns).reshape(-1, count).T, tuple(kinds))


def _promising(
    columns: Floats, chosen: list[int], matrix: Floats, gradient: Floats
) -> list[tuple[int, float]]:
    """The candidates that by a first estimate explain most beside those chosen, and their sizes."""
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
    # What the others explain already leaves nothing to measure its own size by.
    usable = strength > np.maximum(1e-3 * alone, 1e-9)
    usable[chosen] = False
    safe = np.where(usable, strength, 1.0)
    lag = np.minimum(np.where(usable, pull / safe, 0.0), _LARGEST)
    gain = np.where(usable & (lag >= _LEAST_HINT), pull / np.sqrt(safe), 0.0)
    best = np.argsort(-gain)[:_TRIALS]
    return [(int(c), max(float(lag[c]), _FIRST_SIZE)) for c in best if gain[c] >= _HINT]
