"""Fits a peak to the sharpness of each tile along z, and estimates where the slices truly were.

The model for the logarithm of the sharpness of one tile in one octave, from slice to slice, is
``a - p log(1 + ((u - peak) / width)**2)``: round at the top, straight in the flanks. A tile has
one peak position for all octaves, and a height and a width for each octave. Positions ``u`` and
widths are in depths of field. So the same fit works for a rail and for a lens whose depth of field
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
# The deviation of all curves together from the model is estimated in bins of the distance from the
# peak (depths of field). This many samples without deviation are added to each bin, so that the
# estimate in a bin with few samples is close to zero.
_SHAPE_BIN, _SHAPE_REACH = 0.3, 6.0
_SHAPE_PRIOR_SAMPLES = 20
_SHAPE_LARGEST = 0.5


@dataclass(frozen=True)
class SharpnessSamples:
    """Sharpness of each tile in the slices around the tile's sharpest slice.

    Attributes
    ----------
    level
        (tiles, window, bands) float64: natural logarithm of the sharpness.
    weight
        (tiles, window, bands) float64: 0 where there is only noise, otherwise 1.
    index
        (tiles, window) int: index of the slice of each sample.
    """

    level: Floats
    weight: Floats
    index: NDArray[np.intp]


@dataclass(frozen=True)
class Curves:
    """One fitted sharpness curve for each tile.

    Attributes
    ----------
    peak
        (tiles,) position of the sharpest plane in depths of field.
    height, log_width
        (tiles, bands): natural logarithm of the sharpness at the peak, and of the width of the
        curve.
    noise
        (tiles, bands): standard deviation of the samples from the curve (logarithm).
    """

    peak: Floats
    height: Floats
    log_width: Floats
    noise: Floats


def sample(level: Floats, weight: Floats, u: Floats) -> SharpnessSamples:
    """Return the samples around each tile's sharpest slice, from arrays (tiles, slices, bands)."""
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
    """Return the curve of every tile, fitted robustly, for slices at the positions ``u``.

    Parameters
    ----------
    start
        Curves to start the fit from. Their noise is used unchanged.
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
    """Return the curves with their noise estimated from the residuals of the samples."""
    _, _, residual = _linearised(_pack(curves), samples, u)
    off = np.sort(np.where(samples.weight > 0, np.abs(residual), np.inf), axis=1)
    count = (samples.weight > 0).sum(axis=1)
    middle = np.stack([np.maximum(count - 1, 0) // 2, np.minimum(count // 2, off.shape[1] - 1)], 1)
    median = np.take_along_axis(off, middle, axis=1).mean(axis=1)
    # Factor from median to standard deviation of a normal distribution.
    noise = np.where(count > 0, 1.4826 * median, 1.0)
    return replace(curves, noise=np.clip(noise, _LEAST_NOISE, 1.0))


def fit_with_noise(samples: SharpnessSamples, u: Floats, start: Curves) -> Curves:
    """Return the curve and the noise of every tile, fitted together, for slices at ``u``."""
    curves = start
    for _ in range(_NOISE_ROUNDS):
        curves = fit(samples, u, with_noise(curves, samples, u), rounds=6)
    return with_noise(curves, samples, u)


def without_common_shape(samples: SharpnessSamples, u: Floats, curves: Curves) -> SharpnessSamples:
    """Return the samples minus the deviation from the model that all tiles' curves have in common.

    Near the diffraction limit the curves are flatter at the top than the model, and steeper below.
    In a stack of few slices this would look like slices at the wrong positions. The deviation
    depends only on the distance from the peak and is the same on both sides. A misplaced slice is
    in front of the peaks of some tiles and behind those of others, so its effect is not removed.
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
    """Return the negative logarithm of the samples' likelihood, up to a constant."""
    count = samples.weight.sum(axis=1)
    return misfit(curves, samples, u) + float((count * np.log(curves.noise)).sum())


def misfit(curves: Curves, samples: SharpnessSamples, u: Floats) -> float:
    """Return the robust sum of squared residuals of all samples, each divided by its noise."""
    usual = curves.log_width
    return float(_cost(_pack(curves), samples, u, curves.noise, usual, 0.0).sum())


def information(curves: Curves, samples: SharpnessSamples, u: Floats) -> tuple[Floats, Floats]:
    """Return how precisely the images determine small displacements of the slices.

    The curves of the tiles are refitted for each displacement.

    Returns
    -------
    information : ndarray
        (slices, slices) float64: information matrix of the displacements.
    gradient : ndarray
        (slices,) float64: gradient; the best small displacement ``d`` solves
        ``information d = gradient``.
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
    """Return the derivatives by the tiles' parameters and by the slices' positions, and the
    residuals."""
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
    """Return Huber weights divided by the variance."""
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
