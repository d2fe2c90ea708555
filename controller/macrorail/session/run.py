"""Starts and resumes runs: checks all inputs, creates the run folder, then shoots."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from macrorail.config.document import load_document
from macrorail.config.protocol import Protocol
from macrorail.config.rig import Rig, load_rig
from macrorail.errors import MacrorailError, PlanError
from macrorail.planning.plan import Plan, errors_with_lines
from macrorail.quantity import format_duration, format_size
from macrorail.results.report import REPORT, write_report
from macrorail.run_folder.events import RunEnded, RunResumed, RunStarted
from macrorail.run_folder.journal import Entry, create_run_folder, write_whole
from macrorail.run_folder.manifest import build_manifest
from macrorail.run_folder.record import MANIFEST
from macrorail.session.job import RunJob, carry_out
from macrorail.session.observer import RunObserver
from macrorail.session.range_search import plan_run, write_plan
from macrorail.session.resume import load_interrupted, prepare_resume, report_progress
from macrorail.session.specimen import resolve_specimen
from macrorail.states import FinishReason, State


@dataclass(frozen=True)
class RunOutcome:
    """The outcome of a run.

    Attributes
    ----------
    folder
        The run folder.
    state, reason
        Last state and finish reason of the run, as in the journal.
    manifest
        Contents of ``manifest.json``.
    error
        Error that ended the run early, or that describes an incomplete result; ``None`` when the
        run was completed.
    """

    folder: Path
    state: State
    reason: FinishReason
    manifest: dict[str, Any]
    error: MacrorailError | None


def start_run(
    protocol: Path,
    rig_path: Path,
    out: Path,
    observer: RunObserver,
    specimen: str | None = None,
) -> RunOutcome:
    """Shoot a stack into a new run folder in ``out``, fuse the stack, and return the outcome.

    Protocol, plan, limits and disk space are checked before anything moves.

    Parameters
    ----------
    protocol
        YAML file of the stack to shoot.
    rig_path
        YAML file of the instrument.
    out
        Folder in which the run folder is created.
    observer
        Receives messages, events and states of the run.
    specimen
        Id of the specimen; replaces the id in the protocol.

    Raises
    ------
    MacrorailError
        The run could not start; nothing has moved.
    """
    wanted = load_document(protocol, Protocol)
    rig = load_rig(rig_path)
    with errors_with_lines(protocol):
        plan = plan_run(wanted, rig)
    check_disk_space(out, plan, rig.unattended.keep_free_bytes)
    resolved = resolve_specimen(protocol, wanted, specimen, rig, out, observer)
    wanted = resolved.wanted
    folder = create_run_folder(resolved.out, wanted.specimen.id)
    if resolved.text is None:
        shutil.copyfile(protocol, folder / "protocol.yaml")
    else:
        write_whole(folder / "protocol.yaml", resolved.text)
    shutil.copyfile(rig_path, folder / "rig.yaml")
    write_plan(folder, plan)
    planned = (
        f"{len(plan.slices)} slices planned, about {instrument_time(plan.duration_s, rig)}"
        if plan.slices
        else "the range is searched for first"
    )
    observer.on_folder(folder)
    observer.message(f"{planned}; run folder {folder}")
    return _outcome(RunJob(folder, wanted, rig, plan), observer)


def resume_run(
    folder: Path, observer: RunObserver, accept_scene: bool = False
) -> RunOutcome | None:
    """Continue an interrupted run; return its outcome, or ``None`` if it was complete already.

    Parameters
    ----------
    folder
        The run folder.
    observer
        Receives messages, events and states of the run.
    accept_scene
        Continue even if the specimen or the camera has moved.

    Raises
    ------
    MacrorailError
        The run cannot be continued; nothing has moved.
    """
    interrupted, entries = load_interrupted(folder)
    last = entries[-1].event if entries else None
    if isinstance(last, RunEnded) and last.reason == FinishReason.COMPLETED.value:
        restore_results(folder, entries, observer)
        return None
    job = prepare_resume(interrupted, entries, accept_scene)
    report_progress(job, observer)
    observer.on_folder(folder)
    return _outcome(replace(job, rig=_same_world(job.rig, entries)), observer)


def restore_results(folder: Path, entries: list[Entry], observer: RunObserver) -> None:
    """Rewrite a complete run's manifest and report if they are missing or contradict the journal.

    Manifest and report are missing when the run was killed after its last journal entry.
    """
    path = folder / MANIFEST
    manifest = build_manifest(entries)
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        written = None
    about = ("run", "state", "finish_reason", "slices", "fusion_order", "fused")
    if isinstance(written, dict) and all(written.get(key) == manifest[key] for key in about):
        if not (folder / REPORT).is_file():
            observer.message(f"{REPORT} was missing and has been rewritten: {write_report(folder)}")
        return
    write_whole(path, json.dumps(manifest, indent=2, ensure_ascii=False))
    observer.message(
        f"{MANIFEST} was missing or did not agree with the journal; {MANIFEST} and {REPORT} are "
        f"rewritten from the journal",
        "warning",
    )
    write_report(folder)


def _outcome(job: RunJob, observer: RunObserver) -> RunOutcome:
    end, manifest = carry_out(job, observer)
    return RunOutcome(job.folder, end.state, end.reason, manifest, end.error)


def instrument_time(duration_s: float, rig: Rig) -> str:
    """Return a predicted duration as text; for a simulated instrument, also the wall time."""
    planned = f"{format_duration(duration_s)} of the instrument's time"
    if rig.bench is None or rig.bench.time_scale == 1:
        return planned
    here = format_duration(max(1.0, duration_s / rig.bench.time_scale))
    return f"{planned}, simulated {rig.bench.time_scale:g} times faster: {here} here"


def check_disk_space(out: Path, plan: Plan, keep_free_bytes: float) -> None:
    """Check that the disk has space for a run in addition to the space that must stay free.

    Raises
    ------
    PlanError
        The disk has too little space; the message gives the free and the needed space.
    """
    there = next(folder for folder in (out, *out.resolve().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if plan.size_bytes + keep_free_bytes > free:
        raise PlanError(
            f"{out} has {format_size(free)} free, but the run needs about "
            f"{format_size(plan.size_bytes)}, and {format_size(keep_free_bytes)} must stay free "
            f"('unattended: keep_free' in the rig). Free some space, or choose another disk with "
            f"--out"
        )


def _same_world(rig: Rig, entries: list[Entry]) -> Rig:
    """Return the rig; it uses the interrupted run's simulated bench if this is still running."""
    begins = (entry.event for entry in entries)
    addresses = [one.bench for one in begins if isinstance(one, RunStarted | RunResumed)]
    address = addresses[-1] if addresses else None
    if rig.bench is None or address is None:
        return rig  # real devices, or a simulated bench that ended with the controller's process
    if not Path(address).exists():
        return rig
    bench = rig.bench.model_copy(update={"address": address})
    return rig.model_copy(update={"bench": bench})
