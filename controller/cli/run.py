"""``macrorail run``: the main job, from a protocol to a run folder with the fused picture in it."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from controller.cli.display import RunDisplay
from controller.cli.messages import message_console
from controller.cli.rigs import RIG_HELP, choose_rig
from controller.cli.signals import stopped_by_signals
from controller.document import load_document
from controller.errors import PlanError
from controller.instrument import Rig, load_rig
from controller.journal import JOURNAL, Journal, create_run_folder, read_journal, write_whole
from controller.manifest import build_manifest
from controller.plan import Plan, make_plan
from controller.protocol import Protocol
from controller.quantity import format_duration, format_size
from controller.rig import connect
from controller.runner import RunEnd, Runner
from controller.stacking.stream import RunStream
from controller.states import FinishReason, State


def run(
    protocol: Annotated[Path, typer.Argument(help="what to shoot (YAML)", metavar="PROTOCOL")],
    rig: Annotated[Path | None, typer.Option(help=RIG_HELP)] = None,
    out: Annotated[Path, typer.Option(help="where run folders are made")] = Path("runs"),
    as_json: Annotated[
        bool, typer.Option("--json", help="print the manifest instead of the folder")
    ] = False,
) -> int:
    """Shoot a stack unattended and fuse it; prints the run folder.

    Nothing moves before protocol, plan, limits, disk space and devices are checked. Ctrl-C stops
    the axis, keeps every finished slice and closes the run properly.

    Examples:

      macrorail run configs/protocols/demo-rail.yaml

      macrorail run beetle.yaml --rig lab.yaml --out /data/runs
    """
    console = message_console()
    rig_path = choose_rig(rig, console)
    wanted = load_document(protocol, Protocol)
    instrument = load_rig(rig_path)
    plan = make_plan(wanted, instrument)
    check_disk_space(out, plan)
    folder = create_run_folder(out, wanted.specimen.id)
    shutil.copyfile(protocol, folder / "protocol.yaml")
    shutil.copyfile(rig_path, folder / "rig.yaml")
    write_whole(folder / "plan.json", json.dumps(plan.to_dict(), indent=2))
    console.print(
        f"{len(plan.slices)} slices planned, about {format_duration(plan.duration_s)} of the "
        f"instrument's time; run folder {folder}",
        markup=False,
    )
    end = carry_out(folder, wanted, instrument, plan, console)
    manifest = build_manifest(read_journal(folder / JOURNAL))
    write_whole(folder / "manifest.json", json.dumps(manifest, indent=2, ensure_ascii=False))
    tell(folder, end, manifest["fused"], console)
    typer.echo(json.dumps(manifest) if as_json else str(folder))
    if end.error is not None:
        raise end.error
    return 0


def carry_out(folder: Path, wanted: Protocol, rig: Rig, plan: Plan, console: Console) -> RunEnd:
    """Connect the rig, walk the plan, and journal it all in ``folder``."""
    with (
        connect(rig, log_folder=folder) as instrument,
        closing(Journal(folder / JOURNAL, instrument.clock.now)) as journal,
        closing(RunStream(folder, plan.object_pixel_um)) as stream,
        RunDisplay(console, len(plan.slices)) as display,
        stopped_by_signals(instrument.clock),
    ):
        journal.listen(display.heard)
        journal.append(
            "started",
            run=folder.name,
            specimen=wanted.specimen.model_dump(mode="json"),
            slices=len(plan.slices),
            bench=instrument.bench_address,
        )
        runner = Runner(
            plan,
            wanted.camera_settings,
            wanted.settle_s,
            wanted.closest_approach_um,
            instrument.axis,
            instrument.camera,
            instrument.clock,
            folder / "frames",
            journal,
            stream,
            display.entered,
        )
        return runner.run()


def check_disk_space(out: Path, plan: Plan) -> None:
    """Refuse a run whose frames and results would not fit.

    Raises
    ------
    PlanError
        With what is needed and what is free.
    """
    there = next(folder for folder in (out, *out.resolve().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if plan.size_bytes > free:
        raise PlanError(
            f"{out} has {format_size(free)} free, the run needs about "
            f"{format_size(plan.size_bytes)}; "
            f"make room or choose another disk with --out"
        )


def tell(folder: Path, end: RunEnd, fused: dict[str, object] | None, console: Console) -> None:
    """Say in words how the run ended and where the picture is."""
    if end.reason is FinishReason.COMPLETED:
        console.print("[bold green]Done:[/] every slice overlaps its neighbours.")
    elif end.state is State.DONE:
        console.print("[bold yellow]All slices are shot, but not all is well:[/] see below.")
    else:
        console.print(f"[bold yellow]{end.state.value.capitalize()}.[/] Finished slices are kept.")
    if fused is not None:
        console.print(f"Picture: {folder / 'fused.jpg'}", markup=False, soft_wrap=True)
