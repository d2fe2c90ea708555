"""``macrorail calibrate settle``: measure how long to wait after a move."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from macrorail.cli.messages import message_console
from macrorail.cli.options import camera_settings, parse_option
from macrorail.cli.permission import YES_HELP, asking
from macrorail.cli.rigs import RIG_HELP
from macrorail.cli.terminal import TerminalObserver
from macrorail.config.rig import load_rig
from macrorail.config.rig_edit import with_settle
from macrorail.quantity import parse_length
from macrorail.run_folder.journal import write_whole
from macrorail.session.calibrate import calibrate_settle


def settle(
    rig: Annotated[Path, typer.Option(help=RIG_HELP.split(";")[0])],
    at: Annotated[
        str, typer.Option(help="position at which a textured object is in focus, such as 21.5mm")
    ],
    move: Annotated[str, typer.Option(help="axis movement before each picture")] = "100um",
    repeats: Annotated[int, typer.Option(min=2, help="pictures for each waiting time")] = 4,
    aperture: Annotated[str | None, typer.Option(help="such as f/5.6")] = None,
    shutter: Annotated[
        str | None, typer.Option(help="exposure time of your runs, such as 1/60s")
    ] = None,
    iso: Annotated[str | None, typer.Option(help="such as 100")] = None,
    write: Annotated[
        bool, typer.Option("--write/--no-write", help="store the result in the rig file")
    ] = True,
    yes: Annotated[bool, typer.Option("--yes", help=YES_HELP)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the results as JSON")] = False,
) -> None:
    """Measure how long the instrument vibrates after a move, and store it in the rig file.

    Pictures after shorter and shorter waiting times are compared with pictures after a long wait.
    The shortest waiting time without a visible difference is stored as the axis's 'settle', which
    protocols with 'settle: measured' use. Measure with the exposure time and the load of your
    runs: a flash freezes the vibration that would blur a long exposure.

    Examples:

      macrorail calibrate settle --rig lab.yaml --at 21.5mm --shutter 1/10s

      macrorail calibrate settle --rig lab.yaml --at 21.5mm --no-write --yes --json
    """
    console = message_console()
    found = calibrate_settle(
        load_rig(rig),
        parse_option("--at", at, parse_length),
        parse_option("--move", move, parse_length),
        repeats,
        camera_settings(aperture, shutter, iso),
        asking(yes),
        TerminalObserver(console),
    )
    line = f"settle: {math.ceil(found.settle_s * 1000)} ms"
    if write:
        write_whole(rig, with_settle(rig.read_text(encoding="utf-8"), line))
        console.print(
            f"stored in {rig}, axis: {line}; use it with 'settle: measured'", markup=False
        )
    typer.echo(json.dumps({**asdict(found), "settle": line}) if as_json else line)
