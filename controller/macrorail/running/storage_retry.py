"""Repeats operations that fail because the run folder cannot be used; the run waits meanwhile.

A disk may be full, or a network folder unavailable for a while. No slice is lost, because the run
does not continue without its entry in the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from macrorail.errors import FrameError, JournalError, StorageError
from macrorail.run_folder.events import Part, PauseEnded, RunPaused
from macrorail.run_folder.journal import Journal
from macrorail.running.pauses import Pauses
from macrorail.running.policies import policy_for
from macrorail.states import RunStateMachine

Result = TypeVar("Result")


class StorageRetry:
    """Calls operations that need the run folder, and repeats them while they fail.

    Parameters
    ----------
    journal, machine, pauses
        Journal, state machine and pauses of the run.
    alarm
        Called with the reason why the run waits, because the journal cannot record it.

    Attributes
    ----------
    over
        True once the run is ending; from then on a failed operation is repeated once, without
        waiting.
    """

    def __init__(
        self,
        journal: Journal,
        machine: RunStateMachine,
        pauses: Pauses,
        alarm: Callable[[str], None],
    ) -> None:
        self._journal = journal
        self._machine = machine
        self._pauses = pauses
        self._alarm = alarm
        self.over = False

    def call(self, act: Callable[[], Result]) -> Result:
        """Call ``act`` until it succeeds, and return its result.

        The fault policy determines how often ``act`` is called and how long the run waits between
        the calls.

        Raises
        ------
        JournalError, StorageError
            ``act`` failed at the last attempt as well.
        OperatorStop, PausedTooLong
            The operator ended the run while it waited, or the run waited too long.
        """
        try:
            return act()
        except (JournalError, StorageError) as refusal:
            fault: FrameError | JournalError = refusal
        if self.over:
            self._journal.reopen()
            return act()
        first = str(fault)
        self._alarm(first)
        paused_s = 0.0
        for wait_s in self._waits(fault):
            self._pauses.begin()
            ended_by, waited_s = self._pauses.wait(str(fault), wait_s)
            paused_s += waited_s
            try:
                self._journal.reopen()
                self._journal.append(RunPaused(why=first))
                self._journal.append(PauseEnded(why=ended_by, paused_s=paused_s))
                return act()
            except (JournalError, StorageError) as again:
                fault = again
        raise fault

    def _waits(self, fault: FrameError | JournalError) -> Iterator[float]:
        for step in policy_for(Part.STORAGE, fault, self._machine.state).steps:
            for tried in range(step.times):
                yield step.back_off_s * 2**tried
