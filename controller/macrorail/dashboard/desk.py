"""Who operates: many may watch, one commands; stopping is everybody's right."""

from __future__ import annotations

import time
from collections.abc import Callable

#: An operator who is neither seen nor heard for so long has gone.
LEASE_S = 8.0


class NotOperator(Exception):
    """Somebody else operates."""


class Desk:
    """The operator's place.

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
        """Who operates; ``None`` when the place is free."""
        if self._operator is not None and self._now() - self._seen_s > LEASE_S:
            self._operator = None
        return self._operator

    def seen(self, viewer: str) -> None:
        """A page is open: an operator keeps the place by that."""
        if self.operator == viewer:
            self._seen_s = self._now()

    def require(self, viewer: str) -> None:
        """Make sure that ``viewer`` may command; who commands while the place is free takes it.

        Raises
        ------
        NotOperator
        """
        if self.operator not in {None, viewer}:
            raise NotOperator("somebody else operates; take over first, or watch")
        self.take(viewer)

    def take(self, viewer: str) -> None:
        """Sit down, whoever sat there: two people in one laboratory talk to each other."""
        self._operator, self._seen_s = viewer, self._now()

    def leave(self, viewer: str) -> None:
        """Get up."""
        if self._operator == viewer:
            self._operator = None
