"""How a run ended, and which error leads to which end."""

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

#: Errors that end a run early, the end that they lead to, and its reason.
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
        Why, as scripts read it.
    message
        Why, in words; empty when all went well.
    error
        What ended it, with its exit code; ``None`` when it ran to its end.
    """

    state: State
    reason: FinishReason
    message: str = ""
    error: MacrorailError | None = None


def end_of(error: MacrorailError) -> tuple[Trigger, FinishReason]:
    """How an error ends a run, and the reason that scripts read."""
    return next((trigger, reason) for cls, trigger, reason in _ENDS if isinstance(error, cls))
