"""``macrorail calibrate backlash``: measure the backlash of the rail's screw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from macrorail.cli.messages import message_console
from macrorail.cli.permission import YES_HELP, asking
from macrorail.cli.rigs import RIG_HELP, choose_rig
from macrorail.cli.terminal import TerminalObserver
from macrorail.quantity import format_length
from macrorail.session.calibrate import calibrate_backlash


def backlash(
    rig: Annotated[Path | None, typer.Option(help=RIG_HELP)] = None,
    repeats: Annotated[int, typer.Option(min=1, help="number of measurements")] = 5,
    yes: Annotated[bool, typer.Option("--yes", help=YES_HELP)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the results as JSON")] = False,
) -> None:
    """Measure the backlash between screw and carriage, and print the line for the rig file.

    The rail closes its home switch and reverses step by step until the switch opens, so the rail
    stays far from the specimen. The result includes the travel of the switch itself, which is a few
    micrometres for an optical switch. Measure with the same load and slope as in your runs.

    Examples:

      macrorail calibrate backlash --rig lab.yaml

      macrorail calibrate backlash --rig lab.yaml --repeats 20 --yes --json
    """
    console = message_console()
    found = calibrate_backlash(
        choose_rig(rig, console), repeats, asking(yes), TerminalObserver(console)
    )
    low_um, high_um = min(found.measured_um), max(found.measured_um)
    line = f"backlash: {found.overshoot_um} um"
    console.print(
        f"play {format_length(found.mean_um)} ({format_length(low_um)} to "
        f"{format_length(high_um)}); for the rig file's axis section:",
        markup=False,
    )
    findings = {
        "play_um": found.mean_um,
        "lowest_um": low_um,
        "highest_um": high_um,
        "measured_um": found.measured_um,
        "backlash": f"{found.overshoot_um} um",
    }
    typer.echo(json.dumps(findings) if as_json else line)
