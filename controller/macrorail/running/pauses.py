"""When a run pauses, and for how long: the operator's command, and watches that see trouble."""

from __future__ import annotations

from collections.abc import Sequence

from macrorail.clock import Clock
from macrorail.errors import OperatorStop, PausedTooLong
from macrorail.quantity import format_duration
from macrorail.running.commands import Commands
from macrorail.running.interfaces import Watch

_POLL_S = 0.5


class Pauses:
    """Says whether to pause, and waits until the pause is over.

    Parameters
    ----------
    commands
        The operator's commands.
    watches
        Asked in this order; one that sees trouble pauses the run.
    clock
        The world's.
    at_most_s
        The longest pause; past it the run ends.
    """

    def __init__(
        self, commands: Commands, watches: Sequence[Watch], clock: Clock, at_most_s: float
    ) -> None:
        self._commands = commands
        self._watches = watches
        self._clock = clock
        self._at_most_s = at_most_s

    def check_stop(self) -> None:
        """Raise ``OperatorStop`` if the run is to end after this slice."""
        if self._commands.wants_stop is not None:
            raise OperatorStop(self._commands.wants_stop)

    @property
    def wanted(self) -> bool:
        """Whether the run is to pause or to stop between slices."""
        return self._commands.wants_stop is not None or self.reason() is not None

    def reason(self) -> str | None:
        """Why to pause, in words; ``None`` when there is no reason to."""
        return self._commands.wants_pause or self._trouble()

    def begin(self) -> None:
        """A pause begins and is not shown yet: a resume that is given from now on ends it."""
        self._commands.forget_resume()

    def wait(self, why: str, at_least_s: float) -> tuple[str, float]:
        """Wait until there is no reason to pause any more.

        Parameters
        ----------
        why
            What made the run pause.
        at_least_s
            World time to wait even without a reason to pause, unless the operator ends the pause.

        Returns
        -------
        str, float
            What ended it, and how long it was in seconds of world time.

        Raises
        ------
        OperatorStop
            The run is to end.
        PausedTooLong
            No operator responded.
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
