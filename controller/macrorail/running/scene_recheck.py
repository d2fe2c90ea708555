"""After an interruption: shoots the last good slice again and compares the two frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from macrorail.clock import Clock
from macrorail.errors import FrameMissing, StorageError
from macrorail.frame import verify_frame
from macrorail.run_folder.events import Event, Part, SceneChecked
from macrorail.running.devices import Devices
from macrorail.running.interfaces import SceneCheck
from macrorail.running.resume import CountedSlice
from macrorail.states import RunStateMachine, Trigger


class SceneRecheck:
    """Checks that specimen, light and camera have not changed.

    Parameters
    ----------
    comparison
        Compares two frames; see ``SceneCheck``.
    folder
        Folder for the check frames; created when the first is shot.
    devices, machine, clock, settle_s
        Devices, state machine, clock and settling time of the run.
    log_event
        Function that writes an event to the journal.

    Attributes
    ----------
    busy_with
        Part of the instrument in use; a fault is attributed to it.
    """

    def __init__(
        self,
        comparison: SceneCheck,
        folder: Path,
        devices: Devices,
        machine: RunStateMachine,
        clock: Clock,
        settle_s: float,
        log_event: Callable[[Event], None],
    ) -> None:
        self._comparison = comparison
        self._folder = folder
        self._devices = devices
        self._machine = machine
        self._clock = clock
        self._settle_s = settle_s
        self._log_event = log_event
        self.busy_with = Part.AXIS

    def check(self, last: CountedSlice) -> None:
        """Shoot a frame at the position of ``last`` and compare it with the frame of ``last``.

        Raises
        ------
        SceneMoved
            The two frames do not show the same scene.
        DeviceError, FrameError
            The frame could not be shot.
        """
        devices = self._devices
        self.busy_with = Part.AXIS
        self._machine.step(Trigger.MOVE)
        devices.axis.start_move(last.achieved_um)
        achieved_um = devices.axis.finish_move()
        self._machine.step(Trigger.SETTLE)
        self._clock.sleep(self._settle_s)
        self.busy_with = Part.CAMERA
        self._machine.step(Trigger.EXPOSE)
        exposure = devices.camera.expose(self._next_stem(last))
        self._machine.step(Trigger.COLLECT)
        frame = devices.camera.collect(exposure)
        self._machine.step(Trigger.VERIFY)
        verify_frame(frame)
        if frame.sha256 == last.sha256:
            raise FrameMissing(
                f"{frame.camera_name} is the frame of slice {last.target.number} again, "
                f"identical in every byte; drain the camera and repeat the exposure"
            )
        found = self._comparison.compare(last.frame, frame.path, self._clock.check)
        self._log_event(
            SceneChecked(
                slice=last.target.number,
                achieved_um=achieved_um,
                frame=f"{self._folder.name}/{frame.path.name}",
                **found,
            )
        )

    def _next_stem(self, last: CountedSlice) -> Path:
        try:
            self._folder.mkdir(exist_ok=True)
            taken = len(list(self._folder.glob(f"{last.target.number:04d}-*")))
        except OSError as error:
            raise StorageError(f"{self._folder} cannot be written: {error.strerror}") from error
        return self._folder / f"{last.target.number:04d}-{taken + 1}"
