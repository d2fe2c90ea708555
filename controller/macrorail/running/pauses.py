"""Pauses of a run, requested by the operator or by a watch that reports trouble."""

from __future__ import annotations

from collections.abc import Sequence

from macrorail.clock import Clock
from macrorail.errors import OperatorStop, PausedTooLong
from macrorail.quantity import format_duration
from macrorail.running.commands import Commands
from macrorail.running.interfaces import Watch

_POLL_S = 0.5


class Pauses:
    """Decides whether the run must pause, and waits until the pause is over.

    Parameters
    ----------
    commands
        The operator's commands.
    watches
        Watches in the order in which they are asked. Trouble reported by one pauses the run.
    clock
        Clock that gives the run's time (real or simulated).
    at_most_s
        Longest pause in seconds. The run ends when a pause lasts longer.
    """

    def __init__(
        self, commands: Commands, watches: Sequence[Watch], clock: Clock, at_most_s: float
    ) -> None:
        self._commands = commands
        self._watches = watches
        self._clock = clock
        self._at_most_s = at_most_s

    def check_stop(self) -> None:
        """Raise ``OperatorStop`` if the operator asked to end the run after this slice."""
        if self._commands.wants_stop is not None:
            raise OperatorStop(self._commands.wants_stop)

    @property
    def wanted(self) -> bool:
        """Whether the run has to pause or stop between slices."""
        return self._commands.wants_stop is not None or self.reason() is not None

    def reason(self) -> str | None:
        """Return the reason for a pause as text; ``None`` if there is no reason to pause."""
        return self._commands.wants_pause or self._trouble()

    def begin(self) -> None:
        """Begin a pause: discard earlier resume commands, so that only a later one ends the pause.

        Call this before the pause is shown to the operator.
        """
        self._commands.forget_resume()

    def wait(self, why: str, at_least_s: float) -> tuple[str, float]:
        """Wait until there is no reason for the pause any more.

        Parameters
        ----------
        why
            Reason for the pause.
        at_least_s
            Shortest pause in seconds of run time, even if the reason for the pause is gone earlier.
            An operator's resume command ends the pause before that.

        Returns
        -------
        str, float
            Text that says what ended the pause, and the pause's length in seconds of run time.

        Raises
        ------
        OperatorStop
            The operator asked to end the run.
        PausedTooLong
            The pause was longer than allowed, and no operator responded.
        """
        began_s = self._clock.now()
        while True:
            self.check_stop()
            paused_s = self._clock.now() - began_s
            resumed = self._commands.wants_to_go_on
            rested = resumed is not None or paused_s >= at_least_s
            now = self.reason()
            if rested and now is None:
                after_fault = "trying again" if at_least_s > 0 else "all is well again"
                return resumed or after_fault, paused_s
            if paused_s > self._at_most_s:
                raise PausedTooLong(
                    f"paused for {format_duration(paused_s)}, and no operator responded: "
                    f"{now or why}"
                )
            self._clock.sleep(_POLL_S)

    def _trouble(self) -> str | None:
        return next((t for watch in self._watches if (t := watch.trouble()) is not None), None)
