"""Tries again what the run folder refuses; the run waits meanwhile.

A disk may be full, or a network folder gone for a while: nothing is lost, because the run does not
continue without its line in the journal.
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
    """Calls what needs the run folder, again while the folder refuses it.

    Parameters
    ----------
    journal, machine, pauses
        The run's.
    alarm
        Called with the reason why the run waits, since the journal cannot take it.

    Attributes
    ----------
    over
        True once the run ends: from then on nothing is waited for.
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
        """Do something in the run folder, as soon as it can be done.

        The policy table says how often it is tried, and after what waits.

        Raises
        ------
        JournalError, StorageError
            The folder refuses it for good, or the run is ending.
        OperatorStop, PausedTooLong
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
