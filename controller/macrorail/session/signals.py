"""Turns Ctrl-C, SIGTERM and the closing of the terminal into an orderly stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from macrorail.clock import Clock

# Windows has no SIGHUP.
_HANG_UP = getattr(signal, "SIGHUP", None)
_STOPPING = (signal.SIGINT, signal.SIGTERM, *([] if _HANG_UP is None else [_HANG_UP]))


@contextmanager
def stopped_by_signals(clock: Clock) -> Iterator[None]:
    """Request an orderly stop from the clock when a signal arrives during the ``with`` block.

    A signal that was ignored before (``nohup``) is still ignored. Python handles signals only in
    the main thread. A run in another thread is stopped through its clock or its command socket.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    on_terminal = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]

    def ask(number: int, _frame: object) -> None:
        if number == _HANG_UP:
            _leave_terminal(on_terminal)
        clock.request_stop(f"stopped by {signal.Signals(number).name}")

    before = {}
    for number in _STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_terminal(descriptors: list[int]) -> None:
    """Redirect output away from a closed terminal, so that failed writes do not affect the run."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(nothing, descriptor)
    os.close(nothing)
