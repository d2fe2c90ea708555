"""Runs a campaign stack by stack: chooses the next stack and handles failures.

A failed stack does not stop the campaign. The stack is tried again after the other stacks; if it
fails again, it is put into quarantine with the reason. The campaign stops for causes other than
the specimen: a lost device, a full disk, a stop by the operator, or several failures in a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from macrorail.campaign.plan import CampaignPlan, StackTask
from macrorail.campaign.progress import UNDER_WAY, CampaignProgress, StackStatus
from macrorail.errors import (
    DeviceError,
    IdentityError,
    MacrorailError,
    NotVerified,
    OperatorStop,
    PlanError,
)
from macrorail.run_folder.campaign_folder import QUARANTINE
from macrorail.run_folder.events import (
    Event,
    SpecimenIdentified,
    StackEnded,
    StackFailed,
    StackPostponed,
    StackQuarantined,
    StackSetAside,
    StackStarted,
)
from macrorail.running.ending import RunEnd
from macrorail.states import FinishReason

#: Reasons for the end of a run. After those in _DONE the stack is done. Those in _STOPS stop the
#: campaign, because the specimen is not their cause.
_DONE = frozenset({FinishReason.COMPLETED, FinishReason.NOT_VERIFIED})
_STOPS = frozenset({FinishReason.STORAGE_FAULT, FinishReason.PAUSED_TOO_LONG, FinishReason.BUG})
RUNS = "runs"


class Skipped(MacrorailError):
    """The operator postponed a stack."""

    exit_code = 5


class UnfinishedCampaign(MacrorailError):
    """Some stacks of a campaign could not be finished, or several failed in a row."""

    exit_code = 4


def what_lacks(progress: CampaignProgress) -> MacrorailError | None:
    """Return an error that describes unfinished or unverified stacks; ``None`` if there are none.

    Every stack of the campaign must have been tried.
    """
    quarantined = progress.count("quarantined")
    if quarantined:
        return UnfinishedCampaign(
            f"{quarantined} of {len(progress.statuses)} stacks are in quarantine; the report gives "
            f"the reasons"
        )
    unverified = [key for key, one in progress.statuses.items() if one.unverified]
    if unverified:
        return NotVerified(
            f"all stacks are done, but the images did not verify the overlap of "
            f"{len(unverified)} of them: {', '.join(unverified[:5])}"
            f"{' …' if len(unverified) > 5 else ''}; the report gives the reasons"
        )
    return None


@dataclass(frozen=True)
class Identified:
    """The result of identifying a specimen.

    Attributes
    ----------
    specimen
        The protocol's ``specimen`` section for this specimen.
    quarantined
        Reason why the specimen could not be identified, in which case its runs go into
        quarantine; empty when the specimen was identified.
    """

    specimen: dict[str, str]
    quarantined: str = ""


def run_name(task: StackTask, specimen: str) -> str:
    """Return the name of the run folder for the first attempt at a stack."""
    return f"{specimen}{task.tail}"


class Executor(Protocol):
    """Carries out the steps that the runner chooses."""

    def bring(self, task: StackTask, before: StackTask | None) -> None:
        """Bring a specimen under the lens, with the focus axis retracted.

        Raises
        ------
        DeviceError, OperatorStop, Skipped
        """
        ...

    def identify(self, task: StackTask) -> Identified:
        """Identify the specimen under the lens.

        Raises
        ------
        IdentityError, DeviceError, OperatorStop, Skipped
        """
        ...

    def shoot(
        self, task: StackTask, specimen: dict[str, str], folder: str, resumes: bool
    ) -> RunEnd:
        """Shoot a stack into a new run folder, or resume an existing run; return the run's end.

        Raises
        ------
        PlanError, OverlapError
            The stack cannot be shot with this protocol.
        Skipped
            The operator postponed the stack.
        """
        ...

    def set_aside(self, folder: str, why: str) -> str:
        """Move a run folder into quarantine and record the reason; return the new path."""
        ...

    def missing_device(self) -> str | None:
        """Return a sentence about a device that does not answer; ``None`` if all devices answer."""
        ...


class CampaignRunner:
    """Runs a campaign from its present progress to its end.

    Parameters
    ----------
    campaign
        Plan of the campaign.
    progress
        Progress of the campaign.
    log_event
        Writes an event to the journal, which also updates ``progress``.
    executor
        Carries out each step.
    check
        Called between stacks; raises ``OperatorStop`` if the operator has ended the campaign.
    """

    def __init__(
        self,
        campaign: CampaignPlan,
        progress: CampaignProgress,
        log_event: Callable[[Event], Any],
        executor: Executor,
        check: Callable[[], None],
    ) -> None:
        self._campaign = campaign
        self._progress = progress
        self._log_event = log_event
        self._executor = executor
        self._check = check
        self._before: StackTask | None = None
        self._failed_in_a_row = 0

    def run(self) -> None:
        """Shoot all stacks that are still to be shot.

        Raises
        ------
        MacrorailError
            The campaign was stopped; it can be resumed.
        UnfinishedCampaign
            All stacks were tried, but some are in quarantine.
        """
        while left := self._progress.left:
            self._check()
            try:
                self._shoot_next(left[0])
            except Skipped as skipped:
                self._before = None
                self._log_event(StackPostponed(stack=left[0].key, why=str(skipped)))
            except IdentityError as error:
                self._fail(left[0], str(error))
        lacking = what_lacks(self._progress)
        if lacking is not None:
            raise lacking

    def _shoot_next(self, task: StackTask) -> None:
        status = self._progress.statuses[task.key]
        self._executor.bring(task, self._before)
        self._before = task
        specimen = self._specimen(task)
        resumes = status.state == UNDER_WAY
        if not resumes:
            folder = self._folder(task, specimen["id"], status)
            self._log_event(StackStarted(stack=task.key, folder=folder, specimen_id=specimen["id"]))
        try:
            end = self._executor.shoot(task, specimen, status.folder, resumes)
        except (PlanError, IdentityError) as error:
            self._fail(task, str(error), final=True)
            return
        self._handle_end(task, status, end)

    def _specimen(self, task: StackTask) -> dict[str, str]:
        known = self._progress.specimens.get(task.place)
        if known is None:
            found = self._executor.identify(task)
            self._log_event(
                SpecimenIdentified(
                    place=task.place,
                    specimen=found.specimen,
                    why_unidentified=found.quarantined,
                )
            )
            known = found.specimen
        return {**known, **task.specimen}

    def _folder(self, task: StackTask, specimen: str, status: StackStatus) -> str:
        parent = QUARANTINE if task.place in self._progress.unidentified else RUNS
        tries = f"-try{status.failures + 1}" if status.failures else ""
        return f"{parent}/{run_name(task, specimen)}{tries}"

    def _handle_end(self, task: StackTask, status: StackStatus, end: RunEnd) -> None:
        if end.reason in _DONE:
            self._failed_in_a_row = 0
            reason = end.reason.value
            self._log_event(
                StackEnded(stack=task.key, completed=True, reason=reason, message=end.message)
            )
            why = self._progress.unidentified.get(task.place)
            if why is not None:
                self._log_event(StackQuarantined(stack=task.key, why=why))
            return
        error = end.error
        assert error is not None, "a run that did not complete has an error"
        if isinstance(error, OperatorStop) or end.reason in _STOPS:
            raise error
        if end.reason is FinishReason.DEVICE_FAULT:
            missing = self._executor.missing_device()
            if missing is not None:
                raise DeviceError(f"{missing}. The run ended with: {error}") from error
        self._log_event(
            StackEnded(
                stack=task.key,
                completed=False,
                reason=end.reason.value,
                message=end.message,
                state=end.state.value,
            )
        )
        if not status.folder.startswith(QUARANTINE):
            aside = self._executor.set_aside(status.folder, end.message)
            self._log_event(StackSetAside(stack=task.key, folder=aside))
        self._after_failure(task, end.message)

    def _fail(self, task: StackTask, why: str, final: bool = False) -> None:
        """Record that a stack could not be started, then postpone the stack or quarantine it."""
        self._log_event(StackFailed(stack=task.key, why=why))
        self._after_failure(task, why, final)

    def _after_failure(self, task: StackTask, why: str, final: bool = False) -> None:
        self._failed_in_a_row += 1
        if final or self._progress.statuses[task.key].failures > self._campaign.come_back:
            self._log_event(StackQuarantined(stack=task.key, why=why))
        else:
            self._log_event(StackPostponed(stack=task.key, why=f"to be tried again: {why}"))
        if self._failed_in_a_row >= self._campaign.stop_after:
            raise UnfinishedCampaign(
                f"{self._failed_in_a_row} stacks failed in a row, so the cause is probably not "
                f"the specimens: check lamp, lens and tray, then resume. The last failure: {why}"
            )
