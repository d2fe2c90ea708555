"""Draws bristles: thin light and dark hairs that rise from the specimen towards the camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from macrorail_sims.sheet import Floats, Sheet

_SHEETS = 4
_BRISTLES = 120
_POINTS = 28
_SUBPIXEL_BITS = 4

_PALE = np.array((0.42, 0.66, 0.80), np.float32)
_DARK = np.array((0.010, 0.012, 0.016), np.float32)


@dataclass(frozen=True)
class _Bristle:
    """A curve from root to tip: coordinates and width in pixels, depth in micrometres."""

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    depth_um: npt.NDArray[np.float64]
    width_px: npt.NDArray[np.float64]
    colour: Floats


def bristle_sheets(
    rng: np.random.Generator, body: Sheet, frame_px: int, near_um: float, depth_um: float
) -> tuple[Sheet, ...]:
    """Draw bristles on a body and return their sheets; bristles on the same sheet do not cross.

    Parameters
    ----------
    rng
        Random number generator.
    body
        Surface on which the bristles grow.
    frame_px
        Width of the frame; the lengths of bristles are relative to this width.
    near_um
        Nearest position of a tip; the tip of one bristle is at this position.
    depth_um
        Depth of the complete specimen; the heights of bristles are relative to this depth.
    """
    drawings = [_Drawing(body.coverage.shape) for _ in range(_SHEETS)]
    wanted = [_grow(rng, body, frame_px, near_um, depth_um) for _ in range(_BRISTLES)]
    nearest = min(wanted, key=lambda bristle: float(bristle.depth_um[-1]))
    nearest.depth_um[:] += np.linspace(0, 1, _POINTS) ** 2 * (near_um - nearest.depth_um[-1])
    for bristle in wanted:
        # A bristle that would cross others on every sheet is left out.
        any(drawing.add(bristle) for drawing in drawings)
    return tuple(drawing.sheet() for drawing in drawings)


def _grow(
    rng: np.random.Generator, body: Sheet, frame_px: int, near_um: float, depth_um: float
) -> _Bristle:
    height, width = body.coverage.shape
    while True:
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        if body.coverage[int(y), int(x)] > 0.9:
            break
    root_um = float(body.depth_um[int(y), int(x)])
    # Bristles lean outwards, more strongly near the edge.
    out = np.arctan2(y - height / 2, x - width / 2)
    heading = out + rng.normal(0, 0.5) + np.linspace(0, rng.normal(0, 0.7), _POINTS)
    length = frame_px * rng.uniform(0.035, 0.115)
    path_x = x + np.concatenate([[0], np.cumsum(np.cos(heading[1:]))]) * length / _POINTS
    path_y = y + np.concatenate([[0], np.cumsum(np.sin(heading[1:]))]) * length / _POINTS
    along = np.linspace(0, 1, _POINTS)
    rise = depth_um * rng.uniform(0.07, 0.28) * np.sin(along * np.pi / 2)
    tip_room = root_um - near_um
    rise *= min(1.0, tip_room / max(float(rise[-1]), 1e-9))
    dark = rng.random() < 0.35
    base_px = frame_px * (rng.uniform(0.0042, 0.0068) if dark else rng.uniform(0.0026, 0.0050))
    colour = (_DARK if dark else _PALE) * np.float32(rng.uniform(0.75, 1.15))
    return _Bristle(path_x, path_y, root_um - rise, base_px * (1 - 0.82 * along), colour)


class _Drawing:
    """A sheet while it is being drawn."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._colour = np.zeros((*shape, 3), np.float32)
        self._coverage = np.zeros(shape, np.float32)
        self._depth_um = np.zeros(shape, np.float32)
        self._taken = np.zeros(shape, np.uint8)

    def sheet(self) -> Sheet:
        return Sheet(self._colour, self._coverage, self._depth_um, solid=False)

    def add(self, bristle: _Bristle) -> bool:
        """Draw a bristle unless it would cross another bristle; return whether it was drawn."""
        left, right = int(bristle.x.min()) - 10, int(bristle.x.max()) + 11
        top, bottom = int(bristle.y.min()) - 10, int(bristle.y.max()) + 11
        height, width = self._taken.shape
        if left < 0 or top < 0 or right > width or bottom > height:
            return False
        window = (slice(top, bottom), slice(left, right))
        size = (bottom - top, right - left)
        points = np.stack([bristle.x - left, bristle.y - top], axis=1)

        around = np.zeros(size, np.uint8)
        for index in range(_POINTS - 1):
            _line(around, points, index, bristle.width_px[index] + 5.0, 1)
        if (self._taken[window] & around).any():
            return False
        self._taken[window] |= around

        colour, depth_um = self._colour[window], self._depth_um[window]
        coverage = np.zeros(size, np.uint8)
        shade = np.zeros(size, np.uint8)
        for index in range(_POINTS - 1):
            width_px = float(bristle.width_px[index])
            part = np.zeros(size, np.uint8)
            _line(part, points, index, width_px + 5.0, 1)
            depth_um[part > 0] = bristle.depth_um[index]
            _line(coverage, points, index, width_px, 255)
            # A round hair has a highlight along the side towards the lamp.
            lit = points - 0.18 * width_px
            _line(shade, lit, index, max(0.8, 0.35 * width_px), 255)
        wide = around > 0
        light = 0.55 + 0.75 * (cv2.GaussianBlur(shade, (0, 0), 0.7)[wide] / np.float32(255))
        colour[wide] = np.clip(bristle.colour * light[:, None], 0, 0.95)
        colour[wide] += 0.10 * np.clip(light[:, None] - 0.8, 0, None)
        ours = np.where(wide, coverage / np.float32(255), np.float32(0))
        self._coverage[window] = np.maximum(self._coverage[window], ours)
        return True


def _line(
    canvas: npt.NDArray[np.uint8],
    points: npt.NDArray[np.float64],
    index: int,
    width_px: float,
    value: int,
) -> None:
    """Draw the segment between two points; a segment narrower than a pixel is drawn fainter."""
    one = 1 << _SUBPIXEL_BITS
    start, end = ((points[i] * one).round().astype(int) for i in (index, index + 1))
    faint = value if value == 1 else max(1, round(value * min(1.0, width_px)))
    cv2.line(
        canvas,
        (int(start[0]), int(start[1])),
        (int(end[0]), int(end[1])),
        faint,
        max(1, round(width_px)),
        cv2.LINE_8 if value == 1 else cv2.LINE_AA,
        _SUBPIXEL_BITS,
    )
