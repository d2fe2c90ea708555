"""Collects the sharpness of all tiles in all good frames, and selects the textured tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from macrorail.proof.frame_checker import MeasuredFrame
from macrorail.proof.measure import Floats

_NOISE_QUANTILE = 0.02
_NOISE_SHARE = 0.8
_ABOVE_NOISE = 4.0
_TEXTURE_ABOVE_NOISE = 8.0
_VISIBLE_SHARE = 0.04
_SMALLEST_RANGE = 1.5
_LEAST_ENERGY = 4.0


@dataclass(frozen=True)
class SharpnessTable:
    """Sharpness of each textured tile in each slice.

    Attributes
    ----------
    level
        (textured tiles, slices, bands) float64: logarithm of the sharpness, noise subtracted.
    weight
        (textured tiles, slices, bands) float64: 1 where texture is above the noise, otherwise 0.
    textured
        (tiles,) bool: which tiles of the frame have texture. The others prove nothing.
    """

    level: Floats
    weight: Floats
    textured: NDArray[np.bool_]


def tabulate_sharpness(frames: Sequence[MeasuredFrame]) -> SharpnessTable:
    """Build the table from frames of the same size."""
    energy = np.array([frame.measurement.energy for frame in frames]).transpose(2, 0, 1)
    # Sharpness is proportional to the square of the light, so the effect of flicker is divided out.
    light = np.array([frame.measurement.light for frame in frames])
    lit = light.mean(axis=0) > np.median(light.mean(axis=0))
    gain = np.median(light[:, lit] / light[:, lit].mean(axis=0), axis=1) ** (2 / 2.2)
    energy = energy / gain[None, :, None]
    noise = np.quantile(energy, _NOISE_QUANTILE, axis=(0, 1))
    most = energy.max(axis=1, keepdims=True)
    floor = np.maximum(1e-3 * most, 0.05)
    level = np.log(np.maximum(energy - _NOISE_SHARE * noise, floor))
    weight = ((energy > _VISIBLE_SHARE * most) & (energy > _ABOVE_NOISE * noise)).astype(np.float64)
    strong = (most[:, 0] > np.maximum(_TEXTURE_ABOVE_NOISE * noise, _LEAST_ENERGY))[:, :2]
    swings = (most[:, 0] > _SMALLEST_RANGE * energy.min(axis=1))[:, :2]
    textured = strong.all(axis=1) & swings.all(axis=1)
    return SharpnessTable(level[textured], weight[textured], textured)


def noise_floor(frames: Sequence[MeasuredFrame]) -> Floats:
    """Return (bands,) the sharpness that noise alone causes in a tile."""
    energy = np.array([frame.measurement.energy for frame in frames])
    floor: Floats = _NOISE_SHARE * np.quantile(energy, _NOISE_QUANTILE, axis=(0, 2))
    return floor
