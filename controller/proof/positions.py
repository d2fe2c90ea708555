"""Finds where the slices truly were from the tiles' curves, as short moves that an axis can make.

A move that falls short leaves either some slices off their place (the axis stuck and caught up
later) or every later slice (steps were lost). Such departures are added one by one as long as one
more explains the images decidedly better; an axis that did what it said has none. No motor turns
further than it is driven, so a move that went too far is no explanation: it would be the mirror
image of a slice before it that fell short.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.proof.curves import Curves, Samples, fit, information, misfit, with_noise
from controller.proof.measure import Floats

SMALLEST = 0.18
"""Departures below this, in depths of field, are not told from the curves' own imperfection."""

_SURE = 8.0
_MOST = 12
_LARGEST = 3.0
_REFINEMENTS = 4
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


def locate(samples: Samples, told: Floats) -> Located:
    """Estimate the true places of slices that the axis says were at ``told``.

    Parameters
    ----------
    told
        (slices,) in depths of field, in the order of time.
    """
    candidates = _candidates(told)
    columns = candidates.columns
    chosen: list[int] = []
    lags = np.zeros(0)
    u = told.copy()
    curves = fit(samples, u)
    while len(chosen) < _MOST:
        curves = fit(samples, u, with_noise(curves, samples, u), rounds=10)
        trials = []
        for index, lag in _promising(columns, chosen, *information(curves, samples, u)):
            part = columns[:, [*chosen, index]]
            trial, fitted = _refine(samples, told, part, np.append(lags, lag), curves)
            trials.append((misfit(fitted, samples, told + part @ trial), index, trial, fitted))
        if not trials:
            break
        _, index, lags, curves = min(trials, key=lambda trial: trial[0])
        kept = lags >= SMALLEST
        chosen = [c for c, keep in zip([*chosen, index], kept, strict=True) if keep]
        lags = lags[kept]
        u = told + columns[:, chosen] @ lags
        if not kept[-1]:
            break
    curves = fit(samples, u, curves, rounds=10)
    departures = tuple(
        Departure(*candidates.kinds[c], float(lag * columns[candidates.kinds[c][0], c]))
        for c, lag in zip(chosen, lags, strict=True)
    )
    return Located(u, departures, curves)


def _refine(
    samples: Samples, told: Floats, part: Floats, lags: Floats, curves: Curves
) -> tuple[Floats, Curves]:
    """Newton's steps for the sizes of the chosen departures and the curves together."""
    for _ in range(_REFINEMENTS):
        u = told + part @ lags
        curves = fit(samples, u, curves, rounds=5)
        matrix, gradient = information(curves, samples, u)
        normal = part.T @ matrix @ part + 1e-9 * np.eye(part.shape[1])
        lags = lags + np.clip(np.linalg.solve(normal, part.T @ gradient), -0.4, 0.4)
    return lags, curves


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
    gain = np.where(usable & (lag >= SMALLEST), pull / np.sqrt(safe), 0.0)
    best = np.argsort(-gain)[:_TRIALS]
    return [(int(c), float(lag[c])) for c in best if gain[c] >= _SURE]
