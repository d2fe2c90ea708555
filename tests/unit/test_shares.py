"""The bounds that campaigns print, against values that can be worked out by hand."""

from __future__ import annotations

import pytest

from tests.studies.shares import lower_bound, upper_bound


def test_nothing_in_three_hundred_bounds_the_share_by_one_percent() -> None:
    # (1 - p)**300 = 0.05
    assert upper_bound(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300), abs=1e-6)
    assert upper_bound(0, 300) < 0.01


def test_all_of_sixty_is_at_least_ninety_five_percent() -> None:
    assert lower_bound(60, 60) == pytest.approx(0.05 ** (1 / 60), abs=1e-6)
    assert lower_bound(60, 60) > 0.95


def test_bounds_enclose_the_share_and_its_ends_are_kept() -> None:
    assert lower_bound(0, 10) == 0.0
    assert upper_bound(10, 10) == 1.0
    assert lower_bound(7, 10) < 0.7 < upper_bound(7, 10)
    # Clopper and Pearson, as R's binom.test(7, 10, alternative = "greater") has it.
    assert lower_bound(7, 10) == pytest.approx(0.3933758, abs=1e-6)
