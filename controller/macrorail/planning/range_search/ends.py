"""From looks along the axis to where the specimen begins and ends.

Each tile of the picture is sharpest in one look; the nearest and the farthest of these planes, of
more than a few tiles, are the ends. Tiles without texture say nothing, nor do those that only catch
the blur of their neighbours: it comes and goes slowly, where what is sharp is so for a moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from macrorail.proof.measure import Floats, Measurement

_NOISE_QUANTILE = 0.02
_ABOVE_NOISE = 8.0
_LEAST_ENERGY = 4.0
# Within so many depths of field to either side a sharp tile loses so much of its sharpness.
_WITHIN, _LEFT = 3.0, 0.3
_LEAST_LOOKS = 3
_LEAST_TILES = 3
_TILE_SHARE = 0.005


@dataclass(frozen=True)
class Looked:
    """One look.

    Attributes
    ----------
    position_um
        Where the axis stood.
    seen
        What was measured.
    """

    position_um: float
    seen: Measurement


@dataclass(frozen=True)
class Ends:
    """Where the specimen begins and ends.

    Attributes
    ----------
    near_um, far_um
        Its nearest and farthest sharp planes.
    tiles, of_tiles
        How many tiles have texture, and how many there are.
    near_open, far_open
        Whether it seems to go on beyond the outermost look.
    """

    near_um: float
    far_um: float
    tiles: int
    of_tiles: int
    near_open: bool
    far_open: bool


def find_ends(looks: Sequence[Looked], band: int, dof_um: float) -> Ends | None:
    """The ends by the detail of one octave; ``None`` when too few tiles have texture.

    Parameters
    ----------
    looks
        In any order; fewer than three say nothing.
    dof_um
        Depth of field of a look in that octave.
    """
    looks = _in_order(looks)
    if len(looks) < _LEAST_LOOKS:
        return None
    position_um = np.array([look.position_um for look in looks])
    energy = _energy(looks, band)
    noise = float(np.quantile(energy, _NOISE_QUANTILE))
    most = energy.max(axis=1)
    textured = most > max(_ABOVE_NOISE * noise, _LEAST_ENERGY)
    textured &= _comes_and_goes(energy, position_um, _WITHIN * dof_um)
    enough = max(_LEAST_TILES, round(_TILE_SHARE * len(energy)))
    if textured.sum() < enough:
        return None
    sharpest = energy[textured].argmax(axis=1)
    peaks_um = np.sort(_peaks_um(energy[textured], sharpest, position_um))
    order = np.sort(sharpest)
    return Ends(
        near_um=float(peaks_um[enough - 1]),
        far_um=float(peaks_um[-enough]),
        tiles=int(textured.sum()),
        of_tiles=len(energy),
        near_open=bool(order[enough - 1] == 0),
        far_open=bool(order[-enough] == len(looks) - 1),
    )


def _in_order(looks: Sequence[Looked]) -> list[Looked]:
    """By position, of each place the newest."""
    return [look for _, look in sorted({look.position_um: look for look in looks}.items())]


def _comes_and_goes(energy: Floats, position_um: Floats, within_um: float) -> NDArray[np.bool_]:
    """Tiles that are clearly less sharp a little before and a little behind their best look."""
    sharpest = energy.argmax(axis=1)
    away_um = position_um[None, :] - position_um[sharpest][:, None]
    limit = _LEFT * energy.max(axis=1)
    shown = np.ones(len(energy), np.bool_)
    for side_um in (-away_um, away_um):
        beside = (side_um > 0) & (side_um <= within_um)
        least = np.where(beside, energy, np.inf).min(axis=1)
        # At the end of the way there is nothing beside it to tell.
        shown &= (least < limit) | ~beside.any(axis=1)
    return shown


def _energy(looks: Sequence[Looked], band: int) -> Floats:
    """(tiles, looks): sharpness, freed of changes of the light."""
    energy = np.array([look.seen.energy[band] for look in looks]).T
    light = np.array([look.seen.light for look in looks])
    lit = light.mean(axis=0) >= np.median(light.mean(axis=0))
    # Sharpness goes with the square of the light, in a picture for display with its 1/2.2nd power.
    brightness = np.maximum(np.median(light[:, lit], axis=1), 1e-4)
    energy = energy * (np.median(brightness) / brightness) ** (2 / 2.2)
    return np.asarray(energy, np.float64)


def _peaks_um(energy: Floats, sharpest: NDArray[np.intp], position_um: Floats) -> Floats:
    """Between the looks: the top of a parabola through the three around the sharpest."""
    level = np.log(energy + 1e-3)
    tiles = np.arange(len(energy))
    inner = np.clip(sharpest, 1, len(position_um) - 2)
    before, here, behind = (level[tiles, inner + off] for off in (-1, 0, 1))
    left = position_um[inner] - position_um[inner - 1]
    right = position_um[inner + 1] - position_um[inner]
    rise, fall = (here - before) / left, (behind - here) / right
    bend = (fall - rise) / ((left + right) / 2)
    slope = (rise * right + fall * left) / (left + right)
    safe = np.where(bend < 0, bend, -1.0)
    off = np.clip(np.where(bend < 0, -slope / safe, 0.0), -left / 2, right / 2)
    at_an_end = sharpest != inner
    peaks: Floats = np.where(at_an_end, position_um[sharpest], position_um[inner] + off)
    return peaks
