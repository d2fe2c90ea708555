"""``macrorail check``: connect an instrument and tell whether it is fit to run."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from macrorail.cli.messages import message_console
from macrorail.cli.rigs import RIG_HELP, choose_rig
from macrorail.config.rig import load_rig
from macrorail.devices.connect import Instrument, connect
from macrorail.errors import OperatorStop
from macrorail.frame import verify_frame
from macrorail.quantity import format_length, format_size
from macrorail.session.signals import stopped_by_signals


def check(
    rig: Annotated[Path | None, typer.Option(help=RIG_HELP)] = None,
    yes: Annotated[bool, typer.Option("--yes", help="move without asking; for scripts")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the findings as JSON")] = False,
) -> None:
    """Connect, read versions, home, check the limits and take one test frame.

    Says what it will move and asks first. The test frame is thrown away.

    Examples:

      macrorail check --rig lab.yaml

      macrorail check --rig lab.yaml --yes --json
    """
    console = message_console()
    loaded = load_rig(choose_rig(rig, console))
    low_um, high_um = loaded.axis.allowed_um
    then = "" if loaded.stage is None else "then the stage, "

    def permit() -> None:
        question = (
            f"This homes the axis, away from the specimen, {then}and takes one picture. It never "
            f"goes beyond {format_length(high_um)}. Move now?"
        )
        if not yes and not typer.confirm(question, err=True):
            raise OperatorStop("nothing has moved")

    with connect(loaded) as instrument, stopped_by_signals(instrument.clock):
        findings = examine(instrument, permit, console)
    findings["travel_um"] = [low_um, high_um]
    typer.echo(json.dumps(findings) if as_json else "fit to run")


def examine(instrument: Instrument, permit: Callable[[], None], console: Console) -> dict[str, Any]:
    """Go through the instrument, device by device.

    Parameters
    ----------
    permit
        Called before anything moves; raises when it may not.

    Returns
    -------
    dict
        What was found, as JSON values.
    """
    axis = instrument.axis.open()
    low_um, high_um = axis.travel_um
    told = "estimated" if axis.estimated else "proven by the device"
    console.print(
        f"axis    {axis.model}, {axis.version}; {format_length(low_um)} to "
        f"{format_length(high_um)} in steps of {format_length(axis.resolution_um)}, positions "
        f"{told}",
        markup=False,
    )
    camera = instrument.camera.open()
    battery = "" if camera.battery_percent is None else f", battery {camera.battery_percent} %"
    console.print(
        f"camera  {camera.model} {camera.version}, serial {camera.serial}{battery}", markup=False
    )
    for warning in camera.warnings:
        console.print(f"        [yellow]{escape(warning)}[/]")
    stage = None if instrument.stage is None else instrument.stage.open()
    if stage is not None:
        console.print(f"stage   {stage}", markup=False)
    permit()
    home_um = instrument.axis.home()
    console.print(f"home    found at {format_length(home_um)}", markup=False)
    if instrument.stage is not None:
        # Only now: the focus axis is out of its way.
        instrument.stage.home()
        console.print("stage   home found on all its axes", markup=False)
    with tempfile.TemporaryDirectory(prefix="macrorail-check-") as folder:
        exposure = instrument.camera.expose(Path(folder) / "test")
        frame = instrument.camera.collect(exposure)
        verify_frame(frame)
    console.print(
        f"frame   {frame.camera_name}, {format_size(frame.size_bytes)}, whole", markup=False
    )
    return {
        "axis": {
            "model": axis.model,
            "version": axis.version,
            "resolution_um": axis.resolution_um,
            "estimated": axis.estimated,
            "home_um": home_um,
        },
        "stage": stage,
        "camera": {
            "model": camera.model,
            "version": camera.version,
            "serial": camera.serial,
            "battery_percent": camera.battery_percent,
            "abilities": sorted(camera.abilities),
            "warnings": list(camera.warnings),
        },
        "frame": {"name": frame.camera_name, "size_bytes": frame.size_bytes},
    }
