"""The simulation of docs/explanation/growth.md: no queue loses anything, no work at night."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.studies.growth import DAY_S, Setting, Simulation, working


def test_every_specimen_gets_its_picture_and_time_adds_up() -> None:
    setting = Setting(500, instruments=3, cores=4, redone=0.1)
    end = Simulation(setting).run()
    assert end.stacks == len(end.lags_s) == 550
    assert end.shooting_s == pytest.approx(550 * setting.shoot_s)
    assert end.computing_s == pytest.approx(550 * setting.compute_s)
    assert min(end.lags_s) >= setting.compute_s
    assert end.link_s <= end.total_s


def test_a_bottleneck_shows_where_it_is() -> None:
    week = Setting(12 * 96 * 10, instruments=12, operators=3, cores=8)
    narrow, wide = Simulation(week).run(), Simulation(replace(week, link_bytes_s=1.1e9)).run()
    assert narrow.longest_queue > 100 * wide.longest_queue
    one_core = Simulation(replace(week, link_bytes_s=1.1e9, cores=1)).run()
    assert one_core.computing_s / one_core.total_s > 0.8


@pytest.mark.parametrize(
    ("day", "hour", "then_day", "then_hour"),
    [(0, 3, 0, 9), (0, 12, 0, 12), (0, 16.9, 1, 9), (4, 18, 7, 9), (5, 12, 7, 9)],
)
def test_trays_are_changed_in_working_hours(
    day: int, hour: float, then_day: int, then_hour: float
) -> None:
    begun_s = working(day * DAY_S + hour * 3600, 600)
    assert begun_s == then_day * DAY_S + then_hour * 3600
