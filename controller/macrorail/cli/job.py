"""A run in its folder, new or resumed: devices, journal, align/blend and display."""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from macrorail.cli.caring import cared_for
from macrorail.cli.control import commanded
from macrorail.cli.display import RunDisplay
from macrorail.cli.finding import look_for
from macrorail.cli.logs import logged
from macrorail.cli.run_job import Job
from macrorail.cli.service import Service
from macrorail.cli.status import RunStatus
from macrorail.clock import WorldClock
from macrorail.devices.bracket.camera import BracketingCamera
from macrorail.devices.connect import Instrument, connect
from macrorail.devices.interfaces import Camera
from macrorail.errors import MacrorailError
from macrorail.planning.plan import results_bytes
from macrorail.proof.run_proof import RunProof
from macrorail.results.report import write_report
from macrorail.run.ending import RunEnd
from macrorail.run.proving import proof_settings
from macrorail.run.runner import Runner
from macrorail.run_folder.journal import JOURNAL, Journal, read_journal, write_whole
from macrorail.run_folder.manifest import build_manifest
from macrorail.run_folder.reserve import Reserve
from macrorail.run_folder.view import RunView
from macrorail.stacking.stream import RunStream
from macrorail.states import FinishReason, State


def carry_out(job: Job, console: Console, as_json: bool) -> None:
    """Do a job, write its manifest, say how it ended.

    Raises
    ------
    MacrorailError
        What ended the run before its end, or what the finished run lacks.
    """
    with connect(job.rig, log_folder=job.folder) as instrument, closing(Service()) as service:
        end, manifest = shoot(job, instrument, service, console)
    _tell(job.folder, end, manifest, console)
    typer.echo(json.dumps(manifest) if as_json else str(job.folder))
    if end.error is not None:
        raise end.error


def shoot(
    job: Job, instrument: Instrument, service: Service, console: Console
) -> tuple[RunEnd, dict[str, Any]]:
    """Do a job with an instrument that is connected; write its manifest and report.

    Returns
    -------
    RunEnd, dict
        How it ended, and the manifest.
    """
    end = None
    if not job.plan.slices:
        job, end = look_for(job, instrument, console)
    if end is None:
        end = _walk(job, instrument, service, console)
    manifest = build_manifest(read_journal(job.folder / JOURNAL))
    write_whole(job.folder / "manifest.json", json.dumps(manifest, indent=2, ensure_ascii=False))
    _report(job.folder, console)
    return end, manifest


def _walk(job: Job, instrument: Instrument, service: Service, console: Console) -> RunEnd:
    resumed = (job.folder / JOURNAL).exists()
    slices = len(job.plan.slices)
    done = len(job.progress.counted) if job.progress else 0
    status = RunStatus(job.folder.name, slices, done)
    view = RunView(job.plan.to_dict())
    before = read_journal(job.folder / JOURNAL) if resumed else []
    for entry in before:
        view.hear(entry.number, entry.event, entry.fields, entry.world_s)
    with (
        closing(Journal(job.folder / JOURNAL, instrument.clock.now, resumed)) as journal,
        closing(RunStream(job.folder, job.plan.object_pixel_um, job.plan.scale_at)) as stream,
        RunDisplay(console, view) as display,
        commanded(job.folder, instrument.clock, status, console) as commands,
        closing(_reserve(job)) as reserve,
        cared_for(
            job.rig.unattended, journal, commands, reserve, job.accept_scene, console
        ) as care,
        logged(job.folder) as log,
        ExitStack() as closing_proof,
    ):
        proof = None
        if job.wanted.proof.images == "on":
            added = job.progress.numbers - slices if job.progress else 0
            settings = proof_settings(job.plan, job.wanted, job.rig, added)
            proof = closing_proof.enter_context(closing(RunProof(settings, job.folder)))

        def entered(state: State) -> None:
            for listener in (status, display, log, service):
                listener.entered(state)

        for listener in (display, status, log, reserve):
            journal.listen(listener.heard)
        if isinstance(instrument.clock, WorldClock):
            instrument.clock.on_wait = service.beat
        if not job.searched:
            journal.append(
                "resumed" if before else "started",
                run=job.folder.name,
                specimen=job.wanted.specimen.model_dump(mode="json"),
                slices=slices,
                asked=dict(job.wanted.camera_settings),
                bench=instrument.bench_address,
            )
        runner = Runner(
            job.plan,
            job.wanted.camera_settings,
            job.wanted.settle_s(job.rig.axis.settle_s),
            job.wanted.closest_approach_um,
            instrument.axis,
            _camera_of(job, instrument, journal),
            instrument.clock,
            job.folder / "frames",
            journal,
            stream,
            entered,
            job.progress,
            proof,
            care,
        )
        return runner.run()


def _reserve(job: Job) -> Reserve:
    """Room for what the job still has to write."""
    results = results_bytes(job.rig)
    slices = len(job.plan.slices)
    return Reserve(
        job.folder,
        slices if job.progress is None else len(job.progress.targets),
        (job.plan.size_bytes - results) / slices,
        results,
        job.rig.unattended.keep_free_bytes,
    )


def _camera_of(job: Job, instrument: Instrument, journal: Journal) -> Camera:
    """The rig's camera, or one that takes a bracket for each frame."""
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


def _report(folder: Path, console: Console) -> None:
    """Write ``report.html``; a run is no worse for lacking it, and it can be written again."""
    try:
        console.print(f"Report: {write_report(folder)}", markup=False)
    except MacrorailError as error:
        console.print(f"No report was written: {error}", markup=False)


def _tell(folder: Path, end: RunEnd, manifest: dict[str, Any], console: Console) -> None:
    if end.reason is FinishReason.COMPLETED:
        console.print("[bold green]Done:[/] every slice overlaps its neighbours.")
    elif end.state is State.DONE:
        console.print("[bold yellow]All slices are shot, but not all is well:[/] see below.")
    else:
        console.print(
            f"[bold yellow]{end.state.value.capitalize()}.[/] {len(manifest['slices'])} finished "
            f"slice(s) are kept; go on with: macrorail resume {folder}"
        )
    if manifest["fused"] is not None:
        console.print(f"Picture: {folder / 'fused.jpg'}", markup=False)
