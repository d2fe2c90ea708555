"""Holds the depth of field that the images show against what the rig's optics claim.

The tiles that slope least along z, all of them together, say how sharpness falls off around the
plane in focus; what the claimed optics should make of such a texture is ``defocus.py``'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from macrorail.proof.curves import Curves
from macrorail.proof.defocus import Optics, depth_ratio
from macrorail.proof.judge import Look
from macrorail.proof.measure import Floats
from macrorail.proof.tiles import Table, noise_floor

DOF_RATIO = (0.83, 1.1)
"""Measured over computed depth of field, between which the optics are believed."""

_LEAST_UNRESOLVED = 0.65
# Cut-off of the lens, cycles per pixel, below which its spot alone makes the fall-off; how far the
# formula's rings are from a true lens's then counts most.
_RESOLVES = 0.3

_ENOUGH_TILES = 32
_FLAT_SHARE = 0.25
# Farther off, what else lies within a tile counts as much as the texture in question.
_FARTHEST = 4.0
_PLACES = 11
_ENOUGH_SAMPLES = 8
_SEEN_SHARE = 0.1


def measured_dof(
    curves: Curves, u: Floats, looks: Sequence[Look], table: Table, optics: Optics
) -> dict[str, Any] | None:
    """``ratio`` of measured to computed depth of field and a ``warning``, if they disagree.

    Parameters
    ----------
    curves
        Of the textured tiles.
    u
        (slices,) true places in depths of field.
    looks
        Of the same slices.

    Returns
    -------
    dict or None
        ``None`` without enough tiles to say.
    """
    inner = (curves.peak > np.sort(u)[1]) & (curves.peak < np.sort(u)[-2])
    if inner.sum() < _ENOUGH_TILES:
        return None
    # What slopes within a tile is sharp over a longer way, whatever the optics.
    slope = _slope(curves.peak, looks[0], table)
    flat = np.flatnonzero(inner & (slope <= np.quantile(slope[inner], _FLAT_SHARE)))
    away, energy = _fall_off(curves, u, looks, table, flat)
    if len(away) < _PLACES // 2:
        return None
    ratio = depth_ratio(optics, away, energy)
    cut_off = optics.pixel_pitch_um / (optics.wavelength_um * optics.effective_f_number)
    least = DOF_RATIO[0] if cut_off >= _RESOLVES else _LEAST_UNRESOLVED
    wrong = not least <= ratio <= DOF_RATIO[1]
    return {
        "ratio": ratio,
        "computed_um": optics.dof_um,
        "measured_um": ratio * optics.dof_um,
        "tiles": len(flat),
        "warning": _suspects(ratio, optics) if wrong else "",
    }


def _slope(peak: Floats, look: Look, table: Table) -> Floats:
    """How much a textured tile's peak differs from its neighbours' in the frame, at most."""
    everywhere = np.full(len(table.textured), np.nan)
    everywhere[table.textured] = peak
    grid = everywhere.reshape(look.seen.rows, look.seen.columns)
    padded = np.pad(grid, 1, constant_values=np.nan)
    around = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    slope = np.fmax.reduce([np.abs(grid - other) for other in around])
    textured: Floats = np.nan_to_num(slope, nan=np.inf).ravel()[table.textured]
    return textured


def _fall_off(
    curves: Curves, u: Floats, looks: Sequence[Look], table: Table, chosen: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Mean sharpness of the chosen tiles over the distance from their peaks.

    Returns
    -------
    away : ndarray
        (places,) in depths of field.
    energy : ndarray
        (octaves, places), noise taken off; ``nan`` where too little is left to rely on.
    """
    tiles = np.flatnonzero(table.textured)[chosen]
    fine = np.array([look.seen.energy[:, tiles] for look in looks])
    fine -= noise_floor(looks)[:, None]
    coarse = np.array([look.seen.coarse[:, tiles] for look in looks])
    # Each tile counts alike, whatever its contrast.
    seen = np.concatenate([fine, coarse], axis=1) / np.exp(curves.height[chosen]).sum(axis=1)
    distance = np.abs(u[:, None] - curves.peak[chosen][None, :])
    place = (distance * (_PLACES / _FARTHEST)).astype(np.intp)
    filled = [each for each in range(_PLACES) if (place == each).sum() >= _ENOUGH_SAMPLES]
    away = np.array([float(distance[place == each].mean()) for each in filled])
    octaves = np.moveaxis(seen, 1, 0)
    energy = np.array([[octave[place == each].mean() for each in filled] for octave in octaves])
    most = energy.max(axis=1, keepdims=True, initial=0.0)
    return away, np.where(energy > _SEEN_SHARE * most, energy, np.nan)


def _suspects(ratio: float, optics: Optics) -> str:
    """Which of the rig's numbers would explain it, and by how much it would be off.

    The blur disc grows with NA and the magnification does as well, so that a wrong f-number and a
    wrong magnification look alike; each is named with the value that would fit.
    """
    m = optics.magnification
    # Depth of field goes with the f-number, and nearly with (1 + m) / m**2 of the magnification.
    wanted = ratio * (1 + m) / m**2
    fitting = (1 + np.sqrt(1 + 4 * wanted)) / (2 * wanted)
    na = m / (2 * optics.effective_f_number)
    return (
        f"the measured depth of field is {ratio:.2f} times the computed one "
        f"({optics.dof_um:.4g} um): most likely the f-number is wrong (the lens stands as if at "
        f"{ratio:.2f} times the f-number given, effective f/"
        f"{optics.effective_f_number * ratio:.3g}, NA {na / ratio:.3g}), or the magnification "
        f"({fitting:.3g} would fit instead of {m:.3g}). Check the aperture ring and measure a ruler"
    )
