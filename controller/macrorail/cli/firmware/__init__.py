"""``macrorail firmware``: build, flash and test the program on the rail's board."""

from __future__ import annotations

import typer

from macrorail.cli.firmware.build import build
from macrorail.cli.firmware.flash import flash
from macrorail.cli.firmware.info import info
from macrorail.cli.firmware.shutter import shutter

firmware = typer.Typer(
    name="firmware", help="Build, flash and test the program on the rail's board.",
    no_args_is_help=True,
)  # fmt: skip
for verb in (build, flash, info, shutter):
    firmware.command()(verb)
