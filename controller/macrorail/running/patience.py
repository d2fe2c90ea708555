"""What the run folder refuses is tried again until it takes it; the run stands still meanwhile.

A disk that is full, a network folder that went away for a while: nothing is lost as long as
nothing goes on without its line in the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from macrorail.errors import FrameError, JournalError, StorageError
from macrorail.run_folder.journal import Journal
from macrorail.running.pausing import Pauses
from macrorail.running.policies import Part, policy_for
from macrorail.states import RunStateMachine

Result = TypeVar("Result")


class Patience:
    """Does what needs the run folder.

    Parameters
    ----------
    journal, machine, pauses
        The run's.
    alarm
        Told why the run stands still, since the journal cannot take it.

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

    def with_folder(self, act: Callable[[], Result]) -> Result:
        """Do something in the run folder, when it can be done.

        How often it is tried, and after what waits, the policy table says.

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
            self._journal.renew()
            return act()
        first = str(fault)
        self._alarm(first)
        paused_s = 0.0
        for wait_s in self._waits(fault):
            self._pauses.begin()
            ended_by, waited_s = self._pauses.wait(str(fault), wait_s)
            paused_s += waited_s
            try:
                self._journal.renew()
                self._journal.append("paused", why=first)
                self._journal.append("unpaused", why=ended_by, paused_s=paused_s)
                return act()
            except (JournalError, StorageError) as again:
                fault = again
        raise fault

    def _waits(self, fault: FrameError | JournalError) -> Iterator[float]:
        for step in policy_for(Part.STORAGE, fault, self._machine.state).steps:
            for tried in range(step.times):
                yield step.back_off_s * 2**tried
