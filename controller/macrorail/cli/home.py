"""``macrorail home``: find the axis's reference, away from the specimen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from macrorail.cli.messages import message_console
from macrorail.cli.moving import YES_HELP, ask_first, opened_axis
from macrorail.cli.rigs import RIG_HELP
from macrorail.quantity import format_length


def home(
    rig: Annotated[Path | None, typer.Option(help=RIG_HELP)] = None,
    yes: Annotated[bool, typer.Option("--yes", help=YES_HELP)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the position as JSON")] = False,
) -> None:
    """Find the axis's reference: a rail's home switch, a lens's near stop.

    Goes away from the specimen; prints where the axis rests then. Asks first.

    Examples:

      macrorail home --rig lab.yaml

      macrorail home --rig lab.yaml --yes --json
    """
    with opened_axis(rig, message_console()) as (axis, report):
        ask_first("This homes the axis, away from the specimen.", report, yes)
        position_um = axis.home()
    typer.echo(
        json.dumps({"position_um": position_um}) if as_json else format_length(position_um, 6)
    )
