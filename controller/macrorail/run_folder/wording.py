"""Labels of a run's states, ends and remedies, for the terminal, the report and the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from macrorail.run_folder.events import Remedy, Verdict
from macrorail.states import FinishReason, State

STATES: Mapping[str, str] = {
    State.IDLE.value: "Idle",
    State.PREPARING.value: "Preparing",
    State.MOVING.value: "Moving",
    State.SETTLING.value: "Settling",
    State.EXPOSING.value: "Exposing",
    State.COLLECTING.value: "Downloading the frame",
    State.VERIFYING.value: "Checking the frame",
    State.FINISHING.value: "Finishing the picture",
    State.PAUSED.value: "Paused",
    State.RECOVERING.value: "Recovering",
    State.DONE.value: "Done",
    State.ABORTED.value: "Stopped",
    State.FAILED.value: "Failed",
    # These are states of a run folder, not of the run's state machine.
    "starting": "Starting",
    "searching": "Searching for the specimen",
    "interrupted": "Interrupted",
    "unreadable": "Cannot be read",
}
"""Label of each state of a run or of its folder."""

SHOOTING = frozenset(
    state.value
    for state in (
        *(State.MOVING, State.SETTLING, State.EXPOSING),
        *(State.COLLECTING, State.VERIFYING),
    )
)
"""The states within a slice, which are too short to be shown one by one."""

ENDS: Mapping[str | None, str] = {
    FinishReason.COMPLETED.value: "Done, coverage proven",
    FinishReason.COVERAGE_NOT_PROVEN.value: "Done, coverage not proven",
    FinishReason.NOT_VERIFIED.value: "Done, coverage not verified by the images",
    FinishReason.STACKING_FAILED.value: "Done, picture incomplete",
    FinishReason.STOPPED_BY_OPERATOR.value: "Stopped by the operator",
    FinishReason.PAUSED_TOO_LONG.value: "Stopped after a long pause",
    FinishReason.SCENE_MOVED.value: "Stopped: the scene has moved",
    FinishReason.DEVICE_FAULT.value: "Stopped by a device fault",
    FinishReason.STORAGE_FAULT.value: "Stopped by a storage fault",
    FinishReason.REFUSED.value: "Refused before it started",
    FinishReason.BUG.value: "Stopped by an internal error",
    None: STATES["interrupted"],
}
"""Label of each finish reason; ``None`` stands for a run whose end was not recorded."""


@dataclass(frozen=True)
class RemedyWords:
    """Texts that describe a remedy.

    Attributes
    ----------
    meaning
        Text for the table of policies.
    now
        Text while the remedy is applied.
    past
        Text for the report of a run, after the remedy was applied.
    """

    meaning: str
    now: str
    past: str


REMEDIES: Mapping[str, RemedyWords] = {
    Remedy.RETRY: RemedyWords(
        "drain the camera and shoot the slice again",
        "shooting the slice again",
        "the camera was drained and the slice was shot again",
    ),
    Remedy.RECOVER: RemedyWords(
        "reopen the device (and home the axis), then shoot the slice again",
        "reopening the device",
        "the device was reopened",
    ),
    Remedy.PAUSE: RemedyWords(
        "wait at least that long and until the cause is gone, then recover",
        "pausing",
        "the run paused",
    ),
    Remedy.FINISH: RemedyWords(
        "leave the slice out for now and finish the others",
        "finishing the other slices first",
        "the slice was left out for now and the others were finished",
    ),
    Remedy.STOP: RemedyWords(
        "end the run safely; 'macrorail resume' continues it",
        "the run ends here",
        "the run was ended",
    ),
}
"""Texts for each remedy of a device fault."""

VERDICTS: Mapping[str, str] = {
    Verdict.FUSE: "used in spite of it",
    Verdict.RESHOOT: "shooting the slice again",
    Verdict.PAUSE: "pausing before the slice is shot again",
    Verdict.STOP: "the run ends here",
}
"""Text for each verdict on a frame that has a fault."""


def state_label(state: str, reason: str | None = None) -> str:
    """Return the label of a run for a list or a heading: its end, or its present state.

    Parameters
    ----------
    state
        A value of ``states.State``, or a state of a run folder.
    reason
        A value of ``states.FinishReason``; ``None`` while the run continues.
    """
    if reason is not None:
        return ENDS.get(reason, STATES.get(state, state))
    return "Shooting" if state in SHOOTING else STATES.get(state, state)


def remedy_now(remedy: str) -> str:
    """Return the text for a remedy that is being applied; for an unknown remedy, its name."""
    return REMEDIES[remedy].now if remedy in REMEDIES else remedy
