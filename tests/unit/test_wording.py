"""Every state, end, remedy and verdict has words, the same on terminal, report and page."""

from __future__ import annotations

import pytest

from macrorail.run_folder.events import Remedy, Verdict
from macrorail.run_folder.wording import ENDS, REMEDIES, SHOOTING, STATES, VERDICTS, state_label
from macrorail.states import FinishReason, State


def test_nothing_is_without_words() -> None:
    assert {state.value for state in State} <= set(STATES)
    assert {reason.value for reason in FinishReason} | {None} == set(ENDS)
    assert set(REMEDIES) == set(Remedy)
    assert set(VERDICTS) == set(Verdict)


@pytest.mark.parametrize(
    ("state", "reason", "label"),
    [
        ("moving", None, "Shooting"),
        ("verifying", None, "Shooting"),
        ("recovering", None, "Recovering"),
        ("searching", None, "Searching for the specimen"),
        ("done", "coverage_not_proven", "Done, coverage not proven"),
        ("aborted", "stopped_by_operator", "Stopped by the operator"),
        ("done", "a reason of a later version", "Done"),
        ("a state of a later version", None, "a state of a later version"),
    ],
)
def test_a_label_says_how_a_run_ended_or_what_it_does(
    state: str, reason: str | None, label: str
) -> None:
    assert state_label(state, reason) == label


def test_shooting_is_what_a_slice_goes_through() -> None:
    assert "preparing" not in SHOOTING and "paused" not in SHOOTING
    assert len(SHOOTING) == 5
