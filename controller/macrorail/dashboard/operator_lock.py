"""Who operates: many may watch, one commands; everybody may stop."""

from __future__ import annotations

import time
from collections.abc import Callable

#: An operator whose page has not been seen for this long has left.
LEASE_S = 8.0


class NotOperator(Exception):
    """Someone else is in control."""


class OperatorLock:
    """Held by the viewer who operates.

    Parameters
    ----------
    now
        Seconds that only grow.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._operator: str | None = None
        self._seen_s = 0.0

    @property
    def operator(self) -> str | None:
        """Who operates; ``None`` when the lock is free."""
        if self._operator is not None and self._now() - self._seen_s > LEASE_S:
            self._operator = None
        return self._operator

    def seen(self, viewer: str) -> None:
        """Extend the lease of an operator whose page is open."""
        if self.operator == viewer:
            self._seen_s = self._now()

    def require(self, viewer: str) -> None:
        """Make sure that ``viewer`` may command; a command takes a lock that is free.

        Raises
        ------
        NotOperator
        """
        if self.operator not in {None, viewer}:
            raise NotOperator("someone else is in control; take control first, or watch")
        self.take(viewer)

    def take(self, viewer: str) -> None:
        """Take the lock, whoever holds it: two people in one laboratory talk to each other."""
        self._operator, self._seen_s = viewer, self._now()

    def release(self, viewer: str) -> None:
        """Give the lock up, if ``viewer`` holds it."""
        if self._operator == viewer:
            self._operator = None
