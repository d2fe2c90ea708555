"""Walks a campaign's work, stack by stack: what next, and what a failure means for the others.

A specimen's failure never stops the others: its stack is tried again after them, then put into
quarantine with the reason. What is not the specimen's fault does stop: a device that is gone, a
full disk, the operator, and several failures in a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from macrorail.campaign.plan import CampaignPlan, StackTask
from macrorail.campaign.progress import UNDER_WAY, Progress, StackStatus
from macrorail.errors import DeviceError, IdentityError, MacrorailError, OperatorStop, PlanError
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

#: Whatever ends a run so is no specimen's fault.
_STOPS = frozenset({FinishReason.STORAGE_FAULT, FinishReason.PAUSED_TOO_LONG, FinishReason.BUG})
RUNS = "runs"


class Skipped(MacrorailError):
    """The operator puts a stack off."""

    exit_code = 5


class UnfinishedCampaign(MacrorailError):
    """A campaign whose every stack was tried, and not all could be finished."""

    exit_code = 4


def unfinished(quarantined: int, work: CampaignPlan) -> UnfinishedCampaign:
    """The error of a campaign whose every stack was tried, some without success."""
    return UnfinishedCampaign(
        f"{quarantined} of {len(work.items)} stacks are in quarantine; the report says why"
    )


@dataclass(frozen=True)
class Identified:
    """A specimen's ``specimen`` section; and why it has no id, if it is shot without."""

    specimen: dict[str, str]
    quarantined: str = ""


def run_name(item: StackTask, specimen: str) -> str:
    """The run folder of a stack's first try."""
    return f"{specimen}{item.tail}"


class Executor(Protocol):
    """Whoever does what the walk decides."""

    def bring(self, item: StackTask, before: StackTask | None) -> None:
        """Bring a specimen under the lens, the focus axis far from it meanwhile.

        Raises
        ------
        DeviceError, OperatorStop, Skipped
        """
        ...

    def identify(self, item: StackTask) -> Identified:
        """Find out which specimen lies there.

        Raises
        ------
        IdentityError, DeviceError, OperatorStop, Skipped
        """
        ...

    def shoot(
        self, item: StackTask, specimen: dict[str, str], folder: str, goes_on: bool
    ) -> RunEnd:
        """Shoot a stack into a run folder, or go on with the one that was begun there.

        Raises
        ------
        PlanError, OverlapError
            It cannot be shot like that.
        Skipped
            The operator put it off meanwhile.
        """
        ...

    def set_aside(self, folder: str, why: str) -> str:
        """Move a run folder into quarantine with its reason; returns where it is now."""
        ...

    def missing_device(self) -> str | None:
        """Which device does not answer any more, in words; ``None`` when all do."""
        ...


class CampaignRunner:
    """One campaign, from where it stands to its end.

    Parameters
    ----------
    work, progress
        What there is to do, and how far it has come.
    log_event
        Writes to the journal, which brings ``progress`` up to date.
    executor
        Does it.
    check
        Raises ``OperatorStop`` when the campaign is to end after a stack.
    """

    def __init__(
        self,
        work: CampaignPlan,
        progress: Progress,
        log_event: Callable[[Event], Any],
        executor: Executor,
        check: Callable[[], None],
    ) -> None:
        self._work = work
        self._progress = progress
        self._log_event = log_event
        self._executor = executor
        self._check = check
        self._before: StackTask | None = None
        self._failed_in_a_row = 0

    def run(self) -> None:
        """Do everything that is left.

        Raises
        ------
        MacrorailError
            What stopped the campaign; it can be resumed.
        UnfinishedCampaign
            All was tried, and something is in quarantine.
        """
        while left := self._progress.left:
            self._check()
            try:
                self._one(left[0])
            except Skipped as skipped:
                self._before = None
                self._log_event(StackPostponed(stack=left[0].key, why=str(skipped)))
            except IdentityError as error:
                self._fail(left[0], str(error))
        quarantined = self._progress.count("quarantined")
        if quarantined:
            raise unfinished(quarantined, self._work)

    def _one(self, item: StackTask) -> None:
        standing = self._progress.statuses[item.key]
        self._executor.bring(item, self._before)
        self._before = item
        specimen = self._specimen(item)
        goes_on = standing.state == UNDER_WAY
        if not goes_on:
            folder = self._folder(item, specimen["id"], standing)
            self._log_event(StackStarted(stack=item.key, folder=folder, specimen_id=specimen["id"]))
        try:
            end = self._executor.shoot(item, specimen, standing.folder, goes_on)
        except (PlanError, IdentityError) as error:
            self._fail(item, str(error), for_good=True)
            return
        self._judge(item, standing, end)

    def _specimen(self, item: StackTask) -> dict[str, str]:
        known = self._progress.specimens.get(item.place)
        if known is None:
            found = self._executor.identify(item)
            self._log_event(
                SpecimenIdentified(
                    place=item.place,
                    specimen=found.specimen,
                    why_unidentified=found.quarantined,
                )
            )
            known = found.specimen
        return {**known, **item.specimen}

    def _folder(self, item: StackTask, specimen: str, standing: StackStatus) -> str:
        parent = QUARANTINE if item.place in self._progress.unidentified else RUNS
        tries = f"-try{standing.failures + 1}" if standing.failures else ""
        return f"{parent}/{run_name(item, specimen)}{tries}"

    def _judge(self, item: StackTask, standing: StackStatus, end: RunEnd) -> None:
        if end.reason is FinishReason.COMPLETED:
            self._failed_in_a_row = 0
            self._log_event(
                StackEnded(stack=item.key, completed=True, reason=end.reason.value, message="")
            )
            why = self._progress.unidentified.get(item.place)
            if why is not None:
                self._log_event(StackQuarantined(stack=item.key, why=why))
            return
        error = end.error
        assert error is not None, "a run that did not complete says why"
        if isinstance(error, OperatorStop) or end.reason in _STOPS:
            raise error
        if end.reason is FinishReason.DEVICE_FAULT:
            missing = self._executor.missing_device()
            if missing is not None:
                raise DeviceError(f"{missing}. It ended with: {error}") from error
        self._log_event(
            StackEnded(
                stack=item.key,
                completed=False,
                reason=end.reason.value,
                message=end.message,
                state=end.state.value,
            )
        )
        if not standing.folder.startswith(QUARANTINE):
            aside = self._executor.set_aside(standing.folder, end.message)
            self._log_event(StackSetAside(stack=item.key, folder=aside))
        self._after_failure(item, end.message)

    def _fail(self, item: StackTask, why: str, for_good: bool = False) -> None:
        """A stack that could not even be begun."""
        self._log_event(StackFailed(stack=item.key, why=why))
        self._after_failure(item, why, for_good)

    def _after_failure(self, item: StackTask, why: str, for_good: bool = False) -> None:
        self._failed_in_a_row += 1
        if for_good or self._progress.statuses[item.key].failures > self._work.come_back:
            self._log_event(StackQuarantined(stack=item.key, why=why))
        else:
            self._log_event(StackPostponed(stack=item.key, why=f"to be tried again: {why}"))
        if self._failed_in_a_row >= self._work.stop_after:
            raise UnfinishedCampaign(
                f"{self._failed_in_a_row} stacks failed one after the other, which is no longer "
                f"a specimen's fault: look at lamp, lens and tray, then resume. The last one: {why}"
            )
