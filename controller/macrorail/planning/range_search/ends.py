"""Finds the near and far end of the specimen from pictures taken along the axis.

Each tile of the picture is sharpest at one position. The nearest and the farthest of these
positions, each supported by several tiles, are the ends. Two kinds of tile are ignored: tiles
without texture, and tiles that show only the blur of neighbouring tiles. Blur changes slowly along
the axis, whereas detail is sharp over a short distance.
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
# The sharpness of a sharp tile falls to this fraction within this many depths of field.
_FALL_OFF_DOF, _FALL_OFF = 3.0, 0.3
_FEWEST_PICTURES = 3
_FEWEST_TILES = 3
_TILE_SHARE = 0.005


@dataclass(frozen=True)
class SearchPicture:
    """One picture of the search.

    Attributes
    ----------
    position_um
        Position of the axis.
    measurement
        Sharpness and light measured in the picture.
    """

    position_um: float
    measurement: Measurement


@dataclass(frozen=True)
class SpecimenEnds:
    """The ends of the specimen, as found in the pictures of a search.

    Attributes
    ----------
    near_um, far_um
        Positions of the specimen's nearest and farthest sharp plane.
    tiles, of_tiles
        Number of tiles with texture, and number of all tiles.
    near_open, far_open
        Whether the specimen seems to extend beyond the first or the last picture.
    """

    near_um: float
    far_um: float
    tiles: int
    of_tiles: int
    near_open: bool
    far_open: bool


def find_specimen_ends(
    pictures: Sequence[SearchPicture], band: int, dof_um: float
) -> SpecimenEnds | None:
    """Return the ends of the specimen; ``None`` when too few tiles have texture.

    Parameters
    ----------
    pictures
        Pictures in any order; the result is ``None`` for fewer than three.
    band
        Octave of detail that is used.
    dof_um
        Depth of field of a picture in this octave, micrometres.
    """
    pictures = _in_order(pictures)
    if len(pictures) < _FEWEST_PICTURES:
        return None
    position_um = np.array([picture.position_um for picture in pictures])
    energy = _energy(pictures, band)
    noise = float(np.quantile(energy, _NOISE_QUANTILE))
    most = energy.max(axis=1)
    textured = most > max(_ABOVE_NOISE * noise, _LEAST_ENERGY)
    textured &= _is_peaked(energy, position_um, _FALL_OFF_DOF * dof_um)
    enough = max(_FEWEST_TILES, round(_TILE_SHARE * len(energy)))
    if textured.sum() < enough:
        return None
    sharpest = energy[textured].argmax(axis=1)
    peaks_um = np.sort(_peaks_um(energy[textured], sharpest, position_um))
    order = np.sort(sharpest)
    return SpecimenEnds(
        near_um=float(peaks_um[enough - 1]),
        far_um=float(peaks_um[-enough]),
        tiles=int(textured.sum()),
        of_tiles=len(energy),
        near_open=bool(order[enough - 1] == 0),
        far_open=bool(order[-enough] == len(pictures) - 1),
    )


def _in_order(pictures: Sequence[SearchPicture]) -> list[SearchPicture]:
    """Return the pictures ordered by position, with only the newest picture at each position."""
    return [
        picture
        for _, picture in sorted({picture.position_um: picture for picture in pictures}.items())
    ]


def _is_peaked(energy: Floats, position_um: Floats, within_um: float) -> NDArray[np.bool_]:
    """Return (tiles,) bool: whether a tile is clearly less sharp beside its sharpest picture."""
    sharpest = energy.argmax(axis=1)
    away_um = position_um[None, :] - position_um[sharpest][:, None]
    limit = _FALL_OFF * energy.max(axis=1)
    shown = np.ones(len(energy), np.bool_)
    for side_um in (-away_um, away_um):
        beside = (side_um > 0) & (side_um <= within_um)
        least = np.where(beside, energy, np.inf).min(axis=1)
        # At an end of the search there is no picture on one side to compare with.
        shown &= (least < limit) | ~beside.any(axis=1)
    return shown


def _energy(pictures: Sequence[SearchPicture], band: int) -> Floats:
    """Return (tiles, pictures) float64, the sharpness corrected for changes of the light."""
    energy = np.array([picture.measurement.energy[band] for picture in pictures]).T
    light = np.array([picture.measurement.light for picture in pictures])
    lit = light.mean(axis=0) >= np.median(light.mean(axis=0))
    # Sharpness is proportional to the square of the pixel values, and a pixel value is proportional
    # to the light to the power of 1/2.2.
    brightness = np.maximum(np.median(light[:, lit], axis=1), 1e-4)
    energy = energy * (np.median(brightness) / brightness) ** (2 / 2.2)
    return np.asarray(energy, np.float64)


def _peaks_um(energy: Floats, sharpest: NDArray[np.intp], position_um: Floats) -> Floats:
    """Return the position at which each tile is sharpest, interpolated between the pictures.

    The peak is the vertex of a parabola through the sharpest picture and its two neighbours.
    """
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
