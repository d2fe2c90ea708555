"""Before the first slice: checks that the shutter opens before the axis moves on.

With a self-timer or an exposure delay the shutter may open after the axis has moved on. Every frame
would then show the plane of a later slice. A camera on a cable without a hot shoe does not report
when it exposes. So the first slice is shot twice: once with the axis at rest until the frame has
arrived, and once with the axis moving on as in the run. A slice farther away is shot once. The
second frame of the first slice must look like its first frame.
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

#: Largest mean squared difference between frames of the same plane, and between a late frame and
#: the other slice, as shares of the difference between the two slices. If only the last exposure
#: of a bracket is late, the share is a ninth.
_SAME, _LIKE_THE_NEXT = 0.08, 0.25
#: Smallest usable difference between the two slices, in 8-bit steps squared.
_LEAST = 0.02


class ShutterLagCheck:
    """Detects exposures that are later than the rig's ``shutter_lag`` states.

    Parameters
    ----------
    comparison
        Compares the three frames; with ``None`` the result stays uncertain.
    folder
        Folder for the frames; created when the first is shot.
    devices, machine, clock, settle_s
        Devices, state machine, clock and settling time of the run.
    verify
        Function that checks a frame as the run does, and raises an error if it is bad.
    log_event
        Function that writes an event to the journal.

    Attributes
    ----------
    busy_with
        Part of the instrument in use; a fault is attributed to it.
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
        """Return whether the axis may certainly move as soon as an exposure counts as over.

        Parameters
        ----------
        first_um, next_um
            Position of the run's first slice, and a position far enough from it to look different.

        Returns
        -------
        bool
            True if the frames show that the shutter opens in time. False if they show too little;
            the axis must then wait for each frame.

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
            found = {}  # treated like frames that show too little
        certain = late = False
        if (apart := found.get("held_away", 0.0)) > _LEAST:
            certain = found["held_leaving"] <= _SAME * apart
            late = not certain and found["leaving_away"] <= _LIKE_THE_NEXT * apart
        self._log_event(ShutterLagChecked(late=late, certain=certain or late, differences=found))
        if late:
            raise ShutterLags(
                "the shutter opens after the axis has moved on: a frame released at the first "
                "slice shows a later one. Switch off self-timer and exposure delay on the camera, "
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
