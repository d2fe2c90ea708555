"""Draws a beetle in front of a dark ground: colour and height, determined by a seed.

The body is a dome with raised wing cases, ribs and knobs with vertical walls, pits, and small
iridescent scales with texture down to single pixels. Sizes are fractions of the width of the frame
and of the depth, so that the specimen always fills the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from macrorail_sims.bristles import bristle_sheets
from macrorail_sims.sheet import Floats, Sheet, Specimen

# Fractions of the depth between the nearest bristle's tip and the ground.
_RIM = 0.88
_DOME = 0.66
# Fractions of the frame's width.
_HALF_LENGTH, _HALF_BREADTH = 0.60, 0.385
_WAIST = -0.19
_SCALE = 0.011
_TILT = np.radians(-17.0)

_LAMP = np.array([-0.42, -0.50, 0.76], np.float32)  # from the upper left
_EMERALD, _TEAL, _GOLD, _COPPER = (
    np.array(bgr, np.float32)
    for bgr in ((0.16, 0.42, 0.07), (0.42, 0.34, 0.04), (0.06, 0.42, 0.50), (0.05, 0.16, 0.46))
)
_CUTICLE = np.array((0.035, 0.028, 0.030), np.float32)
_GROUND = np.array((0.016, 0.012, 0.010), np.float32)


@dataclass(frozen=True)
class _Grid:
    """Coordinates from the middle, in frame widths, along the axes of the picture and the body."""

    x: Floats
    y: Floats
    along: Floats
    across: Floats
    frame_px: int

    @property
    def shape(self) -> tuple[int, int]:
        height, width = self.x.shape
        return height, width


def make_specimen(
    seed: int,
    shape: tuple[int, int],
    frame_width_px: int,
    object_pixel_um: float,
    near_um: float,
    far_um: float,
) -> Specimen:
    """Draw a specimen and return it.

    Parameters
    ----------
    seed
        Seed of all random numbers.
    shape
        Rows and columns of the rasters, including a margin around the frame.
    frame_width_px
        Width of the frame on the raster; sizes are relative to this width.
    object_pixel_um
        Size of a pixel of the raster.
    near_um, far_um
        Positions of the nearest bristle's tip and of the ground.
    """
    rng = np.random.default_rng([seed, 1])
    grid = _grid(shape, frame_width_px)
    depth_um = far_um - near_um
    coverage, height, bare = _body_shape(grid, rng)
    body = Sheet(
        colour=_skin(grid, height * (depth_um / object_pixel_um), bare, rng),
        coverage=coverage,
        depth_um=(near_um + depth_um * (_RIM - height)).astype(np.float32),
        solid=True,
    )
    bristles = bristle_sheets(rng, body, frame_width_px, near_um, depth_um)
    return Specimen((*bristles, body), _ground(grid, rng), near_um, far_um)


def _grid(shape: tuple[int, int], frame_px: int) -> _Grid:
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    x = (columns - (shape[1] - 1) / 2) / frame_px
    y = (rows - (shape[0] - 1) / 2) / frame_px
    cos, sin = np.float32(np.cos(_TILT)), np.float32(np.sin(_TILT))
    return _Grid(x, y, x * cos - y * sin, x * sin + y * cos, frame_px)


def _noise(grid: _Grid, rng: np.random.Generator, coarsest: float, fall: float) -> Floats:
    """Return noise in every octave from ``coarsest`` (in frame widths) down to pixels.

    Its mean is 0 and its standard deviation 1. Each octave has ``fall`` times the amplitude of the
    next coarser octave.
    """
    height, width = grid.shape
    total = np.zeros(grid.shape, np.float32)
    amplitude, cell_px = 1.0, coarsest * grid.frame_px
    while cell_px >= 1.5:
        small = (max(4, round(height / cell_px)), max(4, round(width / cell_px)))
        coarse = rng.standard_normal(small, dtype=np.float32)
        total += amplitude * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        amplitude *= fall
        cell_px /= 2
    total += amplitude * rng.standard_normal(grid.shape, dtype=np.float32)
    noise: Floats = ((total - total.mean()) / total.std()).astype(np.float32)
    return noise


def _body_shape(grid: _Grid, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Return each pixel's coverage 0..1, height as a share of the depth, bare cuticle 0..1."""
    along, across = grid.along, grid.across
    # The outline is an egg, broader behind the middle.
    breadth = _HALF_BREADTH * (1 + 0.30 * along - 0.35 * along**2)
    side = across / breadth
    radius = np.sqrt((along / _HALF_LENGTH) ** 2 + side**2)
    coverage = np.clip((1 - radius) * (_HALF_BREADTH * grid.frame_px) + 0.5, 0, 1)
    height = _DOME * np.clip(1 - radius**2, 0, 1) ** 0.95

    waist = _WAIST + 0.05 * side**2
    wing = along > waist
    height -= np.where(wing, 0.0, 0.05)  # the wing case's front edge is a wall
    seam = np.exp(-((across / 0.004) ** 2)) * wing
    height -= 0.03 * seam
    bare = seam.copy()

    ribs = np.zeros(grid.shape, bool)
    for at in (-0.72, -0.44, -0.17, 0.17, 0.44, 0.72):
        ribs |= np.abs(side - at) < 0.035
    ribs &= wing & (along > waist + 0.03) & (radius < 0.86)
    height += 0.045 * ribs
    bare = np.maximum(bare, ribs)

    for at in (-0.58, -0.305, 0.305, 0.58):  # rows of pits between the ribs
        beat = np.cos(along * (2 * np.pi / 0.028) + 9 * at)
        row = np.exp(-(((side - at) / 0.032) ** 2)) * np.clip(beat, 0, 1) ** 2 * wing
        height -= 0.028 * row * (radius < 0.92)
        bare = np.maximum(bare, row)

    for _ in range(26):  # knobs, mostly on the neck shield
        on_wing = rng.random() < 0.4
        knob_along = rng.uniform(-0.05, 0.42) if on_wing else rng.uniform(-0.48, -0.25)
        reach = 0.8 * np.sqrt(max(0.0, 1 - (knob_along / _HALF_LENGTH) ** 2)) * _HALF_BREADTH
        knob_across = rng.uniform(-reach, reach)
        away = np.hypot(along - knob_along, across - knob_across)
        knob = away < rng.uniform(0.007, 0.016)
        height += rng.uniform(0.04, 0.075) * knob
        bare = np.maximum(bare, knob)

    bare = np.maximum(bare, np.clip((radius - 0.93) / 0.03, 0, 1))  # the wing case's dark margin
    height += 0.004 * _noise(grid, rng, 0.15, 0.6)
    height = np.clip(height, 0.0, None)
    return coverage.astype(np.float32), height.astype(np.float32), bare.astype(np.float32)


