"""Predicts the transform of the next frame from the frames placed so far: an axis moves steadily.

The change of scale, shift and rotation per unit of axis travel is tracked by one Kalman filter
each. A registration with little detail follows the prediction; one with much detail follows the
pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from macrorail.stacking.register import FEIGNED_PX, Motion, Prior, Transform

# How far a step may differ from a steady trend. The first value applies to the shift, the second to
# displacement of the corners by scale or rotation. The unit is a thousandth of the picture's long
# side, but at least one pixel. Carriages wander sideways far more than magnification varies.
_UNSTEADY_SHIFT = 1.5
_UNSTEADY_CORNER = 0.3
# Share by which the effect of a step may differ from the effect of the previous step.
_UNSTEADY_SHARE = 0.15
# Largest expected effect of a first step, as a share of the picture's width or size.
_FIRST_SHIFT = 0.05
_FIRST_SCALE = 0.02
# Uncertainty of a change of size predicted from the optics, before a frame was seen. The first
# value is a share of the change, because focal lengths and pupils are nominal. (With a share of one
# tenth, optics that are wrong by a tenth cost a pixel at the corners of 24 megapixels, and correct
# optics gain nothing.) The second value is how much that share varies from step to step. The third
# value applies to the smallest changes: about a hundredth of a pixel at the corners.
_OPTICS_SHARE = 0.3
_OPTICS_UNSTEADY = 0.01
_OPTICS_SURE = 1e-5
# Innovations beyond this many standard deviations are taken for a knock, not for a new trend.
_KNOCK = 3.0

# Which of (xx, xy, x, yx, yy, y) are shifts, and which are changes of scale.
_SHIFTS = np.array([False, False, True, False, False, True])
_GROWTH = [0, 4]


@dataclass
class Trend:
    """Predicts the transform of a step along the axis.

    Parameters
    ----------
    width, height
        Size in pixels of the registered pictures.
    motion
        What may differ between frames.
    """

    width: int
    height: int
    motion: Motion

    def __post_init__(self) -> None:
        half_diagonal = float(np.hypot(self.width, self.height)) / 2
        per_mille = max(1.0, max(self.width, self.height) / 1000)
        self._unsteady = np.where(
            _SHIFTS, _UNSTEADY_SHIFT * per_mille, _UNSTEADY_CORNER * per_mille / half_diagonal
        )
        self._first = np.where(_SHIFTS, _FIRST_SHIFT * max(self.width, self.height), _FIRST_SCALE)
        self._rate = np.zeros(6)
        self._variance: NDArray[np.float64] | None = None
        # Ratio of the observed growth to the growth predicted from the optics, and its variance.
        self._share = np.ones(2)
        self._share_variance: NDArray[np.float64] | None = None

    def predict(self, travel: float) -> Prior:
        """Return the transform expected for a step of ``travel`` (any unit, signed)."""
        variance = self._first**2 if self._variance is None else self._variance * travel**2
        expected = self._rate * travel
        variance = variance + self._unsteady**2 + (_UNSTEADY_SHARE * expected) ** 2
        return Prior(_about_middle(expected, self.width, self.height), np.sqrt(variance))

    def predict_scaled(self, travel: float, scale: float) -> Prior:
        """Return the expected transform, where the optics predict growth by ``scale``."""
        prior = self.predict(travel)
        change = change_about_middle(prior.warp, self.width, self.height)
        spread = prior.spread.copy()
        told = scale - 1
        # Changes of defocus imitate growth, always in the same direction on a dome-shaped specimen.
        # No number of frames can distinguish this from inaccurate optics, so each gets its share of
        # the observed growth.
        feigned = self._feigned(told)
        if self._share_variance is None:
            self._share_variance = np.full(2, _OPTICS_SHARE**2 + feigned**2)
        belief = _OPTICS_SHARE**2 / (_OPTICS_SHARE**2 + feigned**2)
        change[_GROWTH] = (1 + belief * (self._share - 1)) * told
        spread[_GROWTH] = (
            np.sqrt(belief**2 * self._share_variance + _OPTICS_UNSTEADY**2) * abs(told)
            + _OPTICS_SURE
        )
        return Prior(_about_middle(change, self.width, self.height), spread)

    def learn_scaled(
        self, scale: float, prior: Prior, warp: Transform, spread: NDArray[np.float64]
    ) -> None:
        """Update the trend with the observed growth, where the optics predicted ``scale``.

        ``warp``, known to within ``spread``, was found with ``prior`` from :meth:`predict_scaled`.
        The part of ``warp`` that ``prior`` does not explain is what the pictures themselves showed.
        """
        told = scale - 1
        expected = change_about_middle(prior.warp, self.width, self.height)[_GROWTH]
        found = change_about_middle(warp, self.width, self.height)[_GROWTH]
        before, after = prior.spread[_GROWTH] ** 2, spread[_GROWTH] ** 2
        gained = before - after
        if told == 0 or self._share_variance is None or (gained <= 0).any():
            return
        seen = (expected + (found - expected) * before / gained) / told
        noise = before * after / gained / told**2 + _OPTICS_UNSTEADY**2
        limit = _KNOCK * np.sqrt(self._share_variance + noise)
        gain = self._share_variance / (self._share_variance + noise)
        self._share = self._share + gain * np.clip(seen - self._share, -limit, limit)
        self._share_variance = (1 - gain) * self._share_variance

    def _feigned(self, told: float) -> float:
        """Return the growth that defocus may imitate, as a share of the predicted growth."""
        half_diagonal = float(np.hypot(self.width, self.height)) / 2
        return FEIGNED_PX / max(abs(told) * half_diagonal, FEIGNED_PX / 100)

    def learn(self, travel: float, warp: Transform, spread: NDArray[np.float64]) -> None:
        """Update the trend with ``warp`` (known to ``spread``, (6,)) of a step of ``travel``."""
        if travel == 0:
            return
        found = change_about_middle(warp, self.width, self.height)
        before = (self._first / travel) ** 2 if self._variance is None else self._variance
        expected = self._rate * travel
        jitter = self._unsteady**2 + (_UNSTEADY_SHARE * expected) ** 2
        noise = (spread**2 + jitter) / travel**2
        innovation = found / travel - self._rate
        limit = _KNOCK * np.sqrt(before + noise)
        innovation = np.clip(innovation, -limit, limit)
        gain = before / (before + noise)
        self._rate = self._rate + gain * innovation
        self._variance = (1 - gain) * before + (_UNSTEADY_SHARE * self._rate) ** 2


def change_about_middle(warp: Transform, width: int, height: int) -> NDArray[np.float64]:
    """Return (xx, xy, x, yx, yy, y): the difference of a (3, 3) transform from identity.

    The difference is taken about the middle of the picture.
    """
    to_middle = _to_middle(width, height)
    change = to_middle @ warp @ np.linalg.inv(to_middle) - np.eye(3)
    return np.asarray(change[:2].ravel())


def _about_middle(change: NDArray[np.float64], width: int, height: int) -> Transform:
    to_middle = _to_middle(width, height)
    centred = np.eye(3)
    centred[:2] += change.reshape(2, 3)
    return np.asarray(np.linalg.inv(to_middle) @ centred @ to_middle)


def _to_middle(width: int, height: int) -> Transform:
    to_middle = np.eye(3)
    to_middle[:2, 2] = -(width - 1) / 2, -(height - 1) / 2
    return to_middle
