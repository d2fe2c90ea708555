"""``macrorail firmware flash``: the image onto the board, with avrdude."""

from __future__ import annotations

import shutil
import subprocess
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from macrorail.cli.firmware.build import build_image
from macrorail.cli.messages import message_console
from macrorail.errors import ConfigError, ConnectError, OperatorStop


class BoardKind(StrEnum):
    """Boards, which differ in their bootloader's speed."""

    UNO = "uno"
    NANO = "nano"
    OLD_NANO = "old-nano"


_BAUD = {BoardKind.UNO: 115_200, BoardKind.NANO: 115_200, BoardKind.OLD_NANO: 57_600}


def flash(
    port: Annotated[str, typer.Option(help="the board's serial port, such as /dev/ttyACM0")],
    board: Annotated[BoardKind, typer.Option(help="what board it is")] = BoardKind.UNO,
    image: Annotated[
        Path | None, typer.Option("--hex", help="flash this file instead of building one")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask; for scripts")] = False,
) -> None:
    """Build the firmware and write it to the board. Asks first: the motor loses its current.

    A carriage on a vertical rail comes down then: support it before.

    Examples:

      macrorail firmware flash --port /dev/ttyACM0

      macrorail firmware flash --port /dev/ttyUSB0 --board old-nano --yes
    """
    if image is not None and not image.is_file():
        raise ConfigError(f"there is no file {image}")
    if shutil.which("avrdude") is None:
        raise ConfigError("flashing needs avrdude; install it (Debian: apt install avrdude)")
    file = str(image) if image is not None else build_image(watchdog=False).hex
    question = (
        f"This replaces the program on the board at {port}. The motor has no current meanwhile: a "
        f"carriage on a vertical rail comes down. Flash now?"
    )
    if not yes and not typer.confirm(question, err=True):
        raise OperatorStop("nothing was flashed")
    command = ["avrdude", "-q", "-p", "m328p", "-c", "arduino", "-P", port, "-b", str(_BAUD[board])]
    command += ["-D", "-U", f"flash:w:{file}:i"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ConnectError(
            f"'{' '.join(command)}' failed; check port and board (--board old-nano for Nanos from "
            f"before 2018), and that no other program has the port open. It said:\n"
            f"{done.stderr.strip()}"
        )
    message_console().print("Flashed and read back. 'macrorail firmware info' asks the board.")
    typer.echo(file)
