"""``macrorail firmware flash``: write the image to the board with avrdude."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from macrorail.cli.messages import message_console
from macrorail.cli.permission import asking
from macrorail.session.firmware import BoardKind, flash_firmware


def flash(
    port: Annotated[str, typer.Option(help="the board's serial port, such as /dev/ttyACM0")],
    board: Annotated[BoardKind, typer.Option(help="kind of board")] = BoardKind.UNO,
    image: Annotated[
        Path | None, typer.Option("--hex", help="flash this file instead of building one")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask; for scripts")] = False,
) -> None:
    """Build the firmware and write it to the board, after asking for permission.

    The motor has no current during writing. Support the carriage of a vertical rail before, because
    it moves down.

    Examples:

      macrorail firmware flash --port /dev/ttyACM0

      macrorail firmware flash --port /dev/ttyUSB0 --board old-nano --yes
    """
    file = flash_firmware(port, board, image, asking(yes, "Flash now?", "nothing was flashed"))
    message_console().print(
        "Written and read back. Check the board with 'macrorail firmware info'."
    )
    typer.echo(file)
