"""Detects motion blur, shifts, wrong exposure, repeated frames and missed moves.

Every test compares a frame with other frames of the same run, so no test depends on the specimen.
From one slice to the next only the focus changes, and the effect of focus on a picture is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from macrorail.proof.measure import Floats, Measurement

EXPOSURE_EV = 0.15
"""Largest accepted difference. Lamp flicker causes a hundredth of it, a missing flash much more."""

MOTION_BLUR = 0.1
"""Accepted loss of fine detail along one direction, relative to the loss across that direction
(logarithm of the energy, mean over both neighbours). Good frames stay below a third of this value;
motion blur of three pixels reaches three times this value."""

MOTION_BLUR_FROM_EACH = 0.2
"""Smallest accepted ratio of the smaller to the larger of the losses relative to the two
neighbours. Oriented texture that comes into focus shows a loss relative to one neighbour only."""

DETAIL_LOSS = 0.12
"""Accepted loss of sharpness relative to the less sharp neighbour (logarithm of the energy), for
texture in focus between the two. A good frame is sharper there than both neighbours. A frame of a
neighbour's plane is as sharp as that neighbour. Differences in light below ``EXPOSURE_EV`` cause a
smaller loss than this."""

SHIFT_SHARE = 1 / 500
"""Accepted shift as a fraction of the frame's width, but at least three pixels. This is more than
the picture drifts from slice to slice as its scale changes."""

SMALLEST_CHANGE = 0.12
"""Smallest change between frames that proves a move, as a fraction of the median change."""

_LEAST_SHIFT_PX = 3.0
_DIRECTIONS = np.arange(8) * np.pi / 8
_SHARPEST_SHARE = 0.5
# Share of the loss across a direction that is subtracted from the loss along it. If all of it were
# subtracted, oriented texture going out of focus would look like motion blur.
_ACROSS = 0.8
_LARGEST_LOSS = 0.7
_IN_FOCUS_SHARE = 0.3
_EQUALLY_SHARP_LOG = 1.0
_FEWEST_IN_FOCUS = 8
_DARK = 0.002
_NOISE_ENERGY = 1.0
_COARSE_PX = 1.5
_LEAST_GAIN = 0.03


@dataclass(frozen=True)
class FrameFault:
    """A fault of one frame.

    Attributes
    ----------
    kind
        ``damaged``, ``frozen``, ``exposure``, ``blur``, ``shift`` or ``missed_move``.
    message
        Text that describes the fault, with the measured numbers.
    """

    kind: str
    message: str


def exposure_fault(frame: Measurement, reference: Measurement) -> FrameFault | None:
    """Return a fault if the frame has too much or too little light compared with a good frame."""
    lit = reference.light > _DARK
    if not lit.any():
        return None
    ratio = np.maximum(frame.light[lit], 1e-6) / reference.light[lit]
    ev = float(np.log2(np.median(ratio)))
    if abs(ev) < EXPOSURE_EV:
        return None
    return FrameFault(
        "exposure", f"{abs(ev):.2g} EV {'darker' if ev < 0 else 'brighter'} than before"
    )


def shift_fault(frame: Measurement, reference: Measurement) -> FrameFault | None:
    """Return a fault if the picture is shifted as a whole compared with a good frame."""
    right_px, down_px = shift_px(frame, reference)
    limit_px = max(_LEAST_SHIFT_PX, SHIFT_SHARE * frame.columns * frame.tile_px)
    if np.hypot(right_px, down_px) < limit_px:
        return None
    return FrameFault("shift", f"the picture has shifted by {right_px:+.1f}, {down_px:+.1f} px")


def shift_px(frame: Measurement, reference: Measurement) -> tuple[float, float]:
    """Return how far the picture has moved right and down, in pixels of the frame.

    The shift is measured by phase correlation. It is zero when shifting does not make the pictures
    more similar: between pictures with very different blur, phase correlation is arbitrary.
    """
    before, after = _coarse(reference), _coarse(frame)
    best, shift = _similarity(before, after, (0.0, 0.0)) + _LEAST_GAIN, (0.0, 0.0)
    if best >= 1:
        # The similarity cannot increase. This return saves two phase correlations in most frames.
        return shift
    size = (before.shape[1], before.shape[0])
    window = cv2.createHanningWindow(size, cv2.CV_32F)
    # Reduced pictures match better when a change of focus has changed the fine detail.
    fine = reference.small.astype(np.float32), frame.small.astype(np.float32)
    for one, other in ((before, after), fine):
        # Copies, because OpenCV applies the window in place when no padding is needed.
        (right, down), _ = cv2.phaseCorrelate(one.copy(), other.copy(), window)
        if abs(right) < size[0] / 2 and abs(down) < size[1] / 2:
            similarity = _similarity(before, after, (right, down))
            if similarity > best:
                best, shift = similarity, (right, down)
    return shift[0] * frame.small_px, shift[1] * frame.small_px


def _coarse(frame: Measurement) -> NDArray[np.float32]:
    small = frame.small.astype(np.float32)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), _COARSE_PX), np.float32)


def _similarity(
    one: NDArray[np.float32], other: NDArray[np.float32], shift: tuple[float, float]
) -> float:
    """Return the correlation coefficient of two pictures, the second shifted by ``shift``.

    ``shift`` is in pixels to the right and down.
    """
    right, down = round(shift[0]), round(shift[1])
    height, width = one.shape
    here = one[max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)]
    there = other[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
    here, there = here - here.mean(), there - there.mean()
    spread = float(np.sqrt((here * here).mean() * (there * there).mean()))
    return float((here * there).mean()) / spread if spread > 0 else 0.0


def frozen_fault(frame: Measurement, reference: Measurement) -> FrameFault | None:
    """Return a fault if the pixels are identical to those of an earlier frame."""
    if frame.fingerprint != reference.fingerprint:
        return None
    return FrameFault(
        "frozen",
        "identical to an earlier frame, pixel for pixel; a new exposure would have new noise",
    )


def blur_fault(
    frame: Measurement, neighbours: Sequence[Measurement], unjudged: Measurement | None = None
) -> FrameFault | None:
    """Return a fault for motion blur, or for less detail in focus than in both neighbours.

    Motion blur has one direction. Detail is compared only where the frame is in focus.

    Parameters
    ----------
    neighbours
        The nearest good frames in front and behind. With fewer than two there is no verdict,
        because oriented texture that comes into focus looks like motion blur.
    unjudged
        The neighbour that has not been checked yet; ``None`` if both have been checked. A good
        frame next to a blurred one looks blurred in the other direction. Of the two frames, the one
        with more blur counts as blurred.
    """
    if len(neighbours) < 2:
        return None
    along, loss = _motion_blur(frame, neighbours)
    if loss > MOTION_BLUR and not _neighbour_is_blurred(frame, neighbours, unjudged, along):
        return FrameFault(
            "blur",
            f"motion blur at {np.degrees(_DIRECTIONS[along]):.0f} degrees: fine detail along it "
            f"lost {100 * (1 - np.exp(-loss)):.0f} % of its contrast, not counting defocus",
        )
    loss = detail_loss(frame, neighbours)
    if loss > DETAIL_LOSS:
        return FrameFault(
            "blur",
            f"texture in focus between both neighbours has {100 * (1 - np.exp(-loss)):.0f} % less "
            f"detail than in either",
        )
    return None


def _motion_blur(frame: Measurement, neighbours: Sequence[Measurement]) -> tuple[int, float]:
    """Return the direction with the largest loss of detail, and the loss.

    The loss is 0 unless it shows relative to both neighbours. Defocus removes detail in all
    directions, so most of the loss across the direction is subtracted from the loss along it. The
    mean over both neighbours cancels steady changes along z.
    """
    losses = np.array([_one_sided(frame, other, _ACROSS) for other in neighbours])
    shown = losses.min(axis=0) > MOTION_BLUR_FROM_EACH * losses.max(axis=0)
    strength = np.where(shown, losses.mean(axis=0), 0.0)
    worst = int(strength.argmax())
    return worst, float(strength[worst])


def _one_sided(frame: Measurement, other: Measurement, share: float) -> Floats:
    """Return (directions,) the loss of detail along each direction relative to ``other``.

    ``share`` of the loss across the direction is subtracted from it.
    """
    energy = frame.energy[0]
    sharp = energy >= np.quantile(energy, 1 - _SHARPEST_SHARE)
    loss = _detail(other)[:, sharp] - _detail(frame)[:, sharp]
    across = np.roll(loss, len(_DIRECTIONS) // 2, axis=0)
    one_sided = np.clip(loss - share * across, -_LARGEST_LOSS, _LARGEST_LOSS)
    mean: Floats = one_sided.mean(axis=1)
    return mean


def _neighbour_is_blurred(
    frame: Measurement,
    neighbours: Sequence[Measurement],
    unjudged: Measurement | None,
    along: int,
) -> bool:
    """Return whether the unchecked neighbour is blurred, rather than the frame.

    Both are compared with the checked neighbour. The unchecked neighbour counts as blurred if it
    lost more than twice as much detail across the direction as the frame lost along the direction.
    Up to twice as much is explained by its larger distance from the checked neighbour.
    """
    if unjudged is None:
        return False
    across = (along + len(_DIRECTIONS) // 2) % len(_DIRECTIONS)
    trusted = next(other for other in neighbours if other is not unjudged)
    mine, its = _one_sided(frame, trusted, 1.0), _one_sided(unjudged, trusted, 1.0)
    return bool(its[across] > 2 * mine[along])


def detail_loss(frame: Measurement, neighbours: Sequence[Measurement]) -> float:
    """Return the loss of sharpness (logarithm) relative to the less sharp of two neighbours.

    The loss is the median over the tiles in focus between the two neighbours: tiles that are among
    the sharpest and about equally sharp in both. Blur in all directions shows only in these tiles;
    elsewhere defocus has already removed the detail. The loss is 0 when too few tiles are in focus.
    """
    energy = np.array([other.energy[1] for other in neighbours])
    # The frame itself is included. Otherwise tiles with only noise would seem to lose detail.
    strength = energy.sum(axis=0) + frame.energy[1]
    level = np.log(energy + _NOISE_ENERGY)
    chosen = strength >= np.quantile(strength, 1 - _IN_FOCUS_SHARE)
    chosen &= np.ptp(level, axis=0) < _EQUALLY_SHARP_LOG
    if chosen.sum() < _FEWEST_IN_FOCUS:
        return 0.0
    loss = level.min(axis=0) - np.log(frame.energy[1] + _NOISE_ENERGY)
    return float(np.median(loss[chosen]))


def sharpness_change(frame: Measurement, before: Measurement) -> float:
    """Return the textured tiles' median change of sharpness (logarithm) between two frames."""
    energy = np.maximum(frame.energy[1], before.energy[1])
    textured = energy >= np.median(energy)
    difference = np.log(frame.energy[1] + _NOISE_ENERGY) - np.log(before.energy[1] + _NOISE_ENERGY)
    return float(np.median(np.abs(difference[textured])))


def missed_move_fault(change_per_dof: float, usual_per_dof: float) -> FrameFault | None:
    """Return the fault of a frame that shows the same plane as the frame before."""
    if usual_per_dof <= 0 or change_per_dof >= SMALLEST_CHANGE * usual_per_dof:
        return None
    return FrameFault(
        "missed_move",
        f"shows the same plane as the frame before: sharpness changed by only "
        f"{100 * change_per_dof / usual_per_dof:.0f} % of what such a move usually changes",
    )


def _detail(frame: Measurement) -> Floats:
    """Return the energy of fine detail along each direction, (directions, tiles), logarithm."""
    cos, sin = np.cos(_DIRECTIONS)[:, None], np.sin(_DIRECTIONS)[:, None]
    xx, yy, xy = frame.tensor
    detail: Floats = np.log(cos**2 * xx + sin**2 * yy + 2 * cos * sin * xy + _NOISE_ENERGY)
    return detail
