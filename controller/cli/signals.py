"""Ctrl-C and SIGTERM become an orderly stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from controller.clock import Clock


@contextmanager
def stopped_by_signals(clock: Clock) -> Iterator[None]:
    """While the block runs, ask the clock for a stop instead of tearing the work apart."""

    def ask(number: int, _frame: object) -> None:
        clock.request_stop(f"stopped by {signal.Signals(number).name}")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
