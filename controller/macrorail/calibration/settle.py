"""How long an axis takes to come to rest: pictures at shorter and shorter waits after a move.

A picture that is shot too early is smeared by what still swings. The shortest wait whose pictures
are as sharp as those after a long wait is enough; how much pictures differ after a long wait says
what "as sharp" means.
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
"""What is tried, from the longest down."""

LONG_S = 5.0
"""After this everything is taken to be at rest."""

_SURE = 3.0
# A loss below this share of the contrast energy is not seen, whatever the spread.
_UNSEEN = 0.03
_TEXTURED_SHARE = 0.25
_LEAST_ENERGY = 20.0


@dataclass(frozen=True)
class Wait:
    """What was seen after one wait.

    Attributes
    ----------
    wait_s
        From the end of the move to the shutter, world time.
    loss
        Share of the contrast energy that is missing, against a long wait; about 0 at rest.
    at_rest
        Whether it cannot be told from a long wait.
    """

    wait_s: float
    loss: float
    at_rest: bool


@dataclass(frozen=True)
class SettleMeasured:
    """The shortest sufficient wait, and what it follows from.

    Attributes
    ----------
    settle_s
        The wait.
    limit
        Loss that counted as no difference.
    waits
        All that were tried, from long to short.
    """

    settle_s: float
    limit: float
    waits: tuple[Wait, ...]


class SettleCalibration:
    """Measures one axis with one camera.

    Parameters
    ----------
    axis, clock
        Homed; the world's.
    look
        Takes a picture now and measures it.
    at_um
        Where to look: something with texture must be in focus there.
    move_um
        Length of the moves, as they are from slice to slice.
    repeats
        Pictures for each wait, at least 2.
    tell
        Told of each wait in words.
    """

    def __init__(
        self,
        axis: FocusAxis,
        clock: Clock,
        look: Callable[[], Measurement],
        at_um: float,
        move_um: float,
        repeats: int,
        tell: Callable[[str], None],
    ) -> None:
        self._axis = axis
        self._clock = clock
        self._look = look
        self._at_um = at_um
        self._move_um = move_um
        self._repeats = repeats
        self._tell = tell

    def measure(self) -> SettleMeasured:
        """Find the shortest wait.

        Raises
        ------
        PlanError
            Nothing sharp to see, or not even the longest wait is enough.
        """
        rested = [self._look_after(LONG_S) for _ in range(max(3, self._repeats))]
        reference = np.mean([_level(seen) for seen in rested], axis=0)
        textured = _textured(rested)
        spread = stdev(_loss(seen, reference, textured) for seen in rested)
        limit = max(_SURE * spread * (1 / self._repeats + 1 / len(rested)) ** 0.5, _UNSEEN)
        waits: list[Wait] = []
        for wait_s in reversed(WAITS_S):
            seen = [self._look_after(wait_s) for _ in range(self._repeats)]
            loss = mean(_loss(each, reference, textured) for each in seen)
            waits.append(Wait(wait_s, loss, loss <= limit))
            verdict = "at rest" if waits[-1].at_rest else "not at rest"
            self._tell(f"after {wait_s:g} s: {100 * loss:+.1f} % of the sharpness lost, {verdict}")
            if not waits[-1].at_rest:
                break
        enough = [wait.wait_s for wait in waits if wait.at_rest]
        if not enough:
            raise PlanError(
                f"not even {WAITS_S[-1]:g} s are enough to come to rest ({100 * waits[0].loss:.0f} "
                f"% of the sharpness is lost): something else moves. Look at the table, the "
                f"ventilator, the specimen and the camera's mirror"
            )
        return SettleMeasured(min(enough), limit, tuple(waits))

    def _look_after(self, wait_s: float) -> Measurement:
        """Come from the camera's side, as a sweep does, wait, and look."""
        for position_um in (self._at_um - self._move_um, self._at_um):
            self._axis.start_move(position_um)
            self._axis.finish_move()
            if position_um != self._at_um:
                self._clock.sleep(LONG_S)
        self._clock.sleep(wait_s)
        return self._look()


def _level(seen: Measurement) -> Floats:
    level: Floats = np.log(seen.energy[0] + 1.0)
    return level


def _textured(rested: Sequence[Measurement]) -> NDArray[np.bool_]:
    energy = np.mean([seen.energy[0] for seen in rested], axis=0)
    textured: NDArray[np.bool_] = energy >= max(
        float(np.quantile(energy, 1 - _TEXTURED_SHARE)), _LEAST_ENERGY
    )
    if textured.sum() < 8:
        raise PlanError(
            "nothing sharp can be seen there: give a position with --at where something with fine "
            "texture is in focus, and enough light"
        )
    return textured


def _loss(
    seen: Measurement,
    reference: Floats,
    textured: NDArray[np.bool_],
) -> float:
    return 1 - float(np.exp(np.median((_level(seen) - reference)[textured])))
