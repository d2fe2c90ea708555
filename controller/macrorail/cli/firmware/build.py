"""``macrorail firmware build``: build the image for the board from the shipped sources."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from macrorail.cli.messages import message_console
from macrorail.session.firmware import build_firmware


def build(
    watchdog: Annotated[
        bool,
        typer.Option(
            "--watchdog", help="let the watchdog reset a program that hangs; not for old Nanos"
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print file and memory use as JSON")
    ] = False,
) -> None:
    """Build the firmware for an Arduino Uno or Nano, and print the path of the image.

    The build needs avr-gcc. The Arduino IDE can open the same sources: firmware/macrorail.

    Examples:

      macrorail firmware build

      macrorail firmware build --watchdog --json
    """
    image = build_firmware(watchdog)
    message_console().print(
        f"flash {image.flash_bytes} bytes, RAM {image.ram_bytes} bytes without the program's stack"
    )
    typer.echo(json.dumps(asdict(image)) if as_json else image.hex)
