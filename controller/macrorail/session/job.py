"""Shoots one new or resumed run: connects devices, journal, checks, stacking and observers."""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from macrorail.clock import WorldClock
from macrorail.config.protocol import Protocol
from macrorail.config.rig import Rig, geometry
from macrorail.devices.bracket.camera import BracketingCamera
from macrorail.devices.connect import Instrument, connect
from macrorail.devices.frame_settings import FramesAsked
from macrorail.devices.interfaces import Camera
from macrorail.errors import MacrorailError
from macrorail.planning.plan import Plan, results_bytes
from macrorail.proof.proof_process import ProofProcess
from macrorail.results.report import write_report
from macrorail.run_folder.events import RunResumed, RunStarted
from macrorail.run_folder.journal import JOURNAL, Journal, read_journal, write_whole
from macrorail.run_folder.manifest import build_manifest
from macrorail.run_folder.reserve import Reserve
from macrorail.run_folder.view import RunView
from macrorail.running.ending import RunEnd
from macrorail.running.proof_settings import proof_settings
from macrorail.running.resume import RunProgress
from macrorail.running.runner import Runner, RunTask
from macrorail.session.logs import logged
from macrorail.session.observer import RunObserver
from macrorail.session.operator_commands import taking_commands
from macrorail.session.range_search import search_range
from macrorail.session.status import RunStatus
from macrorail.session.supervision import supervised
from macrorail.session.systemd import SystemdNotifier
from macrorail.stacking.stream import RunStream
from macrorail.states import State


@dataclass(frozen=True)
class RunJob:
    """The inputs for shooting one new or resumed run.

    Attributes
    ----------
    folder
        The run folder.
    wanted
        The protocol.
    rig
        The instrument.
    plan
        The slices, planned from the protocol and the rig.
    progress
        Progress before the interruption; ``None`` for a new run.
    accept_scene
        Continue even if the specimen or the camera has moved.
    searched
        Whether this run has already searched for its range. If so, its journal exists already.
    """

    folder: Path
    wanted: Protocol
    rig: Rig
    plan: Plan
    progress: RunProgress | None = None
    accept_scene: bool = False
    searched: bool = False


def carry_out(job: RunJob, observer: RunObserver) -> tuple[RunEnd, dict[str, Any]]:
    """Connect the job's instrument and shoot the run; return how it ended, and its manifest.

    Raises
    ------
    MacrorailError
        The instrument cannot be connected.
    """
    with (
        connect(job.rig, log_folder=job.folder) as instrument,
        closing(SystemdNotifier()) as systemd,
    ):
        return shoot(job, instrument, systemd, observer)


def shoot(
    job: RunJob, instrument: Instrument, systemd: SystemdNotifier, observer: RunObserver
) -> tuple[RunEnd, dict[str, Any]]:
    """Shoot a run with a connected instrument; write the run's manifest and report.

    Returns
    -------
    RunEnd, dict
        How the run ended, and its manifest.
    """
    end = None
    if not job.plan.slices:
        found = search_range(job.folder, job.wanted, job.rig, instrument, observer)
        if isinstance(found, RunEnd):
            end = found
        else:
            job = replace(job, plan=found, progress=None, searched=True)
    if end is None:
        end = _shoot_slices(job, instrument, systemd, observer)
    manifest = build_manifest(read_journal(job.folder / JOURNAL))
    write_whole(job.folder / "manifest.json", json.dumps(manifest, indent=2, ensure_ascii=False))
    _report(job.folder, observer)
    return end, manifest


