"""Checks an alignment tile by tile: do two pictures show the same detail at the same place?

Each textured tile of one picture is searched for in the other picture, around the place where the
transform puts the tile. If the transform is right, nearly all tiles match best at zero
displacement, however much the frames differ in brightness and sharpness. If the transform is
wrong, they match best at other displacements or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from macrorail.stacking.kernels import Floats
from macrorail.stacking.register import Scale, Transform, shrink

# Tiles are compared first in a picture whose long side has at most this many pixels, then in
# pictures of half that size, and so on.
_FINEST_PX = 800
# Number of tiles along the long and the short side, and the edge length of a tile in pixels. Tiles
# of a small picture are smaller.
_GRID = (7, 5)
_TILE_PX = 40
_LEAST_TILE_PX = 20
# How far around its expected place a tile is searched for, in pixels of the compared picture.
_REACH_PX = 6
# A tile whose standard deviation after removal of the local mean is below this shows only noise.
_FLAT = 0.1
# A match with at least this normalised correlation is more than chance.
_MATCH = 0.55
# A tile agrees if its correlation at zero displacement (to a pixel) is within this of the best
# correlation. Along a straight edge all displacements have the same correlation.
_TIE = 0.05
# This many matching tiles are enough for a decision.
_ENOUGH = 6
# Number of disagreeing tiles assumed before any tile is compared.
_PRIOR_TILES = 2


@dataclass(frozen=True)
class Agreement:
    """How well two pictures agree under a transform.

    Attributes
    ----------
    agreeing, matching
        Number of tiles whose best match is where the transform puts them, and number of tiles with
        a match anywhere within the search distance.
    tiles
        Number of textured tiles that both pictures show.
    points
        (n, 4) float64, one row for each matching tile: x, y in the fixed picture and x, y of its
        match in the moving picture, in pixels of the finest scale.
    """

    agreeing: int
    matching: int
    tiles: int
    points: NDArray[np.float64]

    @property
    def trust(self) -> float:
        """Share of the matching tiles that agree, 0..1; lowered when only few tiles match."""
        return self.agreeing / (self.matching + _PRIOR_TILES)


def agreement(fixed: Sequence[Scale], moving: Sequence[Scale], warp: Transform) -> Agreement:
    """Compare two pictures prepared by :func:`macrorail.stacking.register.prepare`.

    Parameters
    ----------
    warp
        (3, 3) transform from pixel coordinates of ``fixed[0]`` to those of ``moving[0]``.
    """
    best: Agreement | None = None
    for level, (one, other) in enumerate(zip(fixed, moving, strict=True)):
        if level + 1 < len(fixed) and max(one.even.shape) > _FINEST_PX:
            continue
        found = _compare(one.even, other.even, shrink(warp, 2**level), 2**level)
        if best is None or found.matching > best.matching:
            best = found
        if found.matching >= _ENOUGH:
            break
    assert best is not None
    return best


def _compare(fixed: Floats, moving: Floats, warp: Transform, factor: int) -> Agreement:
    height, width = fixed.shape
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(moving, warp[:2], (width, height), flags=flags)
    tile = max(_LEAST_TILE_PX, min(_TILE_PX, min(height, width) // 5))
    room_x, room_y = width - tile - 2 * _REACH_PX, height - tile - 2 * _REACH_PX
    agreeing, tiles = 0, 0
    points = []
    if room_x < 1 or room_y < 1:
        return Agreement(0, 0, 0, np.empty((0, 4)))
    columns, rows = _GRID if width >= height else _GRID[::-1]
    for y in np.linspace(_REACH_PX, _REACH_PX + room_y, rows).astype(int):
        for x in np.linspace(_REACH_PX, _REACH_PX + room_x, columns).astype(int):
            part = fixed[y : y + tile, x : x + tile]
            if part.std() < _FLAT or not _reaches(warp, x, y, tile, moving.shape):
                continue
            around = laid[
                y - _REACH_PX : y + tile + _REACH_PX, x - _REACH_PX : x + tile + _REACH_PX
            ]
            if around.std() < _FLAT:
                continue
            tiles += 1
            match = cv2.matchTemplate(around, part, cv2.TM_CCOEFF_NORMED)
            _, peak, _, (at_x, at_y) = cv2.minMaxLoc(match)
            if not _MATCH <= peak <= 1.001:
                continue
            still = match[_REACH_PX - 1 : _REACH_PX + 2, _REACH_PX - 1 : _REACH_PX + 2].max()
            agrees = bool(still >= peak - _TIE)
            agreeing += agrees
            middle = np.array([x + (tile - 1) / 2, y + (tile - 1) / 2])
            off = np.zeros(2) if agrees else np.array([at_x, at_y]) - _REACH_PX
            there = warp[:2, :2] @ (middle + off) + warp[:2, 2]
            points.append(np.concatenate([middle, there]) * factor + (factor - 1) / 2)
    return Agreement(agreeing, len(points), tiles, np.array(points).reshape(-1, 4))


def _reaches(warp: Transform, x: int, y: int, tile: int, shape: tuple[int, ...]) -> bool:
    """Return whether the moving picture shows the tile and its surroundings completely."""
    ends_x, ends_y = (x - _REACH_PX, x + tile + _REACH_PX), (y - _REACH_PX, y + tile + _REACH_PX)
    corners = np.array([[a, b, 1] for a in ends_x for b in ends_y])
    at = corners @ warp[:2].T
    return bool((at >= 0).all() and (at <= [shape[1] - 1, shape[0] - 1]).all())
