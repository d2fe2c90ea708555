"""The world's clock: scale, shared epoch, and stops that arrive at every wait, once."""

from __future__ import annotations

import threading
import time

import pytest

from macrorail import clock as clock_module
from macrorail.clock import WorldClock
from macrorail.errors import OperatorStop


def test_world_time_runs_by_its_scale() -> None:
    clock = WorldClock(time_scale=50)
    wall, world = time.monotonic(), clock.now()
    clock.sleep(1.0)
    # The scale links the two clocks whatever the machine is busy with.
    assert clock.now() - world >= 1.0
    assert (clock.now() - world) / (time.monotonic() - wall) == pytest.approx(50, rel=0.05)


def test_processes_that_share_the_epoch_share_the_time() -> None:
    first = WorldClock(time_scale=20)
    second = WorldClock(20, first.epoch_s)
    before, middle, after = first.now(), second.now(), first.now()
    assert before <= middle <= after


def test_a_stop_ends_a_long_wait_at_once_and_only_once() -> None:
    clock = WorldClock()
    threading.Timer(0.05, clock.request_stop, ["stopped by SIGINT"]).start()
    with pytest.raises(OperatorStop, match="stopped by SIGINT"):
        clock.sleep(60)
    clock.check()
    clock.sleep(0)


def test_a_stop_before_the_wait_is_not_forgotten() -> None:
    clock = WorldClock()
    clock.request_stop("asked")
    with pytest.raises(OperatorStop):
        clock.check()


@pytest.mark.parametrize("scale", [0, -1, float("nan")])
def test_time_does_not_stand_still_or_run_back(scale: float) -> None:
    with pytest.raises(ValueError, match="time_scale"):
        WorldClock(scale)


def test_no_sleep_into_the_past() -> None:
    with pytest.raises(ValueError, match="cannot sleep"):
        WorldClock().sleep(-0.1)


def test_a_long_wait_gives_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watchdog must not end a long exposure."""
    monkeypatch.setattr(clock_module, "_HEARTBEAT_S", 0.01)
    clock = WorldClock()
    signs = []
    clock.on_wait = lambda: signs.append(clock.now())
    clock.sleep(0.3)
    assert len(signs) > 3
    assert signs[-1] >= 0.3
