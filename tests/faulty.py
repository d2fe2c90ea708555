"""A device that fails when it is told to, for tests of what a run does about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Failing:
    """Stands before a camera or an axis and lets one of its operations fail.

    Parameters
    ----------
    device
        The one that does the work.
    operation
        Name of the method that fails.
    fault
        Makes what it raises.
    after, times
        How many calls pass unharmed first, and how many fail then.
    """

    def __init__(
        self,
        device: Any,
        operation: str,
        fault: Callable[[], Exception],
        after: int = 0,
        times: int = 1,
    ) -> None:
        self._device = device
        self._operation = operation
        self._fault = fault
        self._after = after
        self.times = times

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._device, name)
        return self._failing(found) if name == self._operation else found

    def _failing(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if self._after > 0:
                self._after -= 1
            elif self.times > 0:
                self.times -= 1
                raise self._fault()
            return operation(*arguments, **named)

        return call
