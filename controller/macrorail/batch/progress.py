"""What became of each stack, told while a batch goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from macrorail.batch.job import StackJob


@dataclass(frozen=True)
class Outcome:
    """What became of one stack.

    Attributes
    ----------
    state
        ``done``; ``skipped``: it was finished already; ``failed``.
    reason
        Why it failed, in words.
    record
        Its ``stack.json``, when it was made just now.
    """

    job: StackJob
    state: Literal["done", "skipped", "failed"]
    reason: str = ""
    record: dict[str, Any] | None = None


#: Told each outcome as it comes.
Tell = Callable[[Outcome], None]
#: Told a sentence for people.
Say = Callable[[str], None]
#: Raises when the operator wants to stop.
CheckStop = Callable[[], None]
