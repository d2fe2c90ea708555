"""``macrorail firmware info``: version, last reset and inputs of the rail's board."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from macrorail.cli.messages import message_console
from macrorail.cli.permission import axis_of
from macrorail.cli.rigs import RIG_HELP
from macrorail.devices.rail.codes import CAUSES
from macrorail.devices.rail.wire import WIRE_VERSION
from macrorail.quantity import format_length
from macrorail.session.axis import serial_rail

_INPUTS = ("home switch", "far switch", "emergency stop")


def info(
    rig: Annotated[Path | None, typer.Option(help=RIG_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the results as JSON")] = False,
) -> None:
    """Show the firmware version of the rail's board, the cause of its last reset, and its inputs.

    Nothing moves. To test the wiring, press a switch and run this command again.

    Examples:

      macrorail firmware info --rig lab.yaml

      macrorail firmware info --rig lab.yaml --json
    """
    with axis_of(rig, message_console()) as (axis, report):
        rail = serial_rail(axis, "firmware info")
        greeting, status = rail.inspect()
        shots = rail.shots()
    pressed = [name for bit, name in enumerate(_INPUTS) if status.inputs & 1 << bit]
    kept_um = None if greeting.kept is None else greeting.kept * report.resolution_um
    if as_json:
        found = {
            "firmware": greeting.version,
            "wire": WIRE_VERSION,
            "reset_cause": greeting.cause,
            "kept_um": kept_um,
            "pressed": pressed,
            "shots": asdict(shots),
        }
        typer.echo(json.dumps(found))
        return
    kept = "not known" if kept_um is None else format_length(kept_um, 6)
    typer.echo(f"firmware   {greeting.version}, wire {WIRE_VERSION}")
    typer.echo(f"last reset {CAUSES[greeting.cause]}")
    typer.echo(f"position   {kept} when the power went; home it before it moves")
    typer.echo(f"pressed    {', '.join(pressed) or 'no switch'}")
    typer.echo(f"hot shoe   closed {shots.contacts} times since the reset")
