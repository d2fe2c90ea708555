"""``macrorail run``: the main job, from a protocol to a run folder with the fused picture in it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from macrorail.campaign.work import is_campaign
from macrorail.cli.campaign.begin import begin_campaign
from macrorail.cli.finding import plan_to_begin, write_plan
from macrorail.cli.identifying import settle_specimen
from macrorail.cli.job import carry_out
from macrorail.cli.messages import message_console
from macrorail.cli.rigs import RIG_HELP, choose_rig
from macrorail.cli.run_job import Job
from macrorail.config.document import load_document
from macrorail.config.protocol import Protocol
from macrorail.config.rig import load_rig
from macrorail.errors import PlanError
from macrorail.planning.plan import Plan
from macrorail.quantity import format_duration, format_size
from macrorail.run_folder.journal import create_run_folder, write_whole


def run(
    protocol: Annotated[
        Path,
        typer.Argument(help="what to shoot: a protocol or a campaign (YAML)", metavar="PROTOCOL"),
    ],
    rig: Annotated[Path | None, typer.Option(help=RIG_HELP)] = None,
    out: Annotated[Path, typer.Option(help="where run folders are made")] = Path("runs"),
    specimen: Annotated[
        str | None,
        typer.Option(metavar="ID", help="which specimen it is, instead of what the protocol says"),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="print the manifest, or a campaign's totals"),
    ] = False,
) -> None:
    """Shoot a stack unattended and fuse it, or a campaign of many; prints the folder.

    Nothing moves before protocol, plan, limits, disk space and devices are checked. Ctrl-C stops
    the axis, keeps every finished slice and closes the run properly.

    Examples:

      macrorail run configs/protocols/demo-rail.yaml

      macrorail run beetle.yaml --rig lab.yaml --out /data/runs

      macrorail run beetle.yaml --rig lab.yaml --specimen NHM-1234

      macrorail run tray.yaml --rig lab.yaml
    """
    console = message_console()
    rig_path = choose_rig(rig, console)
    if is_campaign(protocol):
        begin_campaign(protocol, rig_path, out, console, as_json)
        return
    wanted = load_document(protocol, Protocol)
    instrument = load_rig(rig_path)
    plan = plan_to_begin(wanted, instrument)
    check_disk_space(out, plan, instrument.unattended.keep_free_bytes)
    settled = settle_specimen(protocol, wanted, specimen, instrument, out, console)
    wanted = settled.wanted
    folder = create_run_folder(settled.out, wanted.specimen.id)
    if settled.text is None:
        shutil.copyfile(protocol, folder / "protocol.yaml")
    else:
        write_whole(folder / "protocol.yaml", settled.text)
    shutil.copyfile(rig_path, folder / "rig.yaml")
    write_plan(folder, plan)
    planned = (
        f"{len(plan.slices)} slices planned, about {format_duration(plan.duration_s)} of the "
        f"instrument's time"
        if plan.slices
        else "the specimen is looked for first"
    )
    console.print(f"{planned}; run folder {folder}", markup=False)
    carry_out(Job(folder, wanted, instrument, plan), console, as_json)


def check_disk_space(out: Path, plan: Plan, keep_free_bytes: float) -> None:
    """Refuse a run whose frames and results would not fit beside what is to be kept free.

    Raises
    ------
    PlanError
        With what is needed and what is free.
    """
    there = next(folder for folder in (out, *out.resolve().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if plan.size_bytes + keep_free_bytes > free:
        raise PlanError(
            f"{out} has {format_size(free)} free, the run needs about "
            f"{format_size(plan.size_bytes)}, and {format_size(keep_free_bytes)} are to be kept "
            f"free ('unattended: keep_free' in the rig); make room, or choose another disk with "
            f"--out"
        )
