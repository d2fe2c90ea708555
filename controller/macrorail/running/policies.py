"""The fault policy as a table: which remedies apply to a fault of a part in a state of the run.

A row lists remedies in the order in which they are tried until a slice succeeds. Each remedy has a
maximum number of tries, and a wait before each try that doubles every time. After the last remedy
the slice is left out or the run stops. ``macrorail policies`` prints this table.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from macrorail.errors import (
    AutofocusFailed,
    BatteryExhausted,
    CameraBusy,
    CameraError,
    CameraSettingRefused,
    CameraStorageFull,
    CameraUnsupported,
    ConnectError,
    DeviceError,
    DeviceLost,
    DeviceTimeout,
    FrameError,
    FrameMissing,
    FrameSizeDiffers,
    JournalError,
    LimitError,
    MacrorailError,
    OtherCamera,
    PositionInDoubt,
    RailAlarm,
    SceneMoved,
    SettingsByHandDiffer,
    SettingsDiffer,
    ShutterLags,
    StackError,
    StorageError,
    WireError,
    WorkerCrashed,
)
from macrorail.run_folder.events import Part, Remedy
from macrorail.states import FINAL, State

#: A run ends after more faults than this without a successful slice, whatever the faults are.
LONGEST_SERIES = 20

#: If this many slices in a row are left out, they are no longer single failures: the run pauses.
LONGEST_ROW_LEFT_OUT = 2


@dataclass(frozen=True)
class Step:
    """A remedy, how often it is tried, and the seconds of run time to wait before the first try."""

    remedy: Remedy
    times: int
    back_off_s: float = 0.0


@dataclass(frozen=True)
class Policy:
    """A row of the table.

    Attributes
    ----------
    part
        Part of the instrument that has the fault.
    fault
        Class of the error, including subclasses. The first row that fits is used.
    steps
        Remedies in the order in which they are tried.
    last
        ``FINISH`` or ``STOP``, applied when all steps are used up.
    states
        States in which this row applies; all states if empty.
    codes
        Codes of a ``RailAlarm`` to which this row applies; all codes if empty.
    """

    part: Part
    fault: type[MacrorailError]
    steps: tuple[Step, ...]
    last: Remedy
    states: frozenset[State] = frozenset()
    codes: frozenset[str] = frozenset()

    def fits(self, part: Part, fault: MacrorailError, state: State) -> bool:
        """Return whether this row applies to a fault of ``part`` while the run is in ``state``."""
        if self.part is not part or not isinstance(fault, self.fault):
            return False
        if self.states and state not in self.states:
            return False
        return not self.codes or (isinstance(fault, RailAlarm) and fault.code in self.codes)


_AXIS, _CAMERA, _STORAGE = Part.AXIS, Part.CAMERA, Part.STORAGE
_RETRY, _RECOVER, _PAUSE = Remedy.RETRY, Remedy.RECOVER, Remedy.PAUSE
_FINISH, _STOP = Remedy.FINISH, Remedy.STOP
_SOME_TIMES = (Step(_RECOVER, 3, 1.0),)
#: Waits of a minute, then two, up to half an hour: time for the operator to come.
_WAIT_FOR_OPERATOR = Step(_PAUSE, 6, 60.0)
#: Waits of two seconds, then four, up to a minute: time to reconnect a plug. Then the run pauses.
_RECONNECT = (Step(_RECOVER, 6, 2.0), _WAIT_FOR_OPERATOR)
_DISTURBED = (*_SOME_TIMES, _WAIT_FOR_OPERATOR)
_AT_FIRST = frozenset({State.PREPARING})

TABLE: tuple[Policy, ...] = (
    # The operator is present while a run is being prepared, so faults are reported at once.
    Policy(_AXIS, ConnectError, (), _STOP, states=_AT_FIRST),
    Policy(_CAMERA, ConnectError, (), _STOP, states=_AT_FIRST),
    # A board that stopped for a reason of its own stays stopped, unless it only missed messages
    # from the computer. That happens when the computer was asleep.
    Policy(_AXIS, RailAlarm, _SOME_TIMES, _STOP, codes=frozenset({"silence"})),
    Policy(_AXIS, RailAlarm, (), _STOP),
    Policy(_AXIS, LimitError, (), _STOP),
    Policy(_AXIS, PositionInDoubt, _SOME_TIMES, _STOP),
    Policy(_AXIS, WireError, _DISTURBED, _STOP),
    Policy(_AXIS, DeviceLost, _RECONNECT, _STOP),
    Policy(_AXIS, ConnectError, _RECONNECT, _STOP),
    Policy(_AXIS, DeviceTimeout, _RECONNECT, _STOP),
    # A lens is driven through the camera, so the camera is opened again and the lens is homed.
    Policy(_AXIS, CameraUnsupported, (), _STOP),
    Policy(_AXIS, BatteryExhausted, (_WAIT_FOR_OPERATOR,), _STOP),
    Policy(_AXIS, WorkerCrashed, _RECONNECT, _STOP),
    Policy(_AXIS, DeviceError, _DISTURBED, _STOP),
    Policy(_CAMERA, CameraUnsupported, (), _STOP),
    Policy(_CAMERA, CameraSettingRefused, (Step(_RECOVER, 3, 2.0),), _STOP),
    # The next five faults concern frames with wrong settings. If a dial was turned, the camera
    # library sets the value again, or the operator does. If the body was exchanged, the operator
    # must connect the first body again.
    Policy(_CAMERA, FrameSizeDiffers, (), _STOP),
    Policy(_CAMERA, ShutterLags, (), _STOP),
    Policy(_CAMERA, OtherCamera, (), _STOP, states=_AT_FIRST),
    Policy(_CAMERA, OtherCamera, (_WAIT_FOR_OPERATOR,), _STOP),
    Policy(_CAMERA, SettingsByHandDiffer, (_WAIT_FOR_OPERATOR,), _STOP),
    Policy(_CAMERA, SettingsDiffer, (Step(_RECOVER, 2, 1.0), _WAIT_FOR_OPERATOR), _STOP),
    Policy(_CAMERA, BatteryExhausted, (_WAIT_FOR_OPERATOR,), _STOP),
    # Draining frees space in the camera's memory. Space on a card must be freed by the operator.
    Policy(_CAMERA, CameraStorageFull, (Step(_RETRY, 2, 1.0), _WAIT_FOR_OPERATOR), _STOP),
    Policy(_CAMERA, CameraBusy, (Step(_RETRY, 4, 0.5), Step(_RECOVER, 2, 5.0)), _FINISH),
    Policy(_CAMERA, FrameMissing, (Step(_RETRY, 1), Step(_RECOVER, 2, 1.0)), _FINISH),
    Policy(_CAMERA, AutofocusFailed, (Step(_RETRY, 2, 1.0),), _FINISH),
    Policy(_CAMERA, DeviceLost, _RECONNECT, _STOP),
    Policy(_CAMERA, ConnectError, _RECONNECT, _STOP),
    Policy(_CAMERA, DeviceTimeout, _RECONNECT, _STOP),
    Policy(_CAMERA, WorkerCrashed, _RECONNECT, _STOP),
    Policy(_CAMERA, CameraError, (Step(_RETRY, 1, 1.0), Step(_RECOVER, 2, 2.0)), _FINISH),
    Policy(_CAMERA, DeviceError, _DISTURBED, _STOP),
    # The folder is full or unavailable. No frame is lost while nothing is shot.
    Policy(_STORAGE, StorageError, (_WAIT_FOR_OPERATOR,), _STOP),
    Policy(_STORAGE, FrameError, (Step(_RETRY, 2), Step(_RECOVER, 1, 1.0)), _FINISH),
    Policy(_STORAGE, JournalError, (_WAIT_FOR_OPERATOR,), _STOP),
    # A stacker that dies is restarted with the frames on disk; this fault is its second failure.
    Policy(Part.STACKER, StackError, (), _STOP),
    Policy(Part.SCENE, SceneMoved, (), _STOP),
)


def policy_for(part: Part, fault: MacrorailError, state: State) -> Policy:
    """Return the table's row for a fault; if no row applies, return a row that ends the run."""
    for policy in TABLE:
        if policy.fits(part, fault, state):
            return policy
    return Policy(part, type(fault), (), _STOP)


