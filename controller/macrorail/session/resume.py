"""Reads an interrupted run from its folder: what is to be shot, and what is done."""

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

#: Rounding, and nothing that a slice would notice.
_SAME_PLACE_UM = 0.01


def load_interrupted(run: Path) -> tuple[RunJob, list[Entry]]:
    """What a run folder is for, and its journal; no entries when it ended before the first.

    Raises
    ------
    ConfigError, PlanError
        As loading and planning raise them.
    JournalError
        Not a run folder, a damaged one, or one that was started with different settings.
    """
    for name in ("protocol.yaml", "rig.yaml"):
        if not (run / name).is_file():
            raise JournalError(
                f"{run} is not a run folder, or is incomplete: it has no {name}. Copy the file "
                f"that the run was started with there, then resume; or stack the frames it has "
                f"with 'macrorail stack {run / 'frames'}'"
            )
    wanted = load_document(run / "protocol.yaml", Protocol)
    rig = load_rig(run / "rig.yaml")
    entries = read_journal(run / JOURNAL) if (run / JOURNAL).exists() else []
    _refuse_lost_journal(run, entries)
    with errors_with_lines(run / "protocol.yaml"):
        plan = plan_run(wanted, rig, entries)
    written = _read_plan(run / "plan.json")
    changed = [*_changed_slices(entries, plan), *_changed_settings(entries, wanted)]
    changed += _changed_geometry(entries, rig, plan)
    if written is not None and (written["slices"] or not plan.slices):
        changed = [*_changed_plan(written, plan), *changed]
    if changed:
        raise JournalError(
            f"{run} was started with different settings: {'; '.join(changed)}. Put "
            f"protocol.yaml, rig.yaml and lens file back as they were (remove plan.json if that is "
            f"of another run: it is made again), or resume with the version of macrorail that "
            f"started it, or stack the frames it has with 'macrorail stack {run}'"
        )
    if written != json.loads(json.dumps(plan.to_dict())):
        # Interrupted before it was written, damaged, or as another version reads it.
        write_plan(run, plan)
    return RunJob(run, wanted, rig, plan), entries


def _refuse_lost_journal(run: Path, entries: list[Entry]) -> None:
    """Refuse a run without its journal: it would shoot again the frames that it has.

    Raises
    ------
    JournalError
    """
    intended = {one.event.slice for one in entries if isinstance(one.event, ExposureIntended)}
    frames = (path for path in (run / "frames").glob("[0-9]*.*") if path.stem.isdecimal())
    unknown = sorted(path.name for path in frames if int(path.stem) not in intended)
    if unknown:
        raise JournalError(
            f"{run / JOURNAL} is missing, empty or cut: it does not know {len(unknown)} frame(s) "
            f"in frames/, the first is {unknown[0]}. Restore {JOURNAL} from a copy; or stack the "
            f"frames with 'macrorail stack {run / 'frames'}' and start a new run"
        )


def _read_plan(path: Path) -> dict[str, Any] | None:
    """The plan as it was written; ``None`` when it is missing or damaged: it can be made again."""
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
    """What the journal says of planned slices that the plan places elsewhere."""
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
    """Keys that would place, scale or prove the slices otherwise."""
    before = next((e.event.geometry for e in entries if isinstance(e.event, RunStarted)), None)
    if before is None:
        return []  # of an earlier version, or nothing has been shot
    now = json.loads(json.dumps(run_geometry(rig, plan)))
    return [
        f"'{key}' was {before.get(key, 'not given')}, now it is {now.get(key, 'not given')}"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    ]


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


def prepare_resume(interrupted: RunJob, entries: list[Entry], accept_scene: bool) -> RunJob:
    """What is left of a run that was interrupted.

    Raises
    ------
    FrameError
        A counted frame is missing or altered.
    """
    progress = read_progress(interrupted.plan, entries, interrupted.folder)
    return replace(interrupted, progress=progress, accept_scene=accept_scene)


def report_progress(job: RunJob, observer: RunObserver) -> None:
    """Tell how far an interrupted run has come."""
    progress = job.progress
    assert progress is not None, "a resumed run has a progress"
    observer.message(
        f"{len(progress.counted)} slice(s) are done and whole, "
        f"{len(progress.targets)} are still to be shot"
        + ("; one frame that was on its way is adopted" if progress.orphan else "")
    )
