"""``macrorail run``: from a protocol to a run folder with the fused picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from macrorail.campaign.plan import is_campaign
from macrorail.campaign.start import start_campaign
from macrorail.cli.messages import message_console
from macrorail.cli.outcomes import finish_campaign, finish_run
from macrorail.cli.rigs import RIG_HELP, choose_rig
from macrorail.cli.terminal import TerminalObserver
from macrorail.session.run import start_run


def run(
    protocol: Annotated[
        Path,
        typer.Argument(help="what to shoot: a protocol or a campaign (YAML)", metavar="PROTOCOL"),
    ],
    rig: Annotated[Path | None, typer.Option(help=RIG_HELP)] = None,
    out: Annotated[Path, typer.Option(help="folder for the run folders")] = Path("runs"),
    specimen: Annotated[
        str | None,
        typer.Option(metavar="ID", help="id of the specimen; replaces the protocol's id"),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="print the manifest, or a campaign's totals"),
    ] = False,
) -> None:
    """Shoot a stack unattended and fuse it, or shoot a campaign of many stacks; print the folder.

    Protocol, plan, limits, disk space and devices are checked before anything moves. Ctrl-C stops
    the axis and keeps every finished slice; 'macrorail resume' continues the run.

    Examples:

      macrorail run configs/protocols/demo-rail.yaml

      macrorail run beetle.yaml --rig lab.yaml --out /data/runs

      macrorail run beetle.yaml --rig lab.yaml --specimen NHM-1234

      macrorail run tray.yaml --rig lab.yaml
    """
    console = message_console()
    rig_path = choose_rig(rig, console)
    if is_campaign(protocol):
        finish_campaign(start_campaign(protocol, rig_path, out, TerminalObserver(console)), as_json)
        return
    outcome = start_run(protocol, rig_path, out, TerminalObserver(console), specimen)
    finish_run(outcome, console, as_json)
