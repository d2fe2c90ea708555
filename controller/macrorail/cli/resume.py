"""``macrorail resume``: go on with a run that was interrupted, whatever interrupted it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from macrorail.cli.campaign.begin import resume_campaign
from macrorail.cli.job import carry_out
from macrorail.cli.messages import message_console
from macrorail.cli.taking_up import begun_in, take_up, tell_progress
from macrorail.config.rig import Rig
from macrorail.run_folder.campaign_folder import is_campaign_folder
from macrorail.run_folder.journal import Entry
from macrorail.states import FinishReason


def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="the run's folder, or a campaign's")],
    accept_scene: Annotated[
        bool,
        typer.Option("--accept-scene", help="go on although specimen or camera have moved"),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="print the manifest, or a campaign's totals"),
    ] = False,
) -> None:
    """Continue an interrupted run or campaign: no slice lost, none twice.

    Works after a crash, a kill, a power cut or a stop. The axis is homed anew; frames that are
    done are checked by their hashes and stay; an exposure that was under way is adopted when its
    frame lies whole on disk, and shot again otherwise. Before anything else the last slice is
    looked at once more: specimen, lamp and camera must be where they were.

    Examples:

      macrorail resume runs/20261122-200000-beetle

      macrorail resume runs/20261122-200000-tray-7
    """
    console = message_console()
    if is_campaign_folder(run):
        resume_campaign(run, console, as_json)
        return
    begun, entries = begun_in(run)
    if entries and entries[-1].fields.get("reason") == FinishReason.COMPLETED.value:
        console.print("This run is complete; there is nothing to resume.")
        typer.echo(run)
        return
    job = take_up(begun, entries, accept_scene)
    tell_progress(job, console)
    carry_out(replace(job, rig=_same_world(job.rig, entries)), console, as_json)


def _same_world(rig: Rig, entries: list[Entry]) -> Rig:
    """The rig with its simulated world, if that is still alive, instead of a new one."""
    addresses = [e.fields["bench"] for e in entries if e.event in {"started", "resumed"}]
    if rig.bench is None or not addresses or not Path(addresses[-1]).exists():
        return rig
    bench = rig.bench.model_copy(update={"address": addresses[-1]})
    return rig.model_copy(update={"bench": bench})
