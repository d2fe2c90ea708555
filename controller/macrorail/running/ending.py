"""How a run ended, and which error causes which kind of end."""

from __future__ import annotations

from dataclasses import dataclass

from macrorail.errors import (
    DeviceError,
    FrameError,
    JournalError,
    MacrorailError,
    OperatorStop,
    PausedTooLong,
    PlanError,
    SceneMoved,
    StackError,
)
from macrorail.states import FinishReason, State, Trigger

#: Errors that end a run early, each with the trigger of the run's final state and the reason.
_ENDS: tuple[tuple[type[MacrorailError], Trigger, FinishReason], ...] = (
    (OperatorStop, Trigger.ABORT, FinishReason.STOPPED_BY_OPERATOR),
    (PausedTooLong, Trigger.FAIL, FinishReason.PAUSED_TOO_LONG),
    (SceneMoved, Trigger.FAIL, FinishReason.SCENE_MOVED),
    (PlanError, Trigger.FAIL, FinishReason.REFUSED),
    (DeviceError, Trigger.FAIL, FinishReason.DEVICE_FAULT),
    (StackError, Trigger.FAIL, FinishReason.STACKING_FAILED),
    (FrameError, Trigger.FAIL, FinishReason.STORAGE_FAULT),
    (JournalError, Trigger.FAIL, FinishReason.STORAGE_FAULT),
    (MacrorailError, Trigger.FAIL, FinishReason.BUG),
)


@dataclass(frozen=True)
class RunEnd:
    """How a run ended.

    Attributes
    ----------
    state
        DONE, ABORTED or FAILED.
    reason
        Reason as a code for scripts.
    message
        Reason as text; empty when the run ended normally.
    error
        Error that ended the run, with its exit code; ``None`` when the run was completed.
    """

    state: State
    reason: FinishReason
    message: str = ""
    error: MacrorailError | None = None


def end_of(error: MacrorailError) -> tuple[Trigger, FinishReason]:
    """Return the trigger of the final state for an error that ends a run, and the reason code."""
    return next((trigger, reason) for cls, trigger, reason in _ENDS if isinstance(error, cls))
