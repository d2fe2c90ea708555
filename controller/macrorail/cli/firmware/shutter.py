"""``macrorail firmware shutter``: release the shutter once, and check the hot shoe's contact."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from macrorail.cli.messages import message_console
from macrorail.cli.permission import asking, axis_of
from macrorail.cli.rigs import RIG_HELP
from macrorail.errors import ConfigError
from macrorail.quantity import format_duration, parse_duration
from macrorail.session.axis import serial_rail

_FOCUS_S = 0.3
_FLASH_LATEST_S = 1.0


def shutter(
    rig: Annotated[Path | None, typer.Option(help=RIG_HELP)] = None,
    press: Annotated[str, typer.Option(help="duration of the release, such as 200ms")] = "200ms",
    yes: Annotated[bool, typer.Option("--yes", help="do not ask; for scripts")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the results as JSON")] = False,
) -> None:
    """Release the shutter once through the cable, to test the wiring of cable and hot shoe.

    Nothing moves.

    Examples:

      macrorail firmware shutter --rig lab.yaml

      macrorail firmware shutter --rig lab.yaml --press 2s --yes --json
    """
    try:
        press_s = parse_duration(press)
    except ValueError as error:
        raise ConfigError(f"--press {error}") from error
    asking(yes, "Press now?", "no picture was taken")("This takes a picture.")
    with axis_of(rig, message_console()) as (axis, _):
        rail = serial_rail(axis, "firmware shutter")
        before = rail.shots()
        shots = rail.expose(_FOCUS_S, press_s, _FLASH_LATEST_S)
    seen = (shots.contacts - before.contacts) % 65536
    if as_json:
        typer.echo(json.dumps({**asdict(shots), "seen": seen}))
        return
    delay_s = (shots.contact_us - shots.closed_us) % 2**31 / 1e6
    typer.echo(f"pressed for {format_duration(shots.lasted_us / 1e6)}")
    contact = f"closed {format_duration(delay_s)} after the press" if seen else "did not close"
    typer.echo(f"the hot shoe {contact}")
