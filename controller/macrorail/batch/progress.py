"""The outcome of each stack of a batch, and the types of functions that receive it."""

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
        ``done``, ``failed``, or ``skipped`` for a stack that was finished before.
    reason
        Reason of a failure, as text.
    record
        Contents of ``stack.json`` if the stack has just been made; otherwise ``None``.
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
