"""Summarises a campaign: the outcome of every stack, totals, and the time spent on each step."""

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

#: Steps between two stacks: bringing the specimen under the lens, and asking the operator.
BETWEEN = ("stage and retracting", "asking")


@dataclass(frozen=True)
class StackAccount:
    """The outcome of one stack.

    Attributes
    ----------
    key
        Key of the stack in the campaign's plan.
    place
        Name of the specimen's position.
    specimen
        Id of the specimen; empty while it is not known.
    state, why
        State of the stack and its reason; see ``StackStatus``.
    folder
        Run folder, relative to the campaign folder; empty if nothing was shot.
    slices
        Number of finished slices.
    rejected
        Number of rejected frames, whose slices were shot again.
    faults
        Number of device faults.
    size_bytes
        Size of the frames of the finished slices, bytes.
    total_s
        Run time in seconds (real or simulated).
    proven
        Whether the coverage was proven; ``None`` if nothing was shot.
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
    """The summary of a campaign.

    Attributes
    ----------
    id
        Id of the campaign.
    began
        Date and time at which the first run began, ISO 8601; empty before the first run.
    stacks
        Outcomes of the stacks, in the campaign's order.
    parts
        Run time in seconds of each step; the steps are ``CYCLE``, ``OTHER`` and ``BETWEEN``.
    cycles
        Cycles of all runs; cycles with faults, pauses or other interruptions are left out.
    serial
        Whether each frame is downloaded before the next move (with a lens as the axis).
    exposures
        Number of shutter actuations, including failed attempts.
    interruptions
        Number of times that the campaign was resumed.
    simulated
        Whether a simulated bench was used instead of real devices.
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
        """Return the number of stacks in a state."""
        return sum(one.state == state for one in self.stacks)

    @property
    def total_s(self) -> float:
        """Total run time in seconds (real or simulated)."""
        return sum(self.parts.values())

    @property
    def shares(self) -> list[tuple[str, float]]:
        """Name and duration in seconds of each step that took time, in the steps' order."""
        order = (*BETWEEN, *OTHER[:3], *CYCLE, *OTHER[3:])
        return [(part, self.parts[part]) for part in order if self.parts[part]]

    @property
    def what_if(self) -> list[WhatIf]:
        """Estimates of the time that faster moves, settling or downloads would save."""
        return what_if(self.cycles, self.serial)

    @property
    def bottlenecks(self) -> list[tuple[str, float]]:
        """Name and median duration in seconds of each step of a cycle, longest first."""
        return bottlenecks(self.cycles)

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON values, for ``macrorail report --campaign --json``."""
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
    """Read a campaign folder and its run folders, and return the summary of the campaign.

    Raises
    ------
    JournalError
        The folder is not a campaign folder, or is damaged.
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
    """Return the contents of each run folder, by its path relative to the campaign folder."""
    records = {}
    for parent in (RUNS, QUARANTINE):
        for journal in sorted((folder / parent).glob(f"*/{JOURNAL}")):
            try:
                records[f"{parent}/{journal.parent.name}"] = read_record(journal.parent)
            except ConfigError:
                continue  # the run ended before its first journal entry
    return records


def _with_run(one: StackAccount, record: Record) -> StackAccount:
    """Return the outcome of a stack, completed with the numbers from the record of its run."""
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
    """Add the time between runs, and the number of interruptions, to ``account``."""
    bringing, asking = BETWEEN
    for before, entry in pairwise(entries):
        spent = max(0.0, entry.world_s - before.world_s)
        match entry.event:
            case OperatorAnswered():
                account.parts[asking] += spent
            case CampaignResumed():
                account.interruptions += 1
            case StackEnded():
                pass  # the time until this entry is part of the run's time
            case _:
                account.parts[bringing] += spent
