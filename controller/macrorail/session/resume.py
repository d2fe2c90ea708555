"""What an interrupted run is about and how far it has come, from its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from macrorail.config.document import load_document
from macrorail.config.protocol import Protocol
from macrorail.config.rig import load_rig
from macrorail.errors import JournalError
from macrorail.planning.plan import Plan
from macrorail.quantity import format_fraction, format_length
from macrorail.run_folder.events import RunResumed, RunStarted
from macrorail.run_folder.journal import JOURNAL, Entry, read_journal
from macrorail.running.resume import read_progress
from macrorail.session.job import RunJob
from macrorail.session.observer import RunObserver
from macrorail.session.range_search import plan_run, write_plan

#: Rounding, and nothing that a slice would notice.
_SAME_PLACE_UM = 0.01


def load_interrupted(run: Path) -> tuple[RunJob, list[Entry]]:
    """What a run folder is for, and its journal; no entries when it ended before the first.

    Raises
    ------
    ConfigError, PlanError
        As loading and planning raise them.
    JournalError
        Not a run folder, a damaged one, or not the one that was begun.
    """
    for name in ("protocol.yaml", "rig.yaml", "plan.json"):
        if not (run / name).is_file():
            raise JournalError(f"{run} is no run folder: it has no {name}")
    wanted = load_document(run / "protocol.yaml", Protocol)
    rig = load_rig(run / "rig.yaml")
    entries = read_journal(run / JOURNAL) if (run / JOURNAL).exists() else []
    plan = plan_run(wanted, rig, entries)
    written = json.loads((run / "plan.json").read_text())
    if plan.slices and not written["slices"]:
        write_plan(run, plan)  # interrupted between finding the range and writing it down
    else:
        changed = [*_changed_plan(written, plan), *_changed_settings(entries, wanted)]
        if changed:
            raise JournalError(
                f"{run} was started with different settings: {'; '.join(changed)}. Put "
                f"protocol.yaml, rig.yaml and lens file back as they were, or resume with the "
                f"version of macrorail that started it, or stack the frames it has with "
                f"'macrorail stack {run}'"
            )
        if written != json.loads(json.dumps(plan.to_dict())):
            write_plan(run, plan)  # as this version reads it
    return RunJob(run, wanted, rig, plan), entries


def _changed_plan(written: dict[str, Any], plan: Plan) -> Iterator[str]:
    """What of a plan is no longer what the slices that are done were shot for.

    Nothing else counts: another version may predict other times, and a rig's ports and limits may
    change.
    """
    before = [each["target_um"] for each in written["slices"]]
    now = [planned.target_um for planned in plan.slices]
    if len(before) != len(now):
        yield f"{len(before)} slices were planned, now it would be {len(now)}"
    elif any(abs(a - b) > _SAME_PLACE_UM for a, b in zip(before, now, strict=True)):
        yield "its slices were planned elsewhere"
    for name in ("near_um", "far_um"):
        if abs(written[name] - getattr(plan, name)) > _SAME_PLACE_UM:
            end = format_length(written[name], digits=6)
            yield f"its {name.removesuffix('_um')} end was {end}"
    if not math.isclose(written["minimum_overlap"], plan.minimum_overlap):
        yield f"its least overlap was {format_fraction(written['minimum_overlap'])}"


def _changed_settings(entries: list[Entry], wanted: Protocol) -> Iterator[str]:
    """Frames of one stack are exposed alike."""
    for entry in entries:
        if not isinstance(entry.event, RunStarted | RunResumed):
            continue
        for name, value in (entry.event.asked or {}).items():
            now = wanted.camera_settings.get(name)
            if now != value:
                yield f"its {name} was {value}, now it is {now or 'not given'}"
        if isinstance(entry.event, RunStarted):
            return


def prepare_resume(begun: RunJob, entries: list[Entry], accept_scene: bool) -> RunJob:
    """What is left of a run that was interrupted.

    Raises
    ------
    FrameError
        A counted frame is missing or altered.
    """
    progress = read_progress(begun.plan, entries, begun.folder)
    return replace(begun, progress=progress, accept_scene=accept_scene)


def report_progress(job: RunJob, observer: RunObserver) -> None:
    """Tell how far an interrupted run has come."""
    progress = job.progress
    assert progress is not None, "a resumed run has a progress"
    observer.message(
        f"{len(progress.counted)} slice(s) are done and whole, "
        f"{len(progress.targets)} are still to be shot"
        + ("; one frame that was on its way is adopted" if progress.orphan else "")
    )
