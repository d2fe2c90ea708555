"""A tray of simulated specimens; determines which specimen is under the lens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache

from pydantic import Field

from macrorail.config.document import Section
from macrorail.quantity import Duration, Length
from macrorail_sims.bodies.faults import Action, Fault, FaultScript, Reason
from macrorail_sims.scene import Scene

#: Specimens farther from the optical axis than this are not in the picture.
_IN_VIEW_UM = 2_000.0
#: Number of scenes kept in memory, because a drawn scene is large.
_KEPT = 2


class CameraFault(Section):
    """A fault of the simulated camera while one specimen is shot.

    Attributes
    ----------
    operation
        Operation that fails: one of the operations that ``macrorail_sims.bodies.faults.Fault``
        lists. Example: ``release``
    action
        Kind of fault: an ``Action`` of ``macrorail_sims.bodies.faults``. Example: ``REFUSE``
    reason
        Answer of the camera: a ``Reason`` of ``macrorail_sims.bodies.faults``.
    delay_s
        Delay of the answer or the frame, for the actions ``STALL`` and ``LATE``.
    after
        How many operations succeed before the fault.
    times
        How many operations fail.
    """

    operation: str
    action: str
    reason: str = "GENERAL"
    delay_s: Duration = Field(alias="delay", default=0.0)
    after: int = 0
    times: int = 1

    def to_fault(self) -> Fault:
        """Return the fault for the body's fault script."""
        return Fault(
            self.operation,
            Action[self.action],
            Reason[self.reason],
            self.delay_s,
            self.after,
            self.times,
        )


class TraySpecimen(Section):
    """A specimen on the tray.

    Attributes
    ----------
    x_um
        X position of the stage with the specimen under the lens. Example: ``10 mm``
    y_um
        Y position of the stage with the specimen under the lens. Example: ``10 mm``
    near_um
        Position of the specimen's nearest point along the focus axis. Example: ``20 mm``
    far_um
        Position of the ground behind the specimen along the focus axis. Example: ``21.5 mm``
    faults
        Faults of the camera while the specimen is under the lens. Example: ``[{operation: release,
        action: REFUSE}]``
    visits
        Number of visits to the specimen during which the faults happen.
    stage_alarms
        How often the stage stops with an alarm on the way to the specimen.
    """

    x_um: Length = Field(alias="x")
    y_um: Length = Field(alias="y")
    near_um: Length = Field(alias="near")
    far_um: Length = Field(alias="far")
    faults: tuple[CameraFault, ...] = ()
    visits: int = 1
    stage_alarms: int = 0


class Tray:
    """The tray on the stage.

    Parameters
    ----------
    lying
        The specimens on the tray.
    stage_um
        Returns the true position of the stage, X and Y in micrometres.
    draw
        Makes the scene of a specimen from the specimen's number.
    faults
        The fault script of the camera.
    """

    def __init__(
        self,
        lying: tuple[TraySpecimen, ...],
        stage_um: Callable[[], tuple[float, float]],
        draw: Callable[[int], Scene],
        faults: FaultScript,
    ) -> None:
        self._lying = lying
        self._stage_um = stage_um
        self._draw = lru_cache(_KEPT)(draw)
        self._faults = faults
        self._visits = [0] * len(lying)
        self._last: int | None = None
        self._lock = threading.Lock()

    @property
    def under_lens(self) -> int | None:
        """Number of the specimen under the lens, from 0; ``None`` if there is none."""
        x_um, y_um = self._stage_um()
        for number, one in enumerate(self._lying):
            if max(abs(one.x_um - x_um), abs(one.y_um - y_um)) < _IN_VIEW_UM:
                return number
        return None

    def scene(self) -> tuple[int, Scene | None]:
        """Return number and scene of the specimen under the lens; -1 and ``None`` if none."""
        number = self.under_lens
        if number is None:
            return -1, None
        with self._lock:
            return number, self._draw(number)

    def arrive(self) -> None:
        """Activate the faults of the specimen under the lens and draw its scene.

        Called when the stage has come to rest.
        """
        number = self.under_lens
        if number is None or number == self._last:
            return
        self._last = number
        self._faults.clear()
        self._visits[number] += 1
        if self._visits[number] <= self._lying[number].visits:
            for fault in self._lying[number].faults:
                self._faults.add(fault.to_fault())
        # The scene is drawn in a thread, because the stage must continue to answer.
        threading.Thread(target=self._prepare, args=(number,), daemon=True).start()

    def _prepare(self, number: int) -> None:
        with self._lock:
            self._draw(number).truth(self._lying[number].near_um)
