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

from macrorail.proof.measure import Floats, Measurement

EXPOSURE_EV = 0.15
"""Lamps flicker by a hundredth of this; a flash that did not fire is many times as much."""

SMEAR = 0.1
"""Loss of fine detail along one direction, in the logarithm of its energy, beyond what was lost
across it; on average over both neighbours. Good frames stay below a third of this, a smear of
three pixels takes three times as much."""

SMEAR_FROM_EACH = 0.2
"""From one neighbour at least this share of the loss seen from the other: texture that comes into
focus with a direction of its own is lost against one of them only."""

SAG = 0.12
"""Loss of sharpness against the less sharp neighbour, in the logarithm of its energy, where texture
comes into focus between both: focus alone makes it sharper there, a frame of the neighbour's own
plane as sharp, and no light that ``EXPOSURE_EV`` lets pass costs as much."""

SHIFT_SHARE = 1 / 500
"""Of the frame's width, and never less than three pixels: more than the picture drifts from
slice to slice as its scale changes."""

STILL = 0.12
"""How much of the usual change from slice to slice must be there for the axis to have moved."""

_LEAST_SHIFT_PX = 3.0
_DIRECTIONS = np.arange(8) * np.pi / 8
_SHARPEST_SHARE = 0.5
# Of what is lost across: with all of it, oriented texture that fades would look smeared.
_ACROSS = 0.8
_LARGEST_LOSS = 0.7
_IN_FOCUS_SHARE = 0.3
_ALIKE_LOG = 1.0
_FEWEST_IN_FOCUS = 8
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
    best, shift = _alike(before, after, (0.0, 0.0)) + _LEAST_GAIN, (0.0, 0.0)
    if best >= 1:
        # Nothing is more alike than this; two phase correlations less in most frames.
        return shift
    size = (before.shape[1], before.shape[0])
    window = cv2.createHanningWindow(size, cv2.CV_32F)
    # The coarse pictures agree better when focus has changed the fine detail.
    fine = reference.small.astype(np.float32), frame.small.astype(np.float32)
    for one, other in ((before, after), fine):
        # Copies: where no padding is needed OpenCV windows its arguments in place.
        (right, down), _ = cv2.phaseCorrelate(one.copy(), other.copy(), window)
        if abs(right) < size[0] / 2 and abs(down) < size[1] / 2:
            alike = _alike(before, after, (right, down))
            if alike > best:
                best, shift = alike, (right, down)
    return shift[0] * frame.small_px, shift[1] * frame.small_px


def _coarse(frame: Measurement) -> NDArray[np.float32]:
    small = frame.small.astype(np.float32)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), _COARSE_PX), np.float32)


