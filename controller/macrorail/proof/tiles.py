"""The sharpness of all tiles in all good frames as one table, and which of them have texture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from macrorail.proof.judge import Look
from macrorail.proof.measure import Floats

_NOISE_QUANTILE = 0.02
_NOISE_SHARE = 0.8
_ABOVE_NOISE = 4.0
_TEXTURE_ABOVE_NOISE = 8.0
_SEEN_SHARE = 0.04
_LEAST_SWING = 1.5
_LEAST_ENERGY = 4.0


@dataclass(frozen=True)
class Table:
    """Tiles against slices.

    Attributes
    ----------
    level
        (textured tiles, slices, bands) float64: logarithm of the sharpness, noise taken off.
    weight
        Same shape: 1 where texture is seen above the noise, else 0.
    textured
        (tiles,) bool: which tiles of the frame these are. The others prove nothing.
    """

    level: Floats
    weight: Floats
    textured: NDArray[np.bool_]


def tabulate(looks: Sequence[Look]) -> Table:
    """Gather the measurements of frames of one size."""
    energy = np.array([look.seen.energy for look in looks]).transpose(2, 0, 1)
    # Sharpness goes with the square of the light: what a lamp's flicker adds is taken off.
    light = np.array([look.seen.light for look in looks])
    lit = light.mean(axis=0) > np.median(light.mean(axis=0))
    gain = np.median(light[:, lit] / light[:, lit].mean(axis=0), axis=1) ** (2 / 2.2)
    energy = energy / gain[None, :, None]
    noise = np.quantile(energy, _NOISE_QUANTILE, axis=(0, 1))
    most = energy.max(axis=1, keepdims=True)
    floor = np.maximum(1e-3 * most, 0.05)
    level = np.log(np.maximum(energy - _NOISE_SHARE * noise, floor))
    weight = ((energy > _SEEN_SHARE * most) & (energy > _ABOVE_NOISE * noise)).astype(np.float64)
    strong = (most[:, 0] > np.maximum(_TEXTURE_ABOVE_NOISE * noise, _LEAST_ENERGY))[:, :2]
    swings = (most[:, 0] > _LEAST_SWING * energy.min(axis=1))[:, :2]
    textured = strong.all(axis=1) & swings.all(axis=1)
    return Table(level[textured], weight[textured], textured)


def noise_floor(looks: Sequence[Look]) -> Floats:
    """(bands,) what noise alone adds to the sharpness of every tile."""
    energy = np.array([look.seen.energy for look in looks])
    floor: Floats = _NOISE_SHARE * np.quantile(energy, _NOISE_QUANTILE, axis=(0, 2))
    return floor
