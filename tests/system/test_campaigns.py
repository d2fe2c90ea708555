"""A few runs of each long campaign in virtual time; the campaigns themselves do thousands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.studies import faults
from tests.studies.soak import soak


def test_runs_with_random_faults_end_for_a_reason_and_can_be_completed() -> None:
    tally = faults.campaign(count=40, seed=1)
    assert tally.wrong == []
    assert tally.ends.total() == 40


def test_the_campaign_notices_what_it_looks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the check of each frame a cut one is counted, and the campaign must see it."""
    monkeypatch.setattr("macrorail.running.runner.verify_frame", lambda frame: None)
    monkeypatch.setattr(
        faults.OneRun, "_kinds", lambda one: [one._truncate, one._truncate, one._truncate]
    )
    assert faults.campaign(count=10, seed=1).wrong


def test_a_long_run_takes_no_more_memory_and_no_more_descriptors(tmp_path: Path) -> None:
    found = soak(600, tmp_path / "run", samples=6)
    assert found.wrong == []
    assert max(found.descriptors) == min(found.descriptors)
    # Plan, targets and bands grow with the plan's length, by far less than a frame each.
    assert found.memory_mb[-1] - found.memory_mb[1] < 4.0
