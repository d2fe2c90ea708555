"""``macrorail firmware build``: the image for the board, from the sources that came along."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from macrorail.cli.messages import message_console
from macrorail.errors import ConfigError
from macrorail.shipped import BUILD, FIRMWARE


@dataclass(frozen=True)
class Image:
    """An image for the board.

    Attributes
    ----------
    hex
        Its file.
    flash_bytes, ram_bytes
        What it takes of the chip; the stack comes on top of the RAM.
    """

    hex: str
    flash_bytes: int
    ram_bytes: int


def build(
    watchdog: Annotated[
        bool, typer.Option("--watchdog", help="reset a program that hangs; not for old Nanos")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print file and memory use as JSON")
    ] = False,
) -> None:
    """Build the firmware for an Arduino Uno or Nano; prints the image's file.

    Needs avr-gcc. The same sources open in the Arduino IDE too: firmware/macrorail.

    Examples:

      macrorail firmware build

      macrorail firmware build --watchdog --json
    """
    image = build_image(watchdog)
    message_console().print(
        f"flash {image.flash_bytes} bytes, RAM {image.ram_bytes} bytes before the stack"
    )
    typer.echo(json.dumps(asdict(image)) if as_json else image.hex)


def firmware_folder() -> Path:
    """Where the sources are.

    Raises
    ------
    ConfigError
        macrorail is installed without them.
    """
    folder = FIRMWARE
    if not (folder / "Makefile").is_file():
        raise ConfigError(
            f"the firmware's sources are not at {folder}; install macrorail from its checkout with "
            f"'pip install -e .'"
        )
    return folder


def build_image(watchdog: bool) -> Image:
    """Build it, whatever was built before.

    Raises
    ------
    ConfigError
        The toolchain is missing, or says no.
    """
    missing = [tool for tool in ("avr-gcc", "make") if shutil.which(tool) is None]
    if missing:
        raise ConfigError(
            f"building the firmware needs {' and '.join(missing)}; install it (Debian: apt install "
            f"gcc-avr avr-libc binutils-avr make), or open firmware/macrorail in the Arduino IDE"
        )
    folder = firmware_folder()
    # A build with other flags leaves objects that make would take for fresh.
    output = BUILD / ("watchdog" if watchdog else "plain")
    command = ["make", "-s", "-C", str(folder), "avr", f"BUILD={output}"]
    made = subprocess.run(
        [*command, "WATCHDOG=1"] if watchdog else command,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise ConfigError(f"'{' '.join(command)}' said:\n{made.stderr.strip()}")
    used = re.search(r"flash (\d+) of .* RAM (\d+) of", made.stdout)
    assert used is not None, made.stdout
    return Image(str(output / "macrorail.hex"), int(used[1]), int(used[2]))