def _alike(
    one: NDArray[np.float32], other: NDArray[np.float32], shift: tuple[float, float]
) -> float:
    """Correlation coefficient of a picture with another that lies ``shift`` right and down."""
    right, down = round(shift[0]), round(shift[1])
    height, width = one.shape
    here = one[max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)]
    there = other[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
    here, there = here - here.mean(), there - there.mean()
    spread = float(np.sqrt((here * here).mean() * (there * there).mean()))
    return float((here * there).mean()) / spread if spread > 0 else 0.0


def frozen_fault(frame: Measurement, reference: Measurement) -> Fault | None:
    """The very same pixels once more, whatever the file says."""
    if frame.fingerprint != reference.fingerprint:
        return None
    return Fault("frozen", "pixel for pixel an earlier frame; a new exposure has noise of its own")


def blur_fault(
    frame: Measurement, neighbours: Sequence[Measurement], unjudged: Measurement | None = None
) -> Fault | None:
    """Smeared along one direction, or less sharp than both neighbours where it is in focus.

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
    along, loss = _smear(frame, neighbours)
    if loss > SMEAR and not _blames_other(frame, neighbours, unjudged, along):
        return Fault(
            "blur",
            f"smeared at {np.degrees(_DIRECTIONS[along]):.0f} degrees: fine detail along it lost "
            f"{100 * (1 - np.exp(-loss)):.0f} % of its contrast beyond what focus takes",
        )
    loss = sag(frame, neighbours)
    if loss > SAG:
        return Fault(
            "blur",
            f"what is in focus between both neighbours has {100 * (1 - np.exp(-loss)):.0f} % less "
            f"detail than in either",
        )
    return None


def _smear(frame: Measurement, neighbours: Sequence[Measurement]) -> tuple[int, float]:
    """Which direction has the most one-sided loss of detail, and how strong it is; 0 when there is
    none that both neighbours show.

    Defocus takes from both directions, so that most of what is lost across is taken off what is
    lost along; the average of both neighbours leaves out what changes steadily along z.
    """
    losses = np.array([_one_sided(frame, other, _ACROSS) for other in neighbours])
    shown = losses.min(axis=0) > SMEAR_FROM_EACH * losses.max(axis=0)
    strength = np.where(shown, losses.mean(axis=0), 0.0)
    worst = int(strength.argmax())
    return worst, float(strength[worst])


def _one_sided(frame: Measurement, other: Measurement, share: float) -> Floats:
    """What the frame lost along each direction against the other, less a share of what it lost
    across it, (directions,)."""
    energy = frame.energy[0]
    sharp = energy >= np.quantile(energy, 1 - _SHARPEST_SHARE)
    loss = _detail(other)[:, sharp] - _detail(frame)[:, sharp]
    across = np.roll(loss, len(_DIRECTIONS) // 2, axis=0)
    one_sided = np.clip(loss - share * across, -_LARGEST_LOSS, _LARGEST_LOSS)
    mean: Floats = one_sided.mean(axis=1)
    return mean


def _blames_other(
    frame: Measurement,
    neighbours: Sequence[Measurement],
    unjudged: Measurement | None,
    along: int,
) -> bool:
    """Whether the neighbour lost so much more across a direction than the frame along it, both
    seen from the other neighbour, that it is more than lying twice as far from there explains."""
    if unjudged is None:
        return False
    across = (along + len(_DIRECTIONS) // 2) % len(_DIRECTIONS)
    trusted = next(other for other in neighbours if other is not unjudged)
    mine, its = _one_sided(frame, trusted, 1.0), _one_sided(unjudged, trusted, 1.0)
    return bool(its[across] > 2 * mine[along])


def sag(frame: Measurement, neighbours: Sequence[Measurement]) -> float:
    """Loss of sharpness (logarithm) against the less sharp of two neighbours, where texture comes
    into focus between them: the median of the tiles that are among the sharpest and about as sharp
    in one neighbour as in the other. Blur in every direction alike shows only there; elsewhere
    defocus has taken the detail already. 0 where too few tiles are in focus to say.
    """
    energy = np.array([other.energy[1] for other in neighbours])
    # With the frame itself: chosen by its neighbours alone, tiles of mere noise would sag.
    strength = energy.sum(axis=0) + frame.energy[1]
    level = np.log(energy + _NOISE_ENERGY)
    chosen = strength >= np.quantile(strength, 1 - _IN_FOCUS_SHARE)
    chosen &= np.ptp(level, axis=0) < _ALIKE_LOG
    if chosen.sum() < _FEWEST_IN_FOCUS:
        return 0.0
    loss = level.min(axis=0) - np.log(frame.energy[1] + _NOISE_ENERGY)
    return float(np.median(loss[chosen]))


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


def _detail(frame: Measurement) -> Floats:
    """Logarithm of the energy of fine detail along each direction, (directions, tiles)."""
    cos, sin = np.cos(_DIRECTIONS)[:, None], np.sin(_DIRECTIONS)[:, None]
    xx, yy, xy = frame.tensor
    detail: Floats = np.log(cos**2 * xx + sin**2 * yy + 2 * cos * sin * xy + _NOISE_ENERGY)
    return detail
