"""Reads an interrupted run's folder and determines the finished and the missing slices."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from macrorail.config.document import load_document
from macrorail.config.protocol import Protocol
from macrorail.config.rig import Rig, load_rig
from macrorail.errors import JournalError
from macrorail.planning.plan import Plan, errors_with_lines
from macrorail.quantity import format_fraction, format_length
from macrorail.run_folder.events import (
    ExposureIntended,
    RunResumed,
    RunStarted,
    SlicesInserted,
)
from macrorail.run_folder.journal import JOURNAL, Entry, read_journal
from macrorail.running.resume import read_progress
from macrorail.session.job import RunJob, run_geometry
from macrorail.session.observer import RunObserver
from macrorail.session.range_search import plan_run, write_plan

#: Positions that differ by less than this are the same; the difference is due to rounding.
_SAME_PLACE_UM = 0.01


def load_interrupted(run: Path) -> tuple[RunJob, list[Entry]]:
    """Return an interrupted run's job and its journal entries.

    There are no entries when the run ended before its first journal entry.

    Raises
    ------
    ConfigError, PlanError
        The protocol or the rig cannot be loaded, or the plan cannot be made.
    JournalError
        The folder is not a run folder, is damaged, or belongs to a run that was started with
        different settings.
    """
    for name in ("protocol.yaml", "rig.yaml"):
        if not (run / name).is_file():
            raise JournalError(
                f"{run} is not a run folder, or is incomplete: it has no {name}. Copy the {name} "
                f"that the run was started with into this folder, then resume. Or stack the "
                f"existing frames with 'macrorail stack {run / 'frames'}'"
            )
    wanted = load_document(run / "protocol.yaml", Protocol)
    rig = load_rig(run / "rig.yaml")
    entries = read_journal(run / JOURNAL) if (run / JOURNAL).exists() else []
    with errors_with_lines(run / "protocol.yaml"):
        plan = plan_run(wanted, rig, entries)
    written = _read_plan(run / "plan.json")
    changed = [*_changed_slices(entries, plan), *_changed_settings(entries, wanted)]
    changed += _changed_geometry(entries, rig, plan)
    if written is not None and (written["slices"] or not plan.slices):
        changed = [*_changed_plan(written, plan), *changed]
    if changed:
        raise JournalError(
            f"{run} was started with different settings: {'; '.join(changed)}. Restore the "
            f"protocol.yaml, rig.yaml and lens file that the run was started with; if plan.json is "
            f"from another run, delete it, and it is regenerated. Or resume with the version of "
            f"macrorail that started the run. Or stack the existing frames with 'macrorail stack "
            f"{run}'"
        )
    _refuse_lost_journal(run, entries)
    if written != json.loads(json.dumps(plan.to_dict())):
        # plan.json was not written before the interruption, is damaged, or has another version.
        write_plan(run, plan)
    return RunJob(run, wanted, rig, plan), entries


def _refuse_lost_journal(run: Path, entries: list[Entry]) -> None:
    """Refuse a run whose journal lacks frames that exist; resuming would shoot those slices again.

    Raises
    ------
    JournalError
        The run folder contains frames that the journal does not list.
    """
    intended = {one.event.slice for one in entries if isinstance(one.event, ExposureIntended)}
    frames = (path for path in (run / "frames").glob("[0-9]*.*") if path.stem.isdecimal())
    unknown = sorted(path.name for path in frames if int(path.stem) not in intended)
    if unknown:
        raise JournalError(
            f"{run / JOURNAL} is missing, empty or cut: it does not list {len(unknown)} frame(s) "
            f"in frames/; the first is {unknown[0]}. Restore {JOURNAL} from a copy. Or stack the "
            f"frames with 'macrorail stack {run / 'frames'}' and start a new run"
        )


def _read_plan(path: Path) -> dict[str, Any] | None:
    """Return the contents of plan.json; ``None`` when it is missing or damaged."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        slices, limits = written["slices"], (written["near_um"], written["far_um"])
        usable = all(isinstance(each["target_um"], float) for each in slices)
        usable &= all(isinstance(each, float | int) for each in limits)
        usable &= isinstance(written["minimum_overlap"], float | int)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return written if usable else None


def _changed_slices(entries: list[Entry], plan: Plan) -> Iterator[str]:
    """Yield a text for each planned slice whose position in the journal differs from the plan."""
    inserted: set[int] = set()
    for entry in entries:
        match entry.event:
            case SlicesInserted(slices=slices):
                inserted.update(slices)
            case ExposureIntended(slice=number, target_um=target_um) if number not in inserted:
                if number > len(plan.slices):
                    yield f"slice {number} was shot, and now {len(plan.slices)} are planned"
                elif abs(plan.slices[number - 1].target_um - target_um) > _SAME_PLACE_UM:
                    now = format_length(plan.slices[number - 1].target_um, digits=6)
                    was = format_length(target_um, digits=6)
                    yield f"slice {number} was planned at {was}, now it is at {now}"
                else:
                    continue
                return


def _changed_geometry(entries: list[Entry], rig: Rig, plan: Plan) -> list[str]:
    """Return a text for each setting of positions, scale or coverage changed since the start."""
    before = next((e.event.geometry for e in entries if isinstance(e.event, RunStarted)), None)
    if before is None:
        return []  # the journal is from an earlier version, or no slice has been shot
    now = json.loads(json.dumps(run_geometry(rig, plan)))
    return [
        f"'{key}' was {before.get(key, 'not given')}, now it is {now.get(key, 'not given')}"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    ]


def _changed_plan(written: dict[str, Any], plan: Plan) -> Iterator[str]:
    """Yield a text for each difference between the plan in ``plan.json`` and the present plan.

    Only slices, ends of the range and overlap are compared. Predicted times may differ between
    versions of macrorail, and a rig's ports and limits may change.
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
    """Yield a text for each camera setting that differs from the setting in the journal."""
    for entry in entries:
        if not isinstance(entry.event, RunStarted | RunResumed):
            continue
        for name, value in (entry.event.asked or {}).items():
            now = wanted.camera_settings.get(name)
            if now != value:
                yield f"its {name} was {value}, now it is {now or 'not given'}"
        if isinstance(entry.event, RunStarted):
            return


def prepare_resume(interrupted: RunJob, entries: list[Entry], accept_scene: bool) -> RunJob:
    """Check an interrupted run's frames, and return its job with the progress filled in.

    Raises
    ------
    FrameError
        The frame of a finished slice is missing or has been changed.
    """
    progress = read_progress(interrupted.plan, entries, interrupted.folder)
    return replace(interrupted, progress=progress, accept_scene=accept_scene)


def report_progress(job: RunJob, observer: RunObserver) -> None:
    """Report the progress of an interrupted run to the observer."""
    progress = job.progress
    assert progress is not None, "a resumed run has a progress"
    observer.message(
        f"{len(progress.counted)} slice(s) are done and complete, "
        f"{len(progress.targets)} are still to be shot"
        + ("; one frame that was being downloaded is adopted" if progress.orphan else "")
    )
