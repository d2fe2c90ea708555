"""``macrorail home``: home the axis, away from the specimen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from macrorail.cli.messages import message_console
from macrorail.cli.permission import YES_HELP, asking, axis_of
from macrorail.cli.rigs import RIG_HELP
from macrorail.quantity import format_length
from macrorail.session.axis import reach_of


def home(
    rig: Annotated[Path | None, typer.Option(help=RIG_HELP)] = None,
    yes: Annotated[bool, typer.Option("--yes", help=YES_HELP)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the position as JSON")] = False,
) -> None:
    """Home the axis: a rail at its home switch, a lens at its near stop.

    The axis moves away from the specimen, after permission was given. The position after homing is
    printed.

    Examples:

      macrorail home --rig lab.yaml

      macrorail home --rig lab.yaml --yes --json
    """
    with axis_of(rig, message_console()) as (axis, report):
        asking(yes)(f"This homes the axis, away from the specimen. {reach_of(report)}")
        position_um = axis.home()
    typer.echo(
        json.dumps({"position_um": position_um}) if as_json else format_length(position_um, 6)
    )
