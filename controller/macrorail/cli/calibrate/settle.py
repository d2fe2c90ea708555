"""``macrorail calibrate settle``: how long to wait after a move, measured with the camera."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from macrorail.calibration.settle import LONG_S, WAITS_S, SettleCalibration
from macrorail.cli.messages import message_console
from macrorail.cli.moving import YES_HELP, ask_first
from macrorail.cli.rigs import RIG_HELP
from macrorail.config.rig import load_rig
from macrorail.config.rig_text import with_settle
from macrorail.devices.connect import connect
from macrorail.devices.interfaces import Camera
from macrorail.errors import ConfigError, MacrorailError
from macrorail.proof.measure import Measurement, measure
from macrorail.quantity import format_length, parse_length
from macrorail.run_folder.journal import write_whole
from macrorail.session.signals import stopped_by_signals


def settle(
    rig: Annotated[Path, typer.Option(help=RIG_HELP.split(";")[0])],
    at: Annotated[str, typer.Option(help="where something with texture is in focus, 21.5mm")],
    move: Annotated[str, typer.Option(help="how far the axis moves before each picture")] = "100um",
    repeats: Annotated[int, typer.Option(min=2, help="pictures for each wait")] = 4,
    aperture: Annotated[str | None, typer.Option(help="such as f/5.6")] = None,
    shutter: Annotated[str | None, typer.Option(help="as it will be used: 1/60s")] = None,
    iso: Annotated[str | None, typer.Option(help="such as 100")] = None,
    write: Annotated[
        bool, typer.Option("--write/--no-write", help="store it in the rig file")
    ] = True,
    yes: Annotated[bool, typer.Option("--yes", help=YES_HELP)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print what was found as JSON")] = False,
) -> None:
    """Measure how long the instrument trembles after a move, and store it in the rig file.

    Pictures after shorter and shorter waits are compared with pictures after a long one; the
    shortest wait that cannot be told from it is stored as the axis's 'settle'. Protocols that say
    'settle: measured' use it. Measure with the shutter and the load of your runs: a flash freezes
    what a long exposure smears.

    Examples:

      macrorail calibrate settle --rig lab.yaml --at 21.5mm --shutter 1/10s

      macrorail calibrate settle --rig lab.yaml --at 21.5mm --no-write --yes --json
    """
    console = message_console()
    at_um, move_um = _length("--at", at), _length("--move", move)
    loaded = load_rig(rig)
    low_um, high_um = loaded.axis.allowed_um
    if not (low_um <= at_um - move_um and at_um <= high_um and move_um > 0):
        raise ConfigError(
            f"--at {format_length(at_um)} with moves of {format_length(move_um)} is not within "
            f"{format_length(low_um)} to {format_length(high_um)}, where the axis may go"
        )
    wanted = {"aperture": aperture, "shutter": shutter, "iso": iso}
    settings = {key: value for key, value in wanted.items() if value is not None}
    with (
        connect(loaded) as instrument,
        stopped_by_signals(instrument.clock),
        tempfile.TemporaryDirectory(prefix="macrorail-settle-") as folder,
    ):
        axis = instrument.axis
        instrument.camera.open()
        report = axis.open()
        pictures = (len(WAITS_S) + 2) * repeats
        ask_first(
            f"This homes the axis, goes to {format_length(at_um)} and takes up to {pictures} "
            f"pictures.",
            report,
            yes,
        )
        instrument.camera.configure(settings)
        try:
            axis.home()
            found = SettleCalibration(
                axis,
                instrument.clock,
                lambda: _look(instrument.camera, Path(folder)),
                at_um,
                move_um,
                repeats,
                lambda text: console.print(text, markup=False),
            ).measure()
        except (MacrorailError, KeyboardInterrupt):
            axis.stop()
            raise
    line = f"settle: {math.ceil(found.settle_s * 1000)} ms"
    if write:
        write_whole(rig, with_settle(rig.read_text(encoding="utf-8"), line))
        console.print(
            f"stored in {rig}, axis: {line}; use it with 'settle: measured'", markup=False
        )
    if found.settle_s == WAITS_S[-1]:
        console.print(
            f"Only the longest wait tried was enough (compared with {LONG_S:g} s).", markup=False
        )
    typer.echo(json.dumps({**asdict(found), "settle": line}) if as_json else line)


def _look(camera: Camera, folder: Path) -> Measurement:
    frame = camera.collect(camera.expose(folder / "look"))
    try:
        return measure(frame.path)
    finally:
        for path in folder.iterdir():
            path.unlink()


def _length(option: str, written: str) -> float:
    try:
        return parse_length(written)
    except ValueError as error:
        raise ConfigError(f"{option} {error}") from error
