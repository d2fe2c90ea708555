"""The account of a campaign: the outcome of every stack, totals, and where the time went."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from macrorail.campaign.cycle import CYCLE, OTHER, Cycle, WhatIf, bottlenecks, time_of, what_if
from macrorail.campaign.folder import read_campaign
from macrorail.campaign.progress import CampaignProgress
from macrorail.campaign.runner import RUNS
from macrorail.config.document import load_document
from macrorail.config.protocol import Protocol
from macrorail.config.rig import load_rig
from macrorail.errors import ConfigError
from macrorail.run_folder.campaign_folder import QUARANTINE
from macrorail.run_folder.events import (
    CampaignResumed,
    ExposureMade,
    FaultOccurred,
    FrameRejected,
    OperatorAnswered,
    SliceCounted,
    StackEnded,
)
from macrorail.run_folder.journal import JOURNAL, Entry
from macrorail.run_folder.record import Record, read_record

#: Parts of a campaign's time between the stacks: bringing the specimen, asking the operator.
BETWEEN = ("stage and retracting", "asking")


@dataclass(frozen=True)
class StackAccount:
    """One stack.

    Attributes
    ----------
    key, place, specimen
        Which; ``specimen`` is its id, empty while it is not known.
    state, why
        See ``StackStatus``.
    folder
        Relative to the campaign's; empty where nothing was shot.
    slices, rejected, faults
        Counted frames, frames shot again, and faults of devices.
    size_bytes
        Of the counted frames.
    total_s
        World time of its run.
    proven
        Whether coverage was proven; ``None`` where nothing was shot.
    """

    key: str
    place: str
    specimen: str
    state: str
    why: str
    folder: str
    slices: int = 0
    rejected: int = 0
    faults: int = 0
    size_bytes: int = 0
    total_s: float = 0.0
    proven: bool | None = None


@dataclass
class CampaignAccount:
    """A whole campaign.

    Attributes
    ----------
    id, began
        Of the campaign; ``began`` is the first run's, empty before it.
    stacks
        In the campaign's order.
    parts
        World seconds by part; see ``CYCLE``, ``OTHER``, ``BETWEEN``.
    cycles
        Undisturbed cycles of all its runs.
    serial
        Whether each frame is received before the next move.
    exposures
        Shutter actuations, failed attempts included.
    interruptions
        How often it was resumed.
    simulated
        Whether no real instrument was used.
    """

    id: str
    began: str = ""
    stacks: list[StackAccount] = field(default_factory=list)
    parts: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    cycles: list[Cycle] = field(default_factory=list)
    serial: bool = False
    exposures: int = 0
    interruptions: int = 0
    simulated: bool = False

    def count(self, state: str) -> int:
        """How many stacks are in a state."""
        return sum(one.state == state for one in self.stacks)

    @property
    def total_s(self) -> float:
        """World time in all."""
        return sum(self.parts.values())

    @property
    def shares(self) -> list[tuple[str, float]]:
        """Parts that took time, and their seconds, in the order of a stack."""
        order = (*BETWEEN, *OTHER[:3], *CYCLE, *OTHER[3:])
        return [(part, self.parts[part]) for part in order if self.parts[part]]

    @property
    def what_if(self) -> list[WhatIf]:
        """What a faster move, settling or download would save."""
        return what_if(self.cycles, self.serial)

    @property
    def bottlenecks(self) -> list[tuple[str, float]]:
        """Parts of a cycle, the longest first."""
        return bottlenecks(self.cycles)

    def to_dict(self) -> dict[str, Any]:
        """For ``macrorail report --campaign --json``."""
        return {
            "campaign": self.id,
            "stacks": [vars(one) for one in self.stacks],
            "parts_s": dict(self.shares),
            "bottlenecks_s": dict(self.bottlenecks),
            "what_if": [vars(one) for one in self.what_if],
            "exposures": self.exposures,
            "interruptions": self.interruptions,
        }


def account_for(folder: Path) -> CampaignAccount:
    """Read a campaign's folder, and each of its run folders.

    Raises
    ------
    JournalError
        Not a campaign folder, or a damaged one.
    """
    campaign, entries = read_campaign(folder)
    progress = CampaignProgress.of(campaign, entries)
    account = CampaignAccount(campaign.id)
    records = _records(folder)
    for record in records.values():
        # Failed attempts took time and shutter actuations too.
        _add_time(record, account)
        account.exposures += len(record.all_of(ExposureMade))
        account.began = min(account.began or record.began, record.began)
        account.simulated |= bool(record.manifest["devices"]["bench"])
    for status in progress.statuses.values():
        task = status.task
        known = progress.specimens.get(task.place, {})
        one = StackAccount(
            task.key,
            task.place,
            known.get("id", ""),
            status.state,
            status.why,
            status.folder if status.folder in records else "",
        )
        account.stacks.append(_with_run(one, records[one.folder]) if one.folder else one)
    _around_the_stacks(entries, account)
    return account


def _records(folder: Path) -> dict[str, Record]:
    """Every run of the campaign by its folder, relative to the campaign's."""
    records = {}
    for parent in (RUNS, QUARANTINE):
        for journal in sorted((folder / parent).glob(f"*/{JOURNAL}")):
            try:
                records[f"{parent}/{journal.parent.name}"] = read_record(journal.parent)
            except ConfigError:
                continue  # it ended before its first entry
    return records


def _with_run(one: StackAccount, record: Record) -> StackAccount:
    """The stack with the figures of its run."""
    return StackAccount(
        **{
            **vars(one),
            "slices": len(record.slices),
            "rejected": len(record.all_of(FrameRejected)),
            "faults": len(record.all_of(FaultOccurred)),
            "size_bytes": sum(counted.size_bytes for counted in record.all_of(SliceCounted)),
            "total_s": record.entries[-1].world_s,
            "proven": bool(record.manifest["coverage"].get("proven")),
        }
    )


def _add_time(record: Record, account: CampaignAccount) -> None:
    wanted = load_document(record.folder / "protocol.yaml", Protocol)
    settle_s = wanted.settle_s(load_rig(record.folder / "rig.yaml").axis.settle_s)
    time = time_of(record.entries, settle_s)
    for part, seconds in time.parts.items():
        account.parts[part] += seconds
    account.cycles += time.cycles
    account.serial |= time.serial


def _around_the_stacks(entries: list[Entry], account: CampaignAccount) -> None:
    """Time of the campaign that is in none of its runs."""
    bringing, asking = BETWEEN
    for before, entry in pairwise(entries):
        spent = max(0.0, entry.world_s - before.world_s)
        match entry.event:
            case OperatorAnswered():
                account.parts[asking] += spent
            case CampaignResumed():
                account.interruptions += 1
            case StackEnded():
                pass  # its run accounts for that time
            case _:
                account.parts[bringing] += spent
