"""Compares the depth of field measured in the images with the one computed from the rig's optics.

The flattest tiles together show how sharpness falls off around the plane in focus. ``defocus.py``
predicts the fall-off for the optics that the rig file states.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from macrorail.proof.curves import Curves
from macrorail.proof.defocus import ClaimedOptics, depth_ratio
from macrorail.proof.frame_checker import MeasuredFrame
from macrorail.proof.measure import Floats
from macrorail.proof.tiles import SharpnessTable, noise_floor

DOF_RATIO = (0.83, 1.1)
"""Range of the ratio of measured to computed depth of field in which the optics are accepted."""

_LOWEST_RATIO_UNRESOLVED = 0.65
# If the cut-off frequency of the lens (cycles per pixel) is below this value, its diffraction spot
# alone determines the fall-off. The formula then differs most from a real lens.
_RESOLVES = 0.3

_ENOUGH_TILES = 32
_FLAT_SHARE = 0.25
# Beyond this distance (depths of field) other structures in the tile contribute as much sharpness.
_FARTHEST = 4.0
_BINS = 11
_ENOUGH_SAMPLES = 8
_VISIBLE_SHARE = 0.1


def check_dof(
    curves: Curves,
    u: Floats,
    frames: Sequence[MeasuredFrame],
    table: SharpnessTable,
    optics: ClaimedOptics,
) -> dict[str, Any] | None:
    """Return the ``ratio`` of measured to computed depth of field, and a ``warning`` if needed.

    Parameters
    ----------
    curves
        Fitted curves of the textured tiles.
    u
        (slices,) true positions in depths of field.
    frames
        Measured frames of the same slices.

    Returns
    -------
    dict or None
        ``ratio``, and ``warning``: a text if the two depths of field disagree, otherwise empty.
        ``None`` when there are too few tiles.
    """
    inner = (curves.peak > np.sort(u)[1]) & (curves.peak < np.sort(u)[-2])
    if inner.sum() < _ENOUGH_TILES:
        return None
    # A sloping surface within a tile stays sharp over a longer distance, independent of the optics.
    slope = _slope(curves.peak, frames[0], table)
    flat = np.flatnonzero(inner & (slope <= np.quantile(slope[inner], _FLAT_SHARE)))
    away, energy = _fall_off(curves, u, frames, table, flat)
    if len(away) < _BINS // 2:
        return None
    ratio = depth_ratio(optics, away, energy)
    cut_off = optics.pixel_pitch_um / (optics.wavelength_um * optics.effective_f_number)
    least = DOF_RATIO[0] if cut_off >= _RESOLVES else _LOWEST_RATIO_UNRESOLVED
    wrong = not least <= ratio <= DOF_RATIO[1]
    return {
        "ratio": ratio,
        "computed_um": optics.dof_um,
        "measured_um": ratio * optics.dof_um,
        "tiles": len(flat),
        "warning": _likely_causes(ratio, optics) if wrong else "",
    }


def _slope(peak: Floats, frame: MeasuredFrame, table: SharpnessTable) -> Floats:
    """Return the largest difference between each textured tile's peak and its neighbours' peaks."""
    everywhere = np.full(len(table.textured), np.nan)
    everywhere[table.textured] = peak
    grid = everywhere.reshape(frame.measurement.rows, frame.measurement.columns)
    padded = np.pad(grid, 1, constant_values=np.nan)
    around = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    slope = np.fmax.reduce([np.abs(grid - other) for other in around])
    textured: Floats = np.nan_to_num(slope, nan=np.inf).ravel()[table.textured]
    return textured


def _fall_off(
    curves: Curves,
    u: Floats,
    frames: Sequence[MeasuredFrame],
    table: SharpnessTable,
    chosen: NDArray[np.intp],
) -> tuple[Floats, Floats]:
    """Return the mean sharpness of the chosen tiles at each distance from their peaks.

    Returns
    -------
    away : ndarray
        (distances,) distances from the peak in depths of field.
    energy : ndarray
        (octaves, distances) sharpness less the noise; ``nan`` where the remainder is too weak.
    """
    tiles = np.flatnonzero(table.textured)[chosen]
    fine = np.array([frame.measurement.energy[:, tiles] for frame in frames])
    fine -= noise_floor(frames)[:, None]
    coarse = np.array([frame.measurement.coarse[:, tiles] for frame in frames])
    # All tiles have the same weight, independent of their contrast.
    energies = np.concatenate([fine, coarse], axis=1) / np.exp(curves.height[chosen]).sum(axis=1)
    distance = np.abs(u[:, None] - curves.peak[chosen][None, :])
    place = (distance * (_BINS / _FARTHEST)).astype(np.intp)
    filled = [each for each in range(_BINS) if (place == each).sum() >= _ENOUGH_SAMPLES]
    away = np.array([float(distance[place == each].mean()) for each in filled])
    octaves = np.moveaxis(energies, 1, 0)
    energy = np.array([[octave[place == each].mean() for each in filled] for octave in octaves])
    most = energy.max(axis=1, keepdims=True, initial=0.0)
    return away, np.where(energy > _VISIBLE_SHARE * most, energy, np.nan)


def _likely_causes(ratio: float, optics: ClaimedOptics) -> str:
    """Return a message that names the values in the rig file that could be wrong.

    The message also gives the values that would fit and how to check each one. A wrong f-number, a
    wrong magnification and an axis that moves a different distance than it reports have the same
    effect on the fall-off, so the message names all three.
    """
    m = optics.magnification
    # Depth of field is proportional to the f-number, and nearly to (1 + m) / m**2.
    wanted = ratio * (1 + m) / m**2
    fitting = (1 + np.sqrt(1 + 4 * wanted)) / (2 * wanted)
    na = m / (2 * optics.effective_f_number)
    return (
        f"the measured depth of field is {ratio:.2f} times the computed one "
        f"({optics.dof_um:.4g} um). One of three numbers in the rig file is wrong. The f-number: "
        f"effective f/{optics.effective_f_number * ratio:.3g} (NA {na / ratio:.3g}) would fit; "
        f"check the aperture ring and the EXIF of the frames. The magnification: {fitting:.3g} "
        f"would fit, the rig file states {m:.3g}; photograph a ruler. The scale of the axis: it "
        f"would move {1 / ratio:.3g} times as far as the rig file says; check lead, "
        f"steps_per_revolution and microsteps, and measure a move of 10 mm with a caliper"
    )
