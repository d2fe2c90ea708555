"""``macrorail calibrate backlash``: the play of the rail's screw, by its home switch."""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import mean
from typing import Annotated

import typer

from macrorail.cli.messages import message_console
from macrorail.cli.moving import YES_HELP, ask_first, opened_axis, our_rail
from macrorail.cli.rigs import RIG_HELP
from macrorail.quantity import format_length

#: An overshoot longer than the play costs a moment; a shorter one costs the position.
_MARGIN = 1.5


def backlash(
    rig: Annotated[Path | None, typer.Option(help=RIG_HELP)] = None,
    repeats: Annotated[int, typer.Option(min=1, help="how often to measure")] = 5,
    yes: Annotated[bool, typer.Option("--yes", help=YES_HELP)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print what was found as JSON")] = False,
) -> None:
    """Measure the play between screw and carriage, and tell what to write into the rig file.

    Touches the home switch and turns back a step at a time until it opens, so nothing comes near
    the specimen. What the switch needs to open by itself is in the figure; with an optical switch
    that is a few micrometres. Measure as the rail will be used: with its load, at its slope.

    Examples:

      macrorail calibrate backlash --rig lab.yaml

      macrorail calibrate backlash --rig lab.yaml --repeats 20 --yes --json
    """
    console = message_console()
    with opened_axis(rig, console) as (axis, report):
        rail = our_rail(axis, "calibrate backlash")
        ask_first(f"This touches the rail's home switch {repeats} times.", report, yes)
        found_um = []
        for number in range(1, repeats + 1):
            found_um.append(rail.measure_play())
            console.print(f"{number}: {format_length(found_um[-1])}", markup=False)
        rail.home()
    wanted_um = math.ceil(max(found_um) * _MARGIN + 2 * report.resolution_um)
    findings = {
        "play_um": mean(found_um),
        "lowest_um": min(found_um),
        "highest_um": max(found_um),
        "measured_um": found_um,
        "backlash": f"{wanted_um} um",
    }
    console.print(
        f"play {format_length(mean(found_um))} ({format_length(min(found_um))} to "
        f"{format_length(max(found_um))}); for the rig file's axis section:",
        markup=False,
    )
    typer.echo(json.dumps(findings) if as_json else f"backlash: {wanted_um} um")