def _shoot_slices(
    job: RunJob, instrument: Instrument, systemd: SystemdNotifier, observer: RunObserver
) -> RunEnd:
    resumed = (job.folder / JOURNAL).exists()
    slices = len(job.plan.slices)
    done = len(job.progress.counted) if job.progress else 0
    status = RunStatus(job.folder.name, slices, done)
    view = RunView(job.plan.to_dict())
    before = read_journal(job.folder / JOURNAL) if resumed else []
    for entry in before:
        view.on_entry(entry, entry.world_s)
    with (
        closing(Journal(job.folder / JOURNAL, instrument.clock.now, resumed)) as journal,
        closing(RunStream(job.folder, job.plan.object_pixel_um, job.plan.scale_at)) as stream,
        taking_commands(job.folder, instrument.clock, status, observer) as commands,
        observer.watching(view, commands),
        closing(_reserve(job)) as reserve,
        supervised(
            job.rig.unattended, journal, commands, reserve, job.accept_scene, observer
        ) as supervision,
        logged(job.folder) as log,
        ExitStack() as closing_proof,
    ):
        proof = None
        if job.wanted.proof.images == "on":
            added = job.progress.numbers - slices if job.progress else 0
            settings = proof_settings(job.plan, job.wanted, job.rig, added)
            proof = closing_proof.enter_context(closing(ProofProcess(settings, job.folder)))

        def on_state(state: State) -> None:
            for listener in (status, log, systemd):
                listener.on_state(state)
            observer.on_state(state)

        journal.listen(observer.on_event)
        for listener in (status, log, reserve):
            journal.listen(listener.on_entry)
        if isinstance(instrument.clock, WorldClock):
            instrument.clock.on_wait = systemd.beat
        if not job.searched:
            about: dict[str, Any] = {
                "run": job.folder.name,
                "specimen": job.wanted.specimen.model_dump(mode="json"),
                "slice_count": slices,
                "asked": dict(job.wanted.camera_settings),
                "bench": instrument.bench_address,
            }
            journal.append(
                RunResumed(**about)
                if before
                else RunStarted(**about, geometry=run_geometry(job.rig, job.plan))
            )
        task = RunTask(
            job.plan,
            job.wanted.camera_settings,
            job.wanted.settle_s(job.rig.axis.settle_s),
            job.wanted.closest_approach_um,
            job.progress,
            frames_asked(job.wanted, job.rig),
        )
        runner = Runner(
            task,
            instrument.axis,
            _camera_of(job, instrument, journal),
            instrument.clock,
            journal,
            stream,
            proof,
            replace(supervision, on_state=on_state),
        )
        return runner.run()


def frames_asked(wanted: Protocol, rig: Rig) -> FramesAsked:
    """Return the properties, such as size and exposure settings, that every frame must have."""
    settings = dict(wanted.camera_settings)
    varies = getattr(rig.camera, "exposure_mode", "manual") == "any"
    if wanted.exposure.bracket_ev is not None:
        # The exposures of a bracket are compared one by one; the exposure time in the metadata of
        # a merged frame varies.
        settings["shutter"] = "bracket"
    size_px = rig.camera.image_width, rig.camera.image_height
    return FramesAsked(settings, size_px, varies, drifts=rig.axis.shares_camera)


def run_geometry(rig: Rig, plan: Plan) -> dict[str, Any]:
    """Return the rig's and plan's settings that must not change during a run, for the journal."""
    return {**geometry(rig), "protocol.minimum_overlap": plan.minimum_overlap}


def _reserve(job: RunJob) -> Reserve:
    """Reserve disk space for the files that the job still has to write."""
    results = results_bytes(job.rig)
    slices = len(job.plan.slices)
    return Reserve(
        job.folder,
        slices if job.progress is None else len(job.progress.targets),
        (job.plan.size_bytes - results) / slices,
        results,
        job.rig.unattended.keep_free_bytes,
    )


def _camera_of(job: RunJob, instrument: Instrument, journal: Journal) -> Camera:
    """Return the camera; if the protocol asks for brackets, one that takes a bracket per frame."""
    exposure = job.wanted.exposure
    if exposure.bracket_ev is None:
        return instrument.camera
    return BracketingCamera(
        instrument.camera,
        exposure.bracket_ev,
        exposure.shutter,
        job.folder / "exposures",
        instrument.clock,
        journal.append,
        job.folder / "merging.log",
    )


def _report(folder: Path, observer: RunObserver) -> None:
    """Write ``report.html``; a failure is only reported, as the run is complete without it."""
    try:
        observer.message(f"Report: {write_report(folder)}")
    except MacrorailError as error:
        observer.message(f"No report was written: {error}", "warning")
