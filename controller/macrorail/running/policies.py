"""What is done about each fault, as one table: whose fault, which class, in which state.

A row lists remedies in the order in which they are tried while no slice comes through; each has a
limit and a pause before it that doubles every time. After the last of them comes an
end: leave the slice out, or stop. ``macrorail policies`` prints this table, the runner obeys it.
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

#: This many faults without a slice in between end a run, whatever they are.
LONGEST_SERIES = 20

#: This many slices left out in a row are no longer single failures: the run pauses.
LONGEST_ROW_LEFT_OUT = 2


@dataclass(frozen=True)
class Step:
    """A remedy, how often it is tried, and the world time waited before it the first time."""

    remedy: Remedy
    times: int
    back_off_s: float = 0.0


@dataclass(frozen=True)
class Policy:
    """A row of the table.

    Attributes
    ----------
    part
        Whose fault.
    fault
        The error's class, subclasses included; the first row that fits counts.
    steps
        Tried in this order.
    last
        ``FINISH`` or ``STOP``, once the steps are used up.
    states
        Where this row counts; all states when empty.
    codes
        Of a ``RailAlarm``: those that this row is for; all when empty.
    """

    part: Part
    fault: type[MacrorailError]
    steps: tuple[Step, ...]
    last: Remedy
    states: frozenset[State] = frozenset()
    codes: frozenset[str] = frozenset()

    def fits(self, part: Part, fault: MacrorailError, state: State) -> bool:
        """Whether this row is for a fault."""
        if self.part is not part or not isinstance(fault, self.fault):
            return False
        if self.states and state not in self.states:
            return False
        return not self.codes or (isinstance(fault, RailAlarm) and fault.code in self.codes)


_AXIS, _CAMERA, _STORAGE = Part.AXIS, Part.CAMERA, Part.STORAGE
_RETRY, _RECOVER, _PAUSE = Remedy.RETRY, Remedy.RECOVER, Remedy.PAUSE
_FINISH, _STOP = Remedy.FINISH, Remedy.STOP
_SOME_TIMES = (Step(_RECOVER, 3, 1.0),)
#: A minute, then two ... half an hour: time for the operator to come.
_WAIT_FOR_OPERATOR = Step(_PAUSE, 6, 60.0)
#: Two seconds, then four ... a minute: time to push a plug back in. Then the run pauses.
_RECONNECT = (Step(_RECOVER, 6, 2.0), _WAIT_FOR_OPERATOR)
_DISTURBED = (*_SOME_TIMES, _WAIT_FOR_OPERATOR)
_AT_FIRST = frozenset({State.PREPARING})

TABLE: tuple[Policy, ...] = (
    # The operator is present while a run is being prepared: reported at once, nothing tried.
    Policy(_AXIS, ConnectError, (), _STOP, states=_AT_FIRST),
    Policy(_CAMERA, ConnectError, (), _STOP, states=_AT_FIRST),
    # A board that stopped for its own reasons stays stopped, unless it only missed our messages:
    # that happens when the computer was asleep.
    Policy(_AXIS, RailAlarm, _SOME_TIMES, _STOP, codes=frozenset({"silence"})),
    Policy(_AXIS, RailAlarm, (), _STOP),
    Policy(_AXIS, LimitError, (), _STOP),
    Policy(_AXIS, PositionInDoubt, _SOME_TIMES, _STOP),
    Policy(_AXIS, WireError, _DISTURBED, _STOP),
    Policy(_AXIS, DeviceLost, _RECONNECT, _STOP),
    Policy(_AXIS, ConnectError, _RECONNECT, _STOP),
    Policy(_AXIS, DeviceTimeout, _RECONNECT, _STOP),
    # A lens is driven through the camera: its camera is opened again and the lens homed.
    Policy(_AXIS, CameraUnsupported, (), _STOP),
    Policy(_AXIS, BatteryExhausted, (_WAIT_FOR_OPERATOR,), _STOP),
    Policy(_AXIS, WorkerCrashed, _RECONNECT, _STOP),
    Policy(_AXIS, DeviceError, _DISTURBED, _STOP),
    Policy(_CAMERA, CameraUnsupported, (), _STOP),
    Policy(_CAMERA, CameraSettingRefused, (Step(_RECOVER, 3, 2.0),), _STOP),
    # What frames say about themselves. A dial that was turned is set back by the library, or by a
    # hand; a body that was exchanged is exchanged again by one.
    Policy(_CAMERA, FrameSizeDiffers, (), _STOP),
    Policy(_CAMERA, ShutterLags, (), _STOP),
    Policy(_CAMERA, OtherCamera, (), _STOP, states=_AT_FIRST),
    Policy(_CAMERA, OtherCamera, (_WAIT_FOR_OPERATOR,), _STOP),
    Policy(_CAMERA, SettingsByHandDiffer, (_WAIT_FOR_OPERATOR,), _STOP),
    Policy(_CAMERA, SettingsDiffer, (Step(_RECOVER, 2, 1.0), _WAIT_FOR_OPERATOR), _STOP),
    Policy(_CAMERA, BatteryExhausted, (_WAIT_FOR_OPERATOR,), _STOP),
    # Draining makes room in the camera's memory; on a card only a hand does.
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
    # The folder is full or gone: nothing is lost while nothing is shot.
    Policy(_STORAGE, StorageError, (_WAIT_FOR_OPERATOR,), _STOP),
    Policy(_STORAGE, FrameError, (Step(_RETRY, 2), Step(_RECOVER, 1, 1.0)), _FINISH),
    Policy(_STORAGE, JournalError, (_WAIT_FOR_OPERATOR,), _STOP),
    # A stacker that dies is started again with the frames on disk; this fault is its second.
    Policy(Part.STACKER, StackError, (), _STOP),
    Policy(Part.SCENE, SceneMoved, (), _STOP),
)


def policy_for(part: Part, fault: MacrorailError, state: State) -> Policy:
    """The row for a fault; a fault without a row ends the run."""
    for policy in TABLE:
        if policy.fits(part, fault, state):
            return policy
    return Policy(part, type(fault), (), _STOP)


@dataclass(frozen=True)
class Decision:
    """What to do now, and how long to wait before it (world seconds)."""

    remedy: Remedy
    wait_s: float = 0.0


class PolicyState:
    """Applies the table to the faults of one run and counts them."""

    def __init__(self) -> None:
        self._met: Counter[Policy] = Counter()
        self._left_out_in_a_row = 0
        self._called = 0

    def decide(self, part: Part, fault: MacrorailError, state: State) -> Decision:
        """What to do about a fault, in the light of those since the last slice that came through.

        Parameters
        ----------
        part, fault, state
            Whose, what, and where the run was; no state of rest or end.
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
        """A slice was counted: earlier faults are over."""
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
