"""The progress of a campaign, read from its journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from macrorail.campaign.plan import CampaignPlan, StackTask
from macrorail.run_folder.events import (
    CampaignResumed,
    CampaignStarted,
    SpecimenIdentified,
    StackEnded,
    StackFailed,
    StackPostponed,
    StackQuarantined,
    StackSetAside,
    StackStarted,
)
from macrorail.run_folder.journal import Entry
from macrorail.states import FinishReason

WAITING, UNDER_WAY, DONE, QUARANTINED = "waiting", "under way", "done", "quarantined"


@dataclass
class StackStatus:
    """The status of one stack.

    Attributes
    ----------
    task
        The stack.
    state
        ``waiting``, ``under way``, ``done`` or ``quarantined``.
    failures
        Number of failed attempts.
    folder
        Latest run folder of the stack, relative to the campaign folder; empty before the first run.
    why
        Reason of the latest failure, postponement or quarantine.
    postponed_by
        Number of the journal entry that postponed the stack; 0 if it was not postponed.
    unverified
        Whether the stack is done, but the overlap of its slices was not verified by the images.
    """

    task: StackTask
    state: str = WAITING
    failures: int = 0
    folder: str = ""
    why: str = ""
    postponed_by: int = 0
    unverified: bool = False

    @property
    def is_left(self) -> bool:
        """Whether the stack is still to be shot."""
        return self.state in (WAITING, UNDER_WAY)


@dataclass
class CampaignProgress:
    """The progress of a campaign, updated with each journal entry.

    Attributes
    ----------
    statuses
        Status of each stack, by the stack's key, in the campaign's order.
    specimens
        The protocol's ``specimen`` section, by name of the position, for identified specimens.
    unidentified
        Reason why the specimen could not be identified, by name of the position.
    bench
        Last address of the simulated bench; ``None`` for real devices.
    """

    statuses: dict[str, StackStatus]
    specimens: dict[str, dict[str, str]] = field(default_factory=dict)
    unidentified: dict[str, str] = field(default_factory=dict)
    bench: str | None = None

    @classmethod
    def of(cls, campaign: CampaignPlan, entries: Iterable[Entry] = ()) -> CampaignProgress:
        """Return the progress of a campaign after these journal entries."""
        progress = cls({task.key: StackStatus(task) for task in campaign.tasks})
        for task in campaign.tasks:
            if "id" in task.specimen:
                progress.specimens[task.place] = dict(task.specimen)
        for entry in entries:
            progress.on_entry(entry)
        return progress

    def on_entry(self, entry: Entry) -> None:
        """Update the progress with a journal entry."""
        match entry.event:
            case CampaignStarted(bench=bench) | CampaignResumed(bench=bench):
                self.bench = bench
            case SpecimenIdentified() as found:
                self.specimens[found.place] = dict(found.specimen)
                if found.why_unidentified:
                    self.unidentified[found.place] = found.why_unidentified
            case StackStarted() as started:
                one = self.statuses[started.stack]
                one.state, one.folder = UNDER_WAY, started.folder
            case StackEnded() as ended:
                one = self.statuses[ended.stack]
                one.state = DONE if ended.completed else WAITING
                one.failures += not ended.completed
                one.why = ended.message
                one.unverified = ended.reason == FinishReason.NOT_VERIFIED.value
            case StackFailed(stack=stack, why=why):
                self.statuses[stack].failures += 1
                self.statuses[stack].why = why
            case StackPostponed(stack=stack, why=why):
                self.statuses[stack].postponed_by = entry.number
                self.statuses[stack].why = why
            case StackSetAside(stack=stack, folder=folder):
                self.statuses[stack].folder = folder
            case StackQuarantined(stack=stack, why=why):
                self.statuses[stack].state = QUARANTINED
                self.statuses[stack].why = why

    @property
    def left(self) -> list[StackTask]:
        """Return the stacks still to be shot in the campaign's order, postponed stacks last."""
        left = [one for one in self.statuses.values() if one.is_left]
        return [one.task for one in sorted(left, key=lambda one: one.postponed_by)]

    def count(self, state: str) -> int:
        """Return the number of stacks in a state."""
        return sum(one.state == state for one in self.statuses.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the totals of the campaign as JSON values."""
        return {
            "stacks": len(self.statuses),
            "done": self.count(DONE),
            "quarantined": self.count(QUARANTINED),
            "left": len(self.left),
        }