def _skin(grid: _Grid, height_px: Floats, bare: Floats, rng: np.random.Generator) -> Floats:
    """Return the colour of the body under the lamp; ``height_px`` is its relief in pixels."""
    tint, tone, gap, rib = _scales(grid, rng)
    colour = np.empty((*grid.shape, 3), np.float32)
    warm = np.clip(0.5 + 0.28 * _noise(grid, rng, 0.35, 0.5) + tint, 0, 1)
    bands = (warm < 0.4, (warm >= 0.4) & (warm < 0.75), warm >= 0.75)
    pairs = (
        (_TEAL, _EMERALD, 0.0, 0.4),
        (_EMERALD, _GOLD, 0.4, 0.35),
        (_GOLD, _COPPER, 0.75, 0.25),
    )
    for band, (start, end, low, width) in zip(bands, pairs, strict=True):
        mix = ((warm[band] - low) / width)[:, None]
        colour[band] = start + (end - start) * mix
    colour *= (tone * gap * rib)[..., None]
    grain = 1 + 0.40 * _noise(grid, rng, 0.02, 0.85)
    cuticle = _CUTICLE * np.clip(grain, 0.2, None)[..., None]
    bareness = cv2.GaussianBlur(bare, (0, 0), 0.6)[..., None]
    colour += (cuticle - colour) * bareness

    smooth = cv2.GaussianBlur(height_px, (0, 0), max(0.8, grid.frame_px / 900))
    slope_x = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8)
    slope_y = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
    # Slopes are reduced, because the large lamp also lights them from the side.
    normal = np.dstack([-0.45 * slope_x, -0.45 * slope_y, np.ones_like(slope_x)])
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    lamp = _LAMP / np.linalg.norm(_LAMP)
    facing = normal @ lamp
    half = lamp + np.array([0, 0, 1], np.float32)
    gloss = np.clip(normal @ (half / np.linalg.norm(half)), 0, 1) ** 28
    around = cv2.GaussianBlur(height_px, (0, 0), grid.frame_px / 60)
    hollow = np.clip(1 + (height_px - around) / (grid.frame_px / 24), 0.35, 1.25)
    light = (0.22 + 1.05 * np.clip(0.15 + 0.85 * facing, 0, None)) * hollow
    colour = colour * light[..., None] + (0.22 * gloss * grain.clip(0.3, 2) * hollow)[..., None]
    shown: Floats = np.clip(colour, 0.002, 0.95).astype(np.float32)
    return shown


