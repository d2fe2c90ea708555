"""What an interrupted run is about and how far it has come, from its folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from controller.cli.finding import plan_to_begin, write_plan
from controller.cli.job import Job
from controller.document import load_document
from controller.errors import JournalError
from controller.instrument import load_rig
from controller.journal import JOURNAL, Entry, read_journal
from controller.protocol import Protocol
from controller.resume import read_progress


def begun_in(run: Path) -> tuple[Job, list[Entry]]:
    """What a run folder is for, and its journal; no entries when it ended before the first.

    Raises
    ------
    ConfigError, PlanError
        As loading and planning raise them.
    JournalError
        Not a run folder, a damaged one, or planned by another version.
    """
    for name in ("protocol.yaml", "rig.yaml", "plan.json"):
        if not (run / name).is_file():
            raise JournalError(f"{run} is no run folder: it has no {name}")
    wanted = load_document(run / "protocol.yaml", Protocol)
    rig = load_rig(run / "rig.yaml")
    entries = read_journal(run / JOURNAL) if (run / JOURNAL).exists() else []
    plan = plan_to_begin(wanted, rig, entries)
    written = json.loads((run / "plan.json").read_text())
    if plan.slices and not written["slices"]:
        write_plan(run, plan)  # interrupted between finding the range and writing it down
    elif written != json.loads(json.dumps(plan.to_dict())):
        raise JournalError(
            f"{run / 'plan.json'} is not what this macrorail plans from the run's protocol and "
            f"rig; resume it with the version that began it, or stack what there is with "
            f"'macrorail stack {run}'"
        )
    return Job(run, wanted, rig, plan), entries


def take_up(begun: Job, entries: list[Entry], accept_scene: bool) -> Job:
    """What is left of a run that was interrupted.

    Raises
    ------
    FrameError
        A counted frame is missing or altered.
    """
    progress = read_progress(begun.plan, entries, begun.folder)
    return replace(begun, progress=progress, accept_scene=accept_scene)


def tell_progress(job: Job, console: Console) -> None:
    """Say how far an interrupted run has come."""
    progress = job.progress
    assert progress is not None, "a run that is taken up has a progress"
    console.print(
        f"{len(progress.counted)} slice(s) are done and whole, "
        f"{len(progress.targets)} are still to be shot"
        + ("; one frame that was on its way is adopted" if progress.orphan else "")
    )
