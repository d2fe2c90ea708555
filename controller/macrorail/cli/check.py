"""``macrorail check``: connect an instrument and check that it is fit to run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from macrorail.cli.messages import message_console
from macrorail.cli.permission import YES_HELP, asking
from macrorail.cli.rigs import RIG_HELP, choose_rig
from macrorail.cli.terminal import TerminalObserver
from macrorail.config.rig import load_rig
from macrorail.session.check import check_instrument


def check(
    rig: Annotated[Path | None, typer.Option(help=RIG_HELP)] = None,
    yes: Annotated[bool, typer.Option("--yes", help=YES_HELP)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the findings as JSON")] = False,
) -> None:
    """Connect, read versions, home the axis, check the limits and take one test frame.

    Before anything moves, the moves are described and permission is asked for. The test frame is
    deleted.

    Examples:

      macrorail check --rig lab.yaml

      macrorail check --rig lab.yaml --yes --json
    """
    console = message_console()
    loaded = load_rig(choose_rig(rig, console))
    report = check_instrument(loaded, asking(yes), TerminalObserver(console))
    typer.echo(json.dumps(report.to_dict()) if as_json else "fit to run")
