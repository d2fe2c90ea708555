"""Before the first slice: whether the shutter opens while the axis still stands where it released.

A self-timer or an exposure delay opens it later, and every frame then shows the plane after the
one it counts for. A camera on a cable without a hot shoe does not report when it exposes. So the
first slice is shot twice, with the axis held until the frame has arrived and with the axis moving
off as in the run, and a slice some way behind it once. The second frame must be like the first.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from macrorail.clock import Clock
from macrorail.errors import DeviceTimeout, ShutterLags, StackError, StorageError, WorkerCrashed
from macrorail.frame import Frame
from macrorail.run_folder.events import Event, Part, ShutterLagChecked
from macrorail.running.devices import Devices
from macrorail.running.interfaces import LagComparison
from macrorail.states import RunStateMachine, Trigger

#: Mean squared differences as parts of that between the two slices. A bracket whose
#: last exposure alone is late differs by a ninth.
_SAME, _LIKE_THE_NEXT = 0.08, 0.25
#: The least difference between the two slices, in 8-bit steps squared.
_LEAST = 0.02


class ShutterLagCheck:
    """Finds an exposure that is later than the rig's ``shutter_lag`` says.

    Parameters
    ----------
    comparison
        Compares the three frames; ``None`` leaves it open.
    folder
        Takes them; made when the first is shot.
    devices, machine, clock, settle_s
        The run's.
    verify
        Checks a frame as the run does; raises.
    log_event
        Writes to the journal.

    Attributes
    ----------
    busy_with
        The part of the instrument that is at work: a fault is its own.
    """

    def __init__(
        self,
        comparison: LagComparison | None,
        folder: Path,
        devices: Devices,
        machine: RunStateMachine,
        clock: Clock,
        settle_s: float,
        verify: Callable[[Frame], None],
        log_event: Callable[[Event], None],
    ) -> None:
        self._comparison = comparison
        self._folder = folder
        self._devices = devices
        self._machine = machine
        self._clock = clock
        self._settle_s = settle_s
        self._verify = verify
        self._log_event = log_event
        self.busy_with = Part.AXIS

    def is_certain(self, first_um: float, next_um: float) -> bool:
        """Whether the axis may move as soon as an exposure counts as over.

        Parameters
        ----------
        first_um, next_um
            Where the run's first slice is, and one far enough from it to look different.

        Returns
        -------
        bool
            False when the frames cannot tell: then the axis has to wait for each frame.

        Raises
        ------
        ShutterLags
            The shutter opens after the axis has moved on.
        DeviceError, FrameError
            A frame could not be shot.
        """
        if self._comparison is None or first_um == next_um:
            return False
        self._move(first_um)
        held = self._shoot("held")
        leaving = self._shoot("leaving", leave_to_um=next_um)
        away = self._shoot("next")
        try:
            found = self._comparison.differences(held, leaving, away, self._clock.check)
        except (StackError, WorkerCrashed, DeviceTimeout):
            found = {}  # as good as frames in which nothing can be seen
        certain = late = False
        if (apart := found.get("held_away", 0.0)) > _LEAST:
            certain = found["held_leaving"] <= _SAME * apart
            late = not certain and found["leaving_away"] <= _LIKE_THE_NEXT * apart
        self._log_event(ShutterLagChecked(late=late, certain=certain or late, differences=found))
        if late:
            raise ShutterLags(
                "the shutter opens after the axis has moved on: a frame released at the first "
                "slice shows a later one. Switch self-timer and exposure delay off on the camera, "
                "or write the delay as 'shutter_lag' in the rig's camera section"
            )
        return certain

    def _move(self, position_um: float) -> None:
        self.busy_with = Part.AXIS
        self._machine.step(Trigger.MOVE)
        self._devices.axis.start_move(position_um)
        self._devices.axis.finish_move()
        self._machine.step(Trigger.SETTLE)
        self._clock.sleep(self._settle_s)

    def _shoot(self, name: str, leave_to_um: float | None = None) -> Path:
        self.busy_with = Part.CAMERA
        self._machine.step(Trigger.EXPOSE)
        exposure = self._devices.camera.expose(self._next_stem(name))
        if leave_to_um is not None:
            self._move(leave_to_um)
            self.busy_with = Part.CAMERA
        self._machine.step(Trigger.COLLECT)
        frame = self._devices.camera.collect(exposure)
        self._machine.step(Trigger.VERIFY)
        self._verify(frame)
        return frame.path

    def _next_stem(self, name: str) -> Path:
        try:
            self._folder.mkdir(exist_ok=True)
            taken = len(list(self._folder.glob(f"lag-{name}-*")))
        except OSError as error:
            raise StorageError(f"{self._folder} cannot be written: {error.strerror}") from error
        return self._folder / f"lag-{name}-{taken + 1}"