@dataclass(frozen=True)
class Decision:
    """The remedy to apply now, and the run time in seconds to wait before it."""

    remedy: Remedy
    wait_s: float = 0.0


class PolicyState:
    """Applies the table to the faults of one run and counts them."""

    def __init__(self) -> None:
        self._met: Counter[Policy] = Counter()
        self._left_out_in_a_row = 0
        self._called = 0

    def decide(self, part: Part, fault: MacrorailError, state: State) -> Decision:
        """Choose the remedy for a fault, given the faults since the last successful slice.

        Parameters
        ----------
        part, fault, state
            Part that has the fault, the fault, and the state of the run. The state must not be idle
            or final.
        """
        if state in FINAL:
            raise ValueError(f"a run that is {state.value} has no faults")
        policy = policy_for(part, fault, state)
        tried = self._met[policy]
        self._met[policy] += 1
        if self._met.total() > LONGEST_SERIES:
            return Decision(Remedy.STOP)
        for step in policy.steps:
            if tried < step.times:
                return Decision(step.remedy, step.back_off_s * 2**tried)
            tried -= step.times
        return self._last(policy)

    def came_through(self) -> None:
        """Forget earlier faults after a slice was completed."""
        self._met.clear()
        self._left_out_in_a_row = self._called = 0

    def _last(self, policy: Policy) -> Decision:
        if policy.last is Remedy.FINISH:
            self._left_out_in_a_row += 1
            if self._left_out_in_a_row < LONGEST_ROW_LEFT_OUT:
                self._met.clear()
                return Decision(Remedy.FINISH)
            call = _WAIT_FOR_OPERATOR
            if self._called < call.times:
                self._called += 1
                return Decision(call.remedy, call.back_off_s * 2 ** (self._called - 1))
        return Decision(Remedy.STOP)
