"""Tells from measurements whether a frame is blurred by motion, shifted, ill exposed or repeated.

Every test compares a frame with others of the same run, so that none depends on the specimen:
from one slice to the next only the focus changes, and what focus can do to a picture is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from controller.proof.measure import Floats, Measurement

EXPOSURE_EV = 0.15
"""Lamps flicker by a hundredth of this; a flash that did not fire is many times as much."""

SMEAR = 0.17
"""Loss of detail along one direction against across it, in the logarithm of sharpness, on average
over both neighbours. Defocus takes as much from both directions; a smear of three pixels takes
more than this along its own."""

SMEAR_FROM_EACH = 0.5
"""From one neighbour at least this share of the loss seen from the other, so that a smeared
neighbour does not put the blame on a good frame."""

DIP = 0.35
"""Share of the tiles that are less sharp than in both neighbours: with focus alone there are next
to none, since a tile is sharp once."""

SHIFT_SHARE = 1 / 500
"""Of the frame's width, and never less than three pixels: more than the picture drifts from
slice to slice as its scale changes."""

STILL = 0.12
"""How much of the usual change from slice to slice must be there for the axis to have moved."""

_LEAST_SHIFT_PX = 3.0
_DIRECTIONS = np.arange(8) * np.pi / 8
_SHARPEST_SHARE = 0.25
_DIP_LOG = 0.25
_DARK = 0.002
_NOISE_ENERGY = 1.0
_COARSE_PX = 1.5
_LEAST_GAIN = 0.03


@dataclass(frozen=True)
class Fault:
    """Something wrong with a frame.

    Attributes
    ----------
    kind
        ``damaged``, ``frozen``, ``exposure``, ``blur``, ``shift`` or ``missed_move``.
    message
        What was seen, with numbers.
    """

    kind: str
    message: str


def exposure_fault(frame: Measurement, reference: Measurement) -> Fault | None:
    """More or less light than in a good frame."""
    lit = reference.light > _DARK
    if not lit.any():
        return None
    ratio = np.maximum(frame.light[lit], 1e-6) / reference.light[lit]
    ev = float(np.log2(np.median(ratio)))
    if abs(ev) < EXPOSURE_EV:
        return None
    return Fault("exposure", f"{abs(ev):.2g} EV {'darker' if ev < 0 else 'brighter'} than before")


def shift_fault(frame: Measurement, reference: Measurement) -> Fault | None:
    """The picture as a whole lies elsewhere than in a good frame."""
    right_px, down_px = shift_px(frame, reference)
    limit_px = max(_LEAST_SHIFT_PX, SHIFT_SHARE * frame.columns * frame.tile_px)
    if np.hypot(right_px, down_px) < limit_px:
        return None
    return Fault("shift", f"the picture lies {right_px:+.1f}, {down_px:+.1f} px from where it was")


def shift_px(frame: Measurement, reference: Measurement) -> tuple[float, float]:
    """How far right and down the picture has moved, pixels of the frame (phase correlation).

    Zero when the pictures, so displaced, are no more alike than they were: the phase correlation
    of two pictures too differently blurred finds anything.
    """
    before, after = _coarse(reference), _coarse(frame)
    size = (before.shape[1], before.shape[0])
    window = cv2.createHanningWindow(size, cv2.CV_32F)
    best, shift = _alike(before, after, (0.0, 0.0)) + _LEAST_GAIN, (0.0, 0.0)
    # The coarse pictures agree better when focus has changed the fine detail.
    for one, other in ((before, after), (reference.small, frame.small)):
        # Copies: where no padding is needed OpenCV windows its arguments in place.
        (right, down), _ = cv2.phaseCorrelate(one.copy(), other.copy(), window)
        if abs(right) < size[0] / 2 and abs(down) < size[1] / 2:
            alike = _alike(before, after, (right, down))
            if alike > best:
                best, shift = alike, (right, down)
    return shift[0] * frame.small_px, shift[1] * frame.small_px


def _coarse(frame: Measurement) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(frame.small, (0, 0), _COARSE_PX), np.float32)


def _alike(
    one: NDArray[np.float32], other: NDArray[np.float32], shift: tuple[float, float]
) -> float:
    """Correlation coefficient of a picture with another that lies ``shift`` right and down."""
    right, down = round(shift[0]), round(shift[1])
    height, width = one.shape
    here = one[max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)]
    there = other[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
    return float(np.corrcoef(here.ravel(), there.ravel())[0, 1])


def frozen_fault(frame: Measurement, reference: Measurement) -> Fault | None:
    """The very same pixels once more, whatever the file says."""
    if frame.fingerprint != reference.fingerprint:
        return None
    return Fault("frozen", "pixel for pixel an earlier frame; a new exposure has noise of its own")


def blur_fault(
    frame: Measurement, neighbours: Sequence[Measurement], unjudged: Measurement | None = None
) -> Fault | None:
    """Smeared along one direction, or less sharp than both neighbours in too many tiles.

    Parameters
    ----------
    neighbours
        The nearest good frames before and behind along z; with fewer than two nothing is said,
        because texture that comes into focus has a direction of its own.
    unjudged
        The one of the neighbours that may itself be at fault: a good frame beside a smeared one
        looks smeared across. The blame goes to the one that is smeared more.
    """
    if len(neighbours) < 2:
        return None
    direction, loss = smear(frame, neighbours)
    if loss > SMEAR and not _blames_other(frame, neighbours, unjudged, loss):
        return Fault(
            "blur",
            f"smeared at {np.degrees(direction):.0f} degrees: detail along it lost "
            f"{100 * (1 - np.exp(-loss)):.0f} % of its contrast energy against across it",
        )
    share = dip(frame, neighbours)
    if share > DIP:
        return Fault(
            "blur", f"{100 * share:.0f} % of the tiles are less sharp than in both neighbours"
        )
    return None


def smear(frame: Measurement, neighbours: Sequence[Measurement]) -> tuple[float, float]:
    """Direction (radians) and strength of the most one-sided loss of detail; 0 when there is none
    that both neighbours show."""
    energy = frame.energy[0]
    sharp = energy >= np.quantile(energy, 1 - _SHARPEST_SHARE)
    worst, strength = 0.0, 0.0
    for angle in _DIRECTIONS:
        losses = [
            float(np.median((_one_sided(other, angle) - _one_sided(frame, angle))[sharp]))
            for other in neighbours
        ]
        if min(losses) > SMEAR_FROM_EACH * max(losses) and np.mean(losses) > strength:
            worst, strength = float(angle), float(np.mean(losses))
    return worst, strength


def _blames_other(
    frame: Measurement,
    neighbours: Sequence[Measurement],
    unjudged: Measurement | None,
    loss: float,
) -> bool:
    if unjudged is None:
        return False
    trusted = [other for other in neighbours if other is not unjudged]
    return smear(unjudged, [frame, *trusted])[1] > loss


def dip(frame: Measurement, neighbours: Sequence[Measurement]) -> float:
    """Share of the textured tiles that are less sharp than in each of the neighbours."""
    least = np.min([other.energy[1] for other in neighbours], axis=0)
    textured = least >= np.median(least)
    lower = np.log(frame.energy[1] + _NOISE_ENERGY) < np.log(least + _NOISE_ENERGY) - _DIP_LOG
    return float(lower[textured].mean())


def change(frame: Measurement, before: Measurement) -> float:
    """How much the sharpness of the textured tiles differs between two frames (logarithm)."""
    energy = np.maximum(frame.energy[1], before.energy[1])
    textured = energy >= np.median(energy)
    difference = np.log(frame.energy[1] + _NOISE_ENERGY) - np.log(before.energy[1] + _NOISE_ENERGY)
    return float(np.median(np.abs(difference[textured])))


def missed_move_fault(change_per_dof: float, usual_per_dof: float) -> Fault | None:
    """The plane of the frame before once more."""
    if usual_per_dof <= 0 or change_per_dof >= STILL * usual_per_dof:
        return None
    return Fault(
        "missed_move",
        f"the same plane as the frame before: sharpness changed by only "
        f"{100 * change_per_dof / usual_per_dof:.0f} % of what such a move usually changes",
    )


def _one_sided(frame: Measurement, angle: float) -> Floats:
    """Logarithm of detail along a direction over detail across it, per tile."""
    cos, sin = np.cos(angle), np.sin(angle)
    xx, yy, xy = frame.tensor
    along = cos**2 * xx + sin**2 * yy + 2 * cos * sin * xy
    across = sin**2 * xx + cos**2 * yy - 2 * cos * sin * xy
    ratio: Floats = np.log(along + _NOISE_ENERGY) - np.log(across + _NOISE_ENERGY)
    return ratio
