"""Fits a peak to the sharpness of each tile along z, and estimates where the slices truly were.

The logarithm of the sharpness of one tile in one octave is modelled, from slice to slice, as
``a - p log(1 + ((u - peak) / width)**2)``: round at the top, straight in the flanks. A tile has
one peak position for all octaves, and a height and a width for each. Positions ``u`` and widths
are in depths of field, so that the same fit works for a rail and for a lens whose depth of field
changes as it focuses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from macrorail.proof.measure import BANDS, Floats

EXPONENTS = np.array([1.5, 1.2, 1.0])
"""Steepness of the flanks in each octave; defocus removes the finest detail first."""

_FIRST_WIDTHS = np.array([0.9, 1.2, 1.6])
_WIDTH_LOOSE, _WIDTH_TIGHT = 0.5, 0.25
_HUBER = 1.5
_LEAST_NOISE = 0.04
_NOISE_ROUNDS = 2
_WINDOW = 24
_LARGEST_STEP = 1.0
# The deviation from the model that all curves share is estimated in bins of the distance from the
# peak (depths of field). It is shrunk towards zero as if by this many samples without deviation.
_SHAPE_BIN, _SHAPE_REACH = 0.3, 6.0
_SHAPE_PRIOR_SAMPLES = 20
_SHAPE_LARGEST = 0.5


@dataclass(frozen=True)
class SharpnessSamples:
    """Sharpness of the tiles, each in the slices around its sharpest one.

    Attributes
    ----------
    level
        (tiles, window, bands) float64: logarithm of the sharpness.
    weight
        Same shape: 0 where there is only noise, else 1.
    index
        (tiles, window) int: index of the slice.
    """

    level: Floats
    weight: Floats
    index: NDArray[np.intp]


@dataclass(frozen=True)
class Curves:
    """One fitted curve for each tile.

    Attributes
    ----------
    peak
        (tiles,) position in depths of field.
    height, log_width
        (tiles, bands).
    noise
        (tiles, bands): standard deviation of the samples from the curve (logarithm).
    """

    peak: Floats
    height: Floats
    log_width: Floats
    noise: Floats


def sample(level: Floats, weight: Floats, u: Floats) -> SharpnessSamples:
    """From (tiles, slices, bands), select the slices around each tile's sharpest one."""
    order = np.argsort(u, kind="stable")
    count = min(_WINDOW, len(u))
    level, weight = level[:, order], weight[:, order]
    fine = np.where(weight > 0, level, -99.0)[:, :, :2].sum(axis=2)
    first = np.clip(fine.argmax(axis=1) - count // 2, 0, len(u) - count)
    window = first[:, None] + np.arange(count)
    tiles = np.arange(len(level))[:, None]
    return SharpnessSamples(level[tiles, window], weight[tiles, window], order[window])


def fit(
    samples: SharpnessSamples, u: Floats, start: Curves | None = None, rounds: int = 25
) -> Curves:
    """Fit the curve of every tile robustly, with the slices at ``u``.

    Parameters
    ----------
    start
        Curves to start from; their noise is kept.
    """
    curves = _first_guess(samples, u) if start is None else start
    tight = start is not None
    usual = np.median(curves.log_width, axis=0) if tight else np.log(_FIRST_WIDTHS)
    strength = 1 / (_WIDTH_TIGHT if tight else _WIDTH_LOOSE) ** 2
    parameters = _pack(curves)
    damping = np.full(len(parameters), 1e-2)
    cost = _cost(parameters, samples, u, curves.noise, usual, strength)
    diagonal = np.arange(1 + 2 * BANDS)
    for _ in range(rounds):
        jacobian, _, residual = _linearised(parameters, samples, u)
        weight = _robust(residual, samples.weight, curves.noise)
        normal, gradient = _normal(jacobian, weight, residual)
        normal[:, diagonal[1 + BANDS :], diagonal[1 + BANDS :]] += strength
        gradient[:, 1 + BANDS :] -= strength * (parameters[:, 1 + BANDS :] - usual)
        normal[:, diagonal, diagonal] *= 1 + damping[:, None]
        normal[:, diagonal, diagonal] += 1e-9
        step = np.linalg.solve(normal, gradient[..., None])[..., 0]
        trial = parameters + np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
        trial_cost = _cost(trial, samples, u, curves.noise, usual, strength)
        better = trial_cost < cost
        parameters[better], cost[better] = trial[better], trial_cost[better]
        damping = np.clip(np.where(better, damping * 0.3, damping * 5), 1e-6, 1e6)
    return replace(_unpack(parameters), noise=curves.noise)


def with_noise(curves: Curves, samples: SharpnessSamples, u: Floats) -> Curves:
    """The same curves, with the noise estimated from their residuals."""
    _, _, residual = _linearised(_pack(curves), samples, u)
    off = np.sort(np.where(samples.weight > 0, np.abs(residual), np.inf), axis=1)
    count = (samples.weight > 0).sum(axis=1)
    middle = np.stack([np.maximum(count - 1, 0) // 2, np.minimum(count // 2, off.shape[1] - 1)], 1)
    median = np.take_along_axis(off, middle, axis=1).mean(axis=1)
    # Factor from median to standard deviation of a normal distribution.
    noise = np.where(count > 0, 1.4826 * median, 1.0)
    return replace(curves, noise=np.clip(noise, _LEAST_NOISE, 1.0))


def fit_with_noise(samples: SharpnessSamples, u: Floats, start: Curves) -> Curves:
    """Fit every tile's curve and its noise together, with the slices at ``u``."""
    curves = start
    for _ in range(_NOISE_ROUNDS):
        curves = fit(samples, u, with_noise(curves, samples, u), rounds=6)
    return with_noise(curves, samples, u)


def without_common_shape(samples: SharpnessSamples, u: Floats, curves: Curves) -> SharpnessSamples:
    """The samples without the deviation from the model that the curves of all tiles share.

    Near the diffraction limit the curves are flatter at the top than the model, and steeper below.
    In a stack of few slices this would look like slices at the wrong positions. The deviation is
    a function of the distance from the peak only, the same on both sides. A misplaced slice lies
    in front of the peaks of some tiles and behind those of others, so it is not removed.
    """
    _, _, residual = _linearised(_pack(curves), samples, u)
    away = np.abs(u[samples.index] - curves.peak[:, None])
    steps = np.arange(0, _SHAPE_REACH + _SHAPE_BIN / 2, _SHAPE_BIN)
    nearest = np.minimum(np.rint(away / _SHAPE_BIN).astype(np.intp), len(steps) - 1)
    level = samples.level.copy()
    for band in range(BANDS):
        visible = (samples.weight[:, :, band] > 0) & (away < _SHAPE_REACH)
        off = np.clip(residual[:, :, band][visible], -_SHAPE_LARGEST, _SHAPE_LARGEST)
        count = np.bincount(nearest[visible], minlength=len(steps))
        total = np.bincount(nearest[visible], off, minlength=len(steps))
        level[:, :, band] -= np.interp(away, steps, total / (count + _SHAPE_PRIOR_SAMPLES))
    return replace(samples, level=level)


def negative_log_likelihood(curves: Curves, samples: SharpnessSamples, u: Floats) -> float:
    """Negative logarithm of the samples' likelihood, up to a constant."""
    count = samples.weight.sum(axis=1)
    return misfit(curves, samples, u) + float((count * np.log(curves.noise)).sum())


def misfit(curves: Curves, samples: SharpnessSamples, u: Floats) -> float:
    """Robust sum of squared residuals of all samples, each divided by its noise."""
    usual = curves.log_width
    return float(_cost(_pack(curves), samples, u, curves.noise, usual, 0.0).sum())


def information(curves: Curves, samples: SharpnessSamples, u: Floats) -> tuple[Floats, Floats]:
    """What all tiles together imply about moving each slice, with their own parameters free.

    Returns
    -------
    information : ndarray
        (slices, slices) float64.
    gradient : ndarray
        (slices,) float64: the best small displacement ``d`` solves ``information d = gradient``.
    """
    count = len(u)
    jacobian, slope, residual = _linearised(_pack(curves), samples, u)
    weight = _robust(residual, samples.weight, curves.noise)
    normal, gradient = _normal(jacobian, weight, residual)
    diagonal = np.arange(1 + 2 * BANDS)
    normal[:, diagonal, diagonal] += 1e-6
    normal[:, diagonal[1 + BANDS :], diagonal[1 + BANDS :]] += 1 / _WIDTH_LOOSE**2
    cross = np.einsum("twk,twk,twkp->twp", slope, weight, jacobian)
    solved = np.linalg.solve(normal, np.swapaxes(cross, 1, 2))
    own = (slope * weight * slope).sum(axis=2)
    pull = (slope * weight * residual).sum(axis=2)
    pull -= np.einsum("tpw,tp->tw", solved, gradient)
    matrix = -np.einsum("twp,tpv->twv", cross, solved)
    places = np.arange(samples.index.shape[1])
    matrix[:, places, places] += own
    flat = samples.index[:, :, None] * count + samples.index[:, None, :]
    total = np.bincount(flat.ravel(), matrix.ravel(), minlength=count * count)
    pulls: Floats = np.zeros(count)
    np.add.at(pulls, samples.index, pull)
    return np.asarray(total, np.float64).reshape(count, count), pulls


def _first_guess(samples: SharpnessSamples, u: Floats) -> Curves:
    fine = np.where(samples.weight > 0, samples.level, -99.0)[:, :, :2].sum(axis=2)
    tiles, sharpest = np.arange(len(fine)), fine.argmax(axis=1)
    shape = (len(fine), BANDS)
    return Curves(
        peak=u[samples.index[tiles, sharpest]],
        height=samples.level[tiles, sharpest].copy(),
        log_width=np.broadcast_to(np.log(_FIRST_WIDTHS), shape).copy(),
        noise=np.full(shape, 0.1),
    )


def _pack(curves: Curves) -> Floats:
    return np.concatenate([curves.peak[:, None], curves.height, curves.log_width], axis=1)


def _unpack(parameters: Floats) -> Curves:
    height, log_width = parameters[:, 1 : 1 + BANDS], parameters[:, 1 + BANDS :]
    return Curves(parameters[:, 0], height, log_width, np.empty(0))


def _linearised(
    parameters: Floats, samples: SharpnessSamples, u: Floats
) -> tuple[Floats, Floats, Floats]:
    """Derivatives by the tile's parameters and by the slice's position, and the residuals."""
    width = np.exp(parameters[:, None, 1 + BANDS :])
    x = (u[samples.index][:, :, None] - parameters[:, None, :1]) / width
    q = 1 + x * x
    residual = samples.level - (parameters[:, None, 1 : 1 + BANDS] - EXPONENTS * np.log(q))
    slope = -2 * EXPONENTS * x / q / width
    jacobian = np.zeros((*x.shape, 1 + 2 * BANDS))
    jacobian[..., 0] = -slope
    for band in range(BANDS):
        jacobian[:, :, band, 1 + band] = 1
        jacobian[:, :, band, 1 + BANDS + band] = (2 * EXPONENTS * x * x / q)[:, :, band]
    return jacobian, slope, residual


def _normal(jacobian: Floats, weight: Floats, residual: Floats) -> tuple[Floats, Floats]:
    tiles, _, _, count = jacobian.shape
    flat = jacobian.reshape(tiles, -1, count)
    weighted = flat * weight.reshape(tiles, -1, 1)
    turned = np.swapaxes(weighted, 1, 2)
    return turned @ flat, (turned @ residual.reshape(tiles, -1, 1))[..., 0]


def _robust(residual: Floats, weight: Floats, noise: Floats) -> Floats:
    """Huber weights divided by the variance."""
    sigma = noise[:, None, :]
    far = np.maximum(np.abs(residual) / sigma, _HUBER)
    return weight * (_HUBER / far) / sigma**2


def _cost(
    parameters: Floats,
    samples: SharpnessSamples,
    u: Floats,
    noise: Floats,
    usual: Floats,
    strength: float,
) -> Floats:
    _, _, residual = _linearised(parameters, samples, u)
    off = np.abs(residual) / noise[:, None, :]
    huber = np.where(off < _HUBER, off**2 / 2, _HUBER * (off - _HUBER / 2))
    stray = strength * ((parameters[:, 1 + BANDS :] - usual) ** 2).sum(axis=1) / 2
    cost: Floats = (samples.weight * huber).sum(axis=(1, 2)) + stray
    return cost
