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

WAITING, UNDER_WAY, DONE, QUARANTINED = "waiting", "under way", "done", "quarantined"


@dataclass
class StackStatus:
    """How one stack stands.

    Attributes
    ----------
    item
        Which.
    state
        ``waiting``, ``under way``, ``done`` or ``quarantined``.
    failures
        How often it failed.
    folder
        Its newest run folder, relative to the campaign's; empty before the first.
    why
        The newest reason of a failure, a delay or a quarantine.
    put_off
        The journal's number of the entry that put it off; 0 when nothing did.
    """

    item: StackTask
    state: str = WAITING
    failures: int = 0
    folder: str = ""
    why: str = ""
    put_off: int = 0

    @property
    def is_left(self) -> bool:
        """Whether there is something left to do."""
        return self.state in (WAITING, UNDER_WAY)


@dataclass
class Progress:
    """How far a campaign has come; each journal entry brings it up to date.

    Attributes
    ----------
    statuses
        By the item's key, in the campaign's order.
    specimens
        The protocol's ``specimen`` section by place, where an id was found.
    unidentified
        Why there is no id, by place, for specimens that are shot without one.
    bench
        Where the simulated world was last; ``None`` for real devices.
    """

    statuses: dict[str, StackStatus]
    specimens: dict[str, dict[str, str]] = field(default_factory=dict)
    unidentified: dict[str, str] = field(default_factory=dict)
    bench: str | None = None

    @classmethod
    def of(cls, work: CampaignPlan, entries: Iterable[Entry] = ()) -> Progress:
        """Where a campaign with these journal entries stands."""
        progress = cls({item.key: StackStatus(item) for item in work.items})
        for item in work.items:
            if "id" in item.specimen:
                progress.specimens[item.place] = dict(item.specimen)
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
            case StackFailed(stack=stack, why=why):
                self.statuses[stack].failures += 1
                self.statuses[stack].why = why
            case StackPostponed(stack=stack, why=why):
                self.statuses[stack].put_off = entry.number
                self.statuses[stack].why = why
            case StackSetAside(stack=stack, folder=folder):
                self.statuses[stack].folder = folder
            case StackQuarantined(stack=stack, why=why):
                self.statuses[stack].state = QUARANTINED
                self.statuses[stack].why = why

    @property
    def left(self) -> list[StackTask]:
        """What is still to be done: in the campaign's order, then what was put off."""
        left = [one for one in self.statuses.values() if one.is_left]
        return [one.item for one in sorted(left, key=lambda one: one.put_off)]

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
