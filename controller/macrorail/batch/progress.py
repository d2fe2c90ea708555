"""The outcome of each stack of a batch, and the functions that take it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from macrorail.batch.job import StackJob


@dataclass(frozen=True)
class StackOutcome:
    """The outcome of one stack.

    Attributes
    ----------
    job
        The stack.
    state
        ``done``; ``skipped``: it was finished before; ``failed``.
    reason
        Why it failed, in words.
    record
        Its ``stack.json`` when it has just been made.
    """

    job: StackJob
    state: Literal["done", "skipped", "failed"]
    reason: str = ""
    record: dict[str, Any] | None = None


#: Takes each outcome as it comes.
OnOutcome = Callable[[StackOutcome], None]
#: Takes a sentence for the operator.
OnMessage = Callable[[str], None]
#: Raises ``OperatorStop`` when the operator wants to stop.
CheckStop = Callable[[], None]
