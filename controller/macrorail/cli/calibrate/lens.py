"""``macrorail calibrate lens``: measure a lens with a tilted ruling and write its lens file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from macrorail.cli.messages import message_console
from macrorail.cli.options import camera_settings, parse_option
from macrorail.cli.permission import asking
from macrorail.cli.rigs import RIG_HELP
from macrorail.cli.terminal import TerminalObserver
from macrorail.config.lens_file import lens_file_text
from macrorail.config.rig import load_rig
from macrorail.errors import ConfigError
from macrorail.quantity import parse_angle, parse_length
from macrorail.run_folder.journal import write_whole
from macrorail.session.calibrate import LensTarget, calibrate_lens


def lens(
    rig: Annotated[Path, typer.Option(help=RIG_HELP.split(";")[0])],
    pitch: Annotated[str, typer.Option(help="distance between lines on the target, such as 100um")],
    tilt: Annotated[
        str, typer.Option(help="angle of the target to the plane of focus, such as 60deg")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="the lens file to write")],
    name: Annotated[str, typer.Option(help="name of the lens")] = "measured lens",
    every: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="motor steps between pictures; when not given 200, or 30 of the camera's smallest "
            "drives",
        ),
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(
            help="last motor step; when not given, where the target, the picture or the lens's "
            "travel ends"
        ),
    ] = None,
    largest_drive: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="largest number of motor steps in one drive, which should take about half a "
            "second; when not given 500, or 60 of the camera's smallest drives",
        ),
    ] = None,
    aperture: Annotated[
        str | None, typer.Option(help="such as f/2.8; the widest aperture is most precise")
    ] = None,
    shutter: Annotated[str | None, typer.Option(help="such as 1/60s")] = None,
    iso: Annotated[str | None, typer.Option(help="such as 100")] = None,
    live_view: Annotated[
        bool, typer.Option("--live-view", help="measure in live view, without shutter actuations")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="drive without asking; for scripts")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print the results instead of the file's path")
    ] = False,
) -> None:
    """Measure the plane of focus of a lens for each motor step, its breathing and its play.

    Place a plate with straight parallel lines (a ruling, millimetre paper) in front of the camera.
    The lines run from left to right. Tilt the plate so that the lines at one side of the picture
    are sharp when the lens is at its near stop. The rig's axis is not used, so any rig with this
    camera can be given. For a camera with fixed drive sizes (such as a Canon EOS), a step is the
    smallest drive, and larger drives are measured in such steps.

    Examples:

      macrorail calibrate lens --rig lab.yaml --pitch 100um --tilt 60deg -o my-105mm.yaml

      macrorail calibrate lens --rig lab.yaml --pitch 1mm --tilt 45deg --last 2000 -o wide.yaml
    """
    console = message_console()
    target = LensTarget(
        parse_option("--pitch", pitch, parse_length),
        parse_option("--tilt", tilt, parse_angle),
        every,
        last,
        largest_drive,
        live_view,
    )
    if out.exists():
        raise ConfigError(f"{out} exists already; give another file with -o, or delete {out} first")
    found = calibrate_lens(
        load_rig(rig),
        target,
        camera_settings(aperture, shutter, iso),
        asking(yes, "Continue?"),
        TerminalObserver(console),
    )
    measured = found.measured
    comment = (
        f"Measured by 'macrorail calibrate lens' with {found.camera.model}: lines {pitch}, tilt "
        f"{tilt}.\nPlay {measured.slack_steps:.2f} steps, give or take "
        f"{measured.slack_spread_steps:.2f}; at the near stop {measured.px_per_um:.6f} pixels per "
        f"um."
    )
    write_whole(out, lens_file_text(measured.to_lens_file(name, found.largest_drive), comment))
    typer.echo(json.dumps(asdict(measured)) if as_json else str(out))
