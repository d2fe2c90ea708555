"""The lock of the operator: one viewer controls the instrument; every viewer may stop it."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Seconds without a sign of the operator's page after which the lock is free.
LEASE_S = 8.0


class NotOperator(Exception):
    """The command was refused, because another viewer is in control."""


class OperatorLock:
    """A lock that gives one viewer at a time control of the instrument.

    Parameters
    ----------
    now
        Returns the time in seconds from a monotonic clock.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._operator: str | None = None
        self._seen_s = 0.0

    @property
    def operator(self) -> str | None:
        """Id of the viewer who operates; ``None`` when the lock is free."""
        if self._operator is not None and self._now() - self._seen_s > LEASE_S:
            self._operator = None
        return self._operator

    def seen(self, viewer: str) -> None:
        """Extend the lease of an operator whose page is open."""
        if self.operator == viewer:
            self._seen_s = self._now()

    def require(self, viewer: str) -> None:
        """Check that ``viewer`` may send commands; take the lock for ``viewer`` if it is free.

        Raises
        ------
        NotOperator
            Another viewer has the lock.
        """
        if self.operator not in {None, viewer}:
            raise NotOperator("someone else is in control; take control first, or watch")
        self.take(viewer)

    def take(self, viewer: str) -> None:
        """Give the lock to ``viewer``, even if another viewer has it."""
        self._operator, self._seen_s = viewer, self._now()

    def release(self, viewer: str) -> None:
        """Release the lock if ``viewer`` has it."""
        if self._operator == viewer:
            self._operator = None
