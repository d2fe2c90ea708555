"""A few kills of the whole controller on real parts; the campaign itself does hundreds."""

from __future__ import annotations

from tests.studies.kills import campaign


def test_killed_controllers_lose_no_slice_and_count_none_twice() -> None:
    tally = campaign(kills=4, seed=1)
    assert tally.wrong == []
    assert tally.kills == 4
