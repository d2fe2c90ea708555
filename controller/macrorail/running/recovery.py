"""Applies the fault policy: retry, recover, pause, leave out, stop.

Recovery moves the state machine through RECOVERING and PAUSED and leaves it in PREPARING. Only the
runner changes the queue of slices.
"""

from __future__ import annotations

from collections.abc import Callable

from macrorail.clock import Clock
from macrorail.errors import DeviceError, MacrorailError
from macrorail.run_folder.events import (
    Event,
    FaultOccurred,
    Part,
    PauseEnded,
    Remedy,
    RunPaused,
)
from macrorail.running.devices import Devices
from macrorail.running.pauses import Pauses
from macrorail.running.policies import Decision, PolicyState
from macrorail.running.resume import Target
from macrorail.states import RunStateMachine, State, Trigger


class FaultRecovery:
    """Handles the faults of one run.

    Parameters
    ----------
    machine, clock, devices, pauses
        State machine, clock, devices and pauses of the run.
    log_event
        Function that writes an event to the journal.

    Attributes
    ----------
    scene_in_doubt
        True after the axis was homed again or the run was paused, because specimen and light may
        have changed. The caller sets it to False after checking them.
    """

    def __init__(
        self,
        machine: RunStateMachine,
        clock: Clock,
        devices: Devices,
        pauses: Pauses,
        log_event: Callable[[Event], None],
    ) -> None:
        self._machine = machine
        self._clock = clock
        self._devices = devices
        self._pauses = pauses
        self._log_event = log_event
        self._policy = PolicyState()
        self.scene_in_doubt = False

    def handle(self, part: Part, fault: MacrorailError, target: Target | None = None) -> bool:
        """Apply the fault policy to a fault.

        Parameters
        ----------
        part, fault
            Part of the instrument that has the fault, and the error.
        target
            Slice during which the fault occurred, if any; only a slice can be left out.

        Returns
        -------
        bool
            True if the slice is to be tried again, False if it is left out for now.

        Raises
        ------
        MacrorailError
            The fault itself, if the run must stop. ``OperatorStop`` or ``PausedTooLong``, if the
            run ends during a pause.
        """
        while True:
            decision = self._decide(part, fault, target)
            if self._machine.state is not State.RECOVERING:
                self._machine.step(Trigger.RECOVER)
            try:
                self._apply(decision, part, str(fault))
            except DeviceError as another:
                fault = another
                part = Part.AXIS if part is Part.AXIS else Part.CAMERA
                continue
            self._machine.step(Trigger.PREPARE)
            return decision.remedy is not Remedy.FINISH

    def check_requests(self) -> None:
        """Pause if the operator or a watch requests a pause; then check the devices.

        Call this between two slices.
        """
        why = self._pauses.reason()
        if why is not None:
            self._pause(why, at_least_s=0.0)
            self._check_devices()

    def check_stop(self) -> None:
        """Raise ``OperatorStop`` if the operator asked to end the run after this slice."""
        self._pauses.check_stop()

    @property
    def wanted(self) -> bool:
        """Whether the run has to pause or stop between slices."""
        return self._pauses.wanted

    def came_through(self) -> None:
        """Forget earlier faults after a slice was completed."""
        self._policy.came_through()

    def _decide(self, part: Part, fault: MacrorailError, target: Target | None) -> Decision:
        state = self._machine.state
        decision = self._policy.decide(part, fault, state)
        if target is None and decision.remedy is Remedy.FINISH:
            decision = Decision(Remedy.STOP)
        self._log_event(
            FaultOccurred(
                slice=None if target is None else target.number,
                attempt=None if target is None else target.attempt,
                part=part.value,
                state=state.value,
                error=type(fault).__name__,
                message=str(fault),
                remedy=decision.remedy.value,
                wait_s=decision.wait_s,
            )
        )
        if decision.remedy is Remedy.STOP:
            raise fault
        return decision

    def _apply(self, decision: Decision, part: Part, why: str) -> None:
        if decision.remedy is Remedy.PAUSE:
            self._pause(why, decision.wait_s)
            self._machine.step(Trigger.RECOVER)
        else:
            self._clock.sleep(decision.wait_s)
        if decision.remedy is Remedy.RETRY:
            self._devices.drain()
            return
        self._devices.open(Part.AXIS if part is Part.AXIS else Part.CAMERA)
        if part is Part.AXIS or decision.remedy is Remedy.PAUSE:
            self.scene_in_doubt = True

    def _pause(self, why: str, at_least_s: float) -> None:
        # Called before the pause is shown, so that an operator's immediate answer is not lost.
        self._pauses.begin()
        self._machine.step(Trigger.PAUSE)
        self._log_event(RunPaused(why=why))
        ended_by, paused_s = self._pauses.wait(why, at_least_s)
        self._log_event(PauseEnded(why=ended_by, paused_s=paused_s))
        self._machine.step(Trigger.RESUME)

    def _check_devices(self) -> None:
        """After a pause, home the axis, to be certain of its position, and set the camera again."""
        self.scene_in_doubt = True
        for part, act in (
            (Part.AXIS, self._devices.home),
            (Part.CAMERA, self._devices.configure),
        ):
            self._machine.step(Trigger.RECOVER)
            try:
                act()
            except DeviceError as fault:
                self.handle(part, fault)
            else:
                self._machine.step(Trigger.PREPARE)
