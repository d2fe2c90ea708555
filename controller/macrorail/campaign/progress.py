"""How far a campaign has come, read from its journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from macrorail.campaign.plan import CampaignPlan, StackTask
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
    """How a campaign stands; told each journal entry it stays up to date.

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
            progress.heard(entry)
        return progress

    def heard(self, entry: Entry) -> None:
        """Take a journal entry."""
        fields = entry.fields
        if entry.event in ("begun", "went_on"):
            self.bench = fields["bench"]
            return
        if entry.event == "identified":
            self.specimens[fields["place"]] = fields["specimen"]
            if fields["quarantined"]:
                self.unidentified[fields["place"]] = fields["quarantined"]
            return
        if "item" not in fields:
            return
        one = self.statuses[fields["item"]]
        match entry.event:
            case "shooting":
                one.state, one.folder = UNDER_WAY, fields["folder"]
            case "shot":
                one.state = DONE if fields["well"] else WAITING
                one.failures += not fields["well"]
                one.why = fields["message"]
            case "failed":
                one.failures += 1
                one.why = fields["why"]
            case "put_off":
                one.put_off, one.why = entry.number, fields["why"]
            case "set_aside":
                one.folder = fields["folder"]
            case "quarantined":
                one.state, one.why = QUARANTINED, fields["why"]

    @property
    def left(self) -> list[StackTask]:
        """What is still to be done: in the campaign's order, then what was put off."""
        left = [one for one in self.statuses.values() if one.is_left]
        return [one.item for one in sorted(left, key=lambda one: one.put_off)]

    def count(self, state: str) -> int:
        """How many stacks are in a state."""
        return sum(one.state == state for one in self.statuses.values())

    def to_dict(self) -> dict[str, int]:
        """The totals."""
        return {
            "stacks": len(self.statuses),
            "done": self.count(DONE),
            "quarantined": self.count(QUARANTINED),
            "left": len(self.left),
        }