def _scales(grid: _Grid, rng: np.random.Generator) -> tuple[Floats, Floats, Floats, Floats]:
    """Return for each pixel the scale's tint -0.5..0.5, tone, gaps between scales and fine ribs."""
    height, width = grid.shape
    pitch = max(4.0, _SCALE * grid.frame_px)
    rows, columns = np.mgrid[0 : height + pitch : pitch, 0 : width + pitch : pitch]
    places_y = rows + rng.uniform(-0.42, 0.42, rows.shape) * pitch
    places_x = columns + rng.uniform(-0.42, 0.42, rows.shape) * pitch
    places_x[1::2] += pitch / 2
    at_y = np.clip(places_y.round().astype(int), 0, height - 1)
    at_x = np.clip(places_x.round().astype(int), 0, width - 1)
    seeds = np.ones(grid.shape, np.uint8)
    seeds[at_y, at_x] = 0
    _, labels = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    count = int(labels.max()) + 1
    border = np.zeros(grid.shape, np.float32)
    border[:, 1:] += labels[:, 1:] != labels[:, :-1]
    border[1:] += labels[1:] != labels[:-1]
    gap = 1 - 0.9 * cv2.GaussianBlur(np.minimum(border, 1), (0, 0), max(0.5, pitch / 16))
    tint = rng.normal(0, 0.13, count).astype(np.float32)[labels]
    tone = rng.uniform(0.2, 1.5, count).astype(np.float32)[labels]
    turn = rng.uniform(0, np.pi, count).astype(np.float32)
    phase = grid.x * np.cos(turn)[labels] + grid.y * np.sin(turn)[labels]
    rib = 1 + 0.45 * np.sin(phase * (2 * np.pi * grid.frame_px / max(3.2, pitch / 2.9)))
    return tint, tone, gap.astype(np.float32), rib.astype(np.float32)


def _ground(grid: _Grid, rng: np.random.Generator) -> Floats:
    """Return the ground: dark, almost without texture, a little lighter towards the lamp."""
    fall = 1 - 0.55 * (grid.x * -_LAMP[0] + grid.y * -_LAMP[1]) / 0.4
    grain = 1 + 0.03 * _noise(grid, rng, 0.2, 0.6)
    light = np.clip(fall, 0.3, None) * grain
    colour: Floats = (light[..., None] * _GROUND).astype(np.float32)
    return colour
