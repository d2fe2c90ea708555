"""Scripted faults of a simulated body, and the reasons for which a body refuses an operation."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import Enum, auto


class Reason(Enum):
    """Why a body refuses an operation."""

    BUSY = auto()
    STORE_FULL = auto()
    NOT_LIVE_VIEW = auto()
    LIVE_VIEW_PROHIBITED = auto()
    END_STOP = auto()
    STEP_TOO_SMALL = auto()
    OUT_OF_FOCUS = auto()
    VALUE_NOT_OFFERED = auto()
    NO_SUCH_FILE = auto()
    GENERAL = auto()


class Refusal(Exception):
    """A body refuses an operation."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.name)
        self.reason = reason


class Action(Enum):
    """Effect of a fault on an operation.

    ``REFUSE`` answers with a reason. ``DROP`` cuts the connection. ``STALL`` answers late.
    ``SWALLOW`` never answers. ``LOSE`` exposes but never announces the frame. ``LATE`` announces
    the frame late. ``STALE`` delivers the previous picture under the new name. ``STRAY`` first
    announces a file with another name and the previous picture.
    """

    REFUSE = auto()
    DROP = auto()
    STALL = auto()
    SWALLOW = auto()
    LOSE = auto()
    LATE = auto()
    STALE = auto()
    STRAY = auto()


@dataclass(frozen=True)
class Fault:
    """One fault of a script.

    Attributes
    ----------
    operation
        The operation that fails: ``release``, ``drive``, ``read``, ``delete``, ``set``,
        ``live_view``, ``events``, ``ready``.
    action
        Effect of the fault on the operation.
    reason
        Reason of a ``REFUSE``.
    delay_s
        Delay of a ``STALL`` or ``LATE``, world seconds.
    after
        Number of operations that succeed before the fault.
    times
        Number of operations that fail.
    """

    operation: str
    action: Action
    reason: Reason = Reason.GENERAL
    delay_s: float = 0.0
    after: int = 0
    times: int = 1


class FaultScript:
    """The pending faults of a body. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[list[int]] = []
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)
            self._waiting.append([fault.after, fault.times])

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()
            self._waiting.clear()

    def take(self, operation: str) -> Fault | None:
        """Count an operation and return its fault; ``None`` if the operation succeeds."""
        with self._lock:
            for fault, counts in zip(self._faults, self._waiting, strict=True):
                if fault.operation != operation:
                    continue
                if counts[0] > 0:
                    counts[0] -= 1
                elif counts[1] > 0:
                    counts[1] -= 1
                    return fault
        return None
