"""How far a campaign has come, read from its journal."""

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
        Its latest run folder, relative to the campaign's; empty before the first.
    why
        Reason of the latest failure, postponement or quarantine.
    postponed_by
        Number of the journal entry that postponed it; 0 when none did.
    unverified
        Whether it is done, but the images did not verify the overlap of its slices.
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
        """Whether it is still to be shot."""
        return self.state in (WAITING, UNDER_WAY)


@dataclass
class CampaignProgress:
    """How far a campaign has come; each journal entry brings it up to date.

    Attributes
    ----------
    statuses
        By the key of the task, in the campaign's order.
    specimens
        The protocol's ``specimen`` section by place, where an id was found.
    unidentified
        Why there is no id, by place, for specimens shot without one.
    bench
        Where the simulated world was last; ``None`` for real devices.
    """

    statuses: dict[str, StackStatus]
    specimens: dict[str, dict[str, str]] = field(default_factory=dict)
    unidentified: dict[str, str] = field(default_factory=dict)
    bench: str | None = None

    @classmethod
    def of(cls, campaign: CampaignPlan, entries: Iterable[Entry] = ()) -> CampaignProgress:
        """The progress of a campaign after these journal entries."""
        progress = cls({task.key: StackStatus(task) for task in campaign.tasks})
        for task in campaign.tasks:
            if "id" in task.specimen:
                progress.specimens[task.place] = dict(task.specimen)
        for entry in entries:
            progress.on_entry(entry)
        return progress

    def on_entry(self, entry: Entry) -> None:
        """Take in a journal entry."""
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
        """Stacks still to be shot: in the campaign's order, the postponed ones last."""
        left = [one for one in self.statuses.values() if one.is_left]
        return [one.task for one in sorted(left, key=lambda one: one.postponed_by)]

    def count(self, state: str) -> int:
        """How many stacks are in a state."""
        return sum(one.state == state for one in self.statuses.values())

    def to_dict(self) -> dict[str, Any]:
        """The totals."""
        return {
            "stacks": len(self.statuses),
            "done": self.count(DONE),
            "quarantined": self.count(QUARANTINED),
            "left": len(self.left),
        }
