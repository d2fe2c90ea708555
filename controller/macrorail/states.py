"""The run's state machine: a table of allowed transitions, and a check that no others happen.

``running/runner.py`` does the work and reports each transition to this module. A transition that is
not in the table is a bug and raises an error. The state machine calls no device. If it did so in
callbacks, chained callbacks would recurse, and an error in a callback would leave the machine in
the new state with the work undone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum

from transitions import Machine, MachineError

# With model_override, transitions warns about every convenience method the model does not define.
logging.getLogger("transitions").setLevel(logging.ERROR)


class State(Enum):
    """State of a run. In states named -ING the run works; in other states it waits or has ended."""

    IDLE = "idle"
    PREPARING = "preparing"
    MOVING = "moving"
    SETTLING = "settling"
    EXPOSING = "exposing"
    COLLECTING = "collecting"
    VERIFYING = "verifying"
    FINISHING = "finishing"
    PAUSED = "paused"
    RECOVERING = "recovering"
    DONE = "done"
    ABORTED = "aborted"
    FAILED = "failed"


class Trigger(Enum):
    """A transition, named after the state it enters."""

    PREPARE = "prepare"
    MOVE = "move"
    SETTLE = "settle"
    EXPOSE = "expose"
    COLLECT = "collect"
    VERIFY = "verify"
    FINISH = "finish"
    COMPLETE = "complete"
    PAUSE = "pause"
    RESUME = "resume"
    RECOVER = "recover"
    ABORT = "abort"
    FAIL = "fail"


class FinishReason(Enum):
    """Why a run ended. A run can end in the state DONE although its coverage is not proven."""

    COMPLETED = "completed"
    COVERAGE_NOT_PROVEN = "coverage_not_proven"
    NOT_VERIFIED = "not_verified"
    STACKING_FAILED = "stacking_failed"
    STOPPED_BY_OPERATOR = "stopped_by_operator"
    PAUSED_TOO_LONG = "paused_too_long"
    SCENE_MOVED = "scene_moved"
    DEVICE_FAULT = "device_fault"
    STORAGE_FAULT = "storage_fault"
    REFUSED = "refused"
    BUG = "bug"


FINAL = frozenset({State.DONE, State.ABORTED, State.FAILED})

_S, _T = State, Trigger
_NOT_ENDED = [s for s in State if s not in FINAL]
_WORKING = [
    _S.PREPARING,
    _S.MOVING,
    _S.SETTLING,
    _S.EXPOSING,
    _S.COLLECTING,
    _S.VERIFYING,
]

#: (trigger, states in which the trigger is allowed, state that is entered). Frames are collected
#: - from SETTLING when the camera sent the frame during the move (rail),
#: - from EXPOSING when camera and axis share one connection (lens) or no move follows,
#: - from MOVING when the axis failed,
#: - from PREPARING when the connection to the camera was lost and is back.
#: A run pauses between slices, or while a device is faulty. FINISH from PREPARING happens in a
#: resumed run that lacks only the stacked picture.
TABLE: tuple[tuple[Trigger, list[State], State], ...] = (
    (_T.PREPARE, [_S.IDLE, _S.RECOVERING], _S.PREPARING),
    (_T.MOVE, [_S.PREPARING, _S.SETTLING, _S.EXPOSING, _S.VERIFYING], _S.MOVING),
    (_T.SETTLE, [_S.MOVING], _S.SETTLING),
    (_T.EXPOSE, [_S.SETTLING, _S.VERIFYING], _S.EXPOSING),
    (_T.COLLECT, [_S.PREPARING, _S.MOVING, _S.SETTLING, _S.EXPOSING], _S.COLLECTING),
    (_T.VERIFY, [_S.COLLECTING], _S.VERIFYING),
    (_T.FINISH, [_S.PREPARING, _S.VERIFYING], _S.FINISHING),
    (_T.COMPLETE, [_S.FINISHING], _S.DONE),
    (_T.PAUSE, [_S.PREPARING, _S.SETTLING, _S.VERIFYING, _S.RECOVERING], _S.PAUSED),
    (_T.RESUME, [_S.PAUSED], _S.PREPARING),
    (_T.RECOVER, _WORKING, _S.RECOVERING),
    (_T.ABORT, _NOT_ENDED, _S.ABORTED),
    (_T.FAIL, _NOT_ENDED, _S.FAILED),
)


class RunStateMachine:
    """Keeps the state of a run and refuses transitions that the table does not allow.

    Parameters
    ----------
    on_enter
        Called with ``(trigger, state)`` after each transition, for journals and displays. The
        callback must not trigger another transition.
    """

    def __init__(self, on_enter: Callable[[Trigger, State], None] | None = None) -> None:
        self._on_enter = on_enter
        self._machine = Machine(
            model=None,
            states=State,
            initial=State.IDLE,
            auto_transitions=False,
            model_override=True,
        )
        self._model = _Model()
        self._machine.add_model(self._model, initial=State.IDLE)
        for trigger, sources, destination in TABLE:
            self._machine.add_transition(trigger.value, [*sources], destination)

    @property
    def state(self) -> State:
        return self._model.state

    @property
    def ended(self) -> bool:
        return self.state in FINAL

    def may(self, trigger: Trigger) -> bool:
        """Return whether the table allows ``trigger`` in the current state."""
        return any(t is trigger and self.state in sources for t, sources, _ in TABLE)

    def step(self, trigger: Trigger) -> State:
        """Make a transition and return the new state.

        Raises
        ------
        IllegalStep
            The table does not allow the transition; the state is unchanged.
        """
        before = self.state
        try:
            self._model.trigger(trigger.value)
        except MachineError as error:
            raise IllegalStep(f"cannot {trigger.value} while {before.value}") from error
        if self._on_enter is not None:
            self._on_enter(trigger, self.state)
        return self.state


class IllegalStep(RuntimeError):
    """The runner made a transition that the table does not allow; this is a bug."""


class _Model:
    """The object on which ``transitions`` sets the state."""

    state: State

    def trigger(self, name: str) -> bool:
        raise AttributeError(name)  # replaced by transitions (model_override)


def diagram() -> str:
    """Return the table as a Mermaid state diagram; a test compares it with the README's diagram."""
    lines = ["stateDiagram-v2", "    [*] --> IDLE"]
    everywhere = {_T.ABORT, _T.FAIL, _T.RECOVER}
    for trigger, sources, destination in TABLE:
        if trigger in everywhere:
            continue
        lines += [f"    {s.name} --> {destination.name}: {trigger.value}" for s in sources]
    lines.append("    note right of RECOVERING: recover, from every working state")
    lines.append("    note right of ABORTED: abort, from every state before the end")
    lines.append("    note right of FAILED: fail, from every state before the end")
    lines += [f"    {s.name} --> [*]" for s in State if s in FINAL]
    return "\n".join(lines) + "\n"
