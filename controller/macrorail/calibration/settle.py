"""Measures the settle time of an axis from pictures taken after shorter and shorter waits.

A picture shot too early is blurred by vibration. The settle time is the shortest wait after which
pictures are as sharp as after a long wait. The spread of pictures after a long wait gives the
tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np
from numpy.typing import NDArray

from macrorail.clock import Clock
from macrorail.devices.interfaces import FocusAxis
from macrorail.errors import PlanError
from macrorail.proof.measure import Floats, Measurement

WAITS_S = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 1.6, 2.4)
"""Waits to try, beginning with the longest."""

LONG_S = 5.0
"""Wait in seconds after which the instrument is assumed to be at rest."""

_SURE = 3.0
# A smaller loss of contrast energy is ignored, even if the spread of the pictures is smaller.
_SMALLEST_LOSS = 0.03
_TEXTURED_SHARE = 0.25
_LEAST_ENERGY = 20.0


@dataclass(frozen=True)
class SettleTrial:
    """The result for one wait.

    Attributes
    ----------
    wait_s
        Wait from the end of the move to the exposure, world time.
    loss
        Loss of contrast energy (fraction) relative to a long wait; about 0 at rest.
    at_rest
        Whether the loss is within the tolerance.
    """

    wait_s: float
    loss: float
    at_rest: bool


@dataclass(frozen=True)
class SettleMeasurement:
    """The shortest sufficient wait, and the measurements it is based on.

    Attributes
    ----------
    settle_s
        The shortest sufficient wait.
    limit
        Largest loss of contrast energy (fraction) that counts as being at rest.
    waits
        All waits that were tried, from long to short.
    """

    settle_s: float
    limit: float
    waits: tuple[SettleTrial, ...]


class SettleCalibration:
    """Measures the settle time of one axis with one camera.

    Parameters
    ----------
    axis, clock
        The homed axis, and the clock that gives world time.
    take_picture
        Takes a picture now and measures it.
    at_um
        Position of the pictures; a textured surface must be in focus at this position.
    move_um
        Length of the moves, the same as between slices.
    repeats
        Number of pictures for each wait, at least 2.
    on_progress
        Called with a text about each wait.
    """

    def __init__(
        self,
        axis: FocusAxis,
        clock: Clock,
        take_picture: Callable[[], Measurement],
        at_um: float,
        move_um: float,
        repeats: int,
        on_progress: Callable[[str], None],
    ) -> None:
        self._axis = axis
        self._clock = clock
        self._take_picture = take_picture
        self._at_um = at_um
        self._move_um = move_um
        self._repeats = repeats
        self._on_progress = on_progress

    def measure(self) -> SettleMeasurement:
        """Find and return the shortest sufficient wait.

        Raises
        ------
        PlanError
            Nothing is in focus, or not even the longest wait is enough.
        """
        rested = [self._picture_after(LONG_S) for _ in range(max(3, self._repeats))]
        reference = np.mean([_level(measurement) for measurement in rested], axis=0)
        textured = _textured(rested)
        spread = stdev(_loss(measurement, reference, textured) for measurement in rested)
        limit = max(_SURE * spread * (1 / self._repeats + 1 / len(rested)) ** 0.5, _SMALLEST_LOSS)
        waits: list[SettleTrial] = []
        for wait_s in reversed(WAITS_S):
            measurement = [self._picture_after(wait_s) for _ in range(self._repeats)]
            loss = mean(_loss(each, reference, textured) for each in measurement)
            waits.append(SettleTrial(wait_s, loss, loss <= limit))
            verdict = "at rest" if waits[-1].at_rest else "not at rest"
            self._on_progress(
                f"after {wait_s:g} s: {100 * loss:+.1f} % of the sharpness lost, {verdict}"
            )
            if not waits[-1].at_rest:
                break
        enough = [wait.wait_s for wait in waits if wait.at_rest]
        if not enough:
            raise PlanError(
                f"the instrument is not at rest {WAITS_S[-1]:g} s after a move "
                f"({100 * waits[0].loss:.0f} % of the sharpness is lost), so something else moves. "
                f"Check the table, fans, the specimen and the camera's mirror"
            )
        return SettleMeasurement(min(enough), limit, tuple(waits))

    def _picture_after(self, wait_s: float) -> Measurement:
        """Move as between two slices, wait ``wait_s``, and return a picture's measurement."""
        for position_um in (self._at_um - self._move_um, self._at_um):
            self._axis.start_move(position_um)
            self._axis.finish_move()
            if position_um != self._at_um:
                self._clock.sleep(LONG_S)
        self._clock.sleep(wait_s)
        return self._take_picture()


def _level(measurement: Measurement) -> Floats:
    level: Floats = np.log(measurement.energy[0] + 1.0)
    return level


def _textured(rested: Sequence[Measurement]) -> NDArray[np.bool_]:
    energy = np.mean([measurement.energy[0] for measurement in rested], axis=0)
    textured: NDArray[np.bool_] = energy >= max(
        float(np.quantile(energy, 1 - _TEXTURED_SHARE)), _LEAST_ENERGY
    )
    if textured.sum() < 8:
        raise PlanError(
            "nothing is in focus at the position of the pictures. Use --at to give a position at "
            "which fine texture is in focus, and provide enough light"
        )
    return textured


def _loss(
    measurement: Measurement,
    reference: Floats,
    textured: NDArray[np.bool_],
) -> float:
    return 1 - float(np.exp(np.median((_level(measurement) - reference)[textured])))
