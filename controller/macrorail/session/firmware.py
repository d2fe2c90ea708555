"""Builds the firmware and writes it to the rail's board."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from macrorail.errors import ConfigError, ConnectError
from macrorail.session.axis import Permit
from macrorail.shipped import BUILD, FIRMWARE


@dataclass(frozen=True)
class FirmwareImage:
    """A firmware image for the board.

    Attributes
    ----------
    hex
        Path of the Intel HEX file.
    flash_bytes, ram_bytes
        Flash and RAM that the program uses; the RAM does not include the program's stack.
    """

    hex: str
    flash_bytes: int
    ram_bytes: int


class BoardKind(StrEnum):
    """The supported boards, whose bootloaders use different serial speeds."""

    UNO = "uno"
    NANO = "nano"
    OLD_NANO = "old-nano"


_BAUD = {BoardKind.UNO: 115_200, BoardKind.NANO: 115_200, BoardKind.OLD_NANO: 57_600}


def build_firmware(watchdog: bool = False) -> FirmwareImage:
    """Build the image for an Arduino Uno or Nano and return it; avr-gcc and make are required.

    Parameters
    ----------
    watchdog
        Let the watchdog reset the board when the program hangs; unsuitable for Nanos with the old
        bootloader.

    Raises
    ------
    ConfigError
        The toolchain or the sources are missing, or the build fails.
    """
    missing = [tool for tool in ("avr-gcc", "make") if shutil.which(tool) is None]
    if missing:
        raise ConfigError(
            f"building the firmware needs {' and '.join(missing)}. Install the tools (Debian: apt "
            f"install gcc-avr avr-libc binutils-avr make), or open firmware/macrorail in the "
            f"Arduino IDE"
        )
    if not (FIRMWARE / "Makefile").is_file():
        raise ConfigError(
            f"the firmware's sources are not at {FIRMWARE}; install macrorail from its checkout "
            f"with 'pip install -e .'"
        )
    # Each set of flags has its own folder, because make does not notice changed flags.
    output = BUILD / ("watchdog" if watchdog else "plain")
    command = ["make", "-s", "-C", str(FIRMWARE), "avr", f"BUILD={output}"]
    made = subprocess.run(
        [*command, "WATCHDOG=1"] if watchdog else command,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise ConfigError(f"'{' '.join(command)}' failed:\n{made.stderr.strip()}")
    used = re.search(r"flash (\d+) of .* RAM (\d+) of", made.stdout)
    assert used is not None, made.stdout
    return FirmwareImage(str(output / "macrorail.hex"), int(used[1]), int(used[2]))


def flash_firmware(port: str, board: BoardKind, image: Path | None, permit: Permit) -> str:
    """Write a firmware image to the board, verify it, and return the path of the image file.

    Parameters
    ----------
    port
        Serial port of the board.
    board
        Kind of board.
    image
        Intel HEX file; built from the sources when not given.
    permit
        Called before the image is written; the motor has no current during writing.

    Raises
    ------
    ConfigError
        A tool or the image is missing.
    ConnectError
        avrdude does not reach the board.
    """
    if image is not None and not image.is_file():
        raise ConfigError(f"there is no file {image}")
    if shutil.which("avrdude") is None:
        raise ConfigError("flashing needs avrdude; install it (Debian: apt install avrdude)")
    file = str(image) if image is not None else build_firmware().hex
    permit(
        f"This replaces the program on the board at {port}. The motor has no current during this "
        f"time, so the carriage of a vertical rail moves down."
    )
    command = ["avrdude", "-q", "-p", "m328p", "-c", "arduino", "-P", port, "-b", str(_BAUD[board])]
    command += ["-D", "-U", f"flash:w:{file}:i"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ConnectError(
            f"'{' '.join(command)}' failed. Check port and board (--board old-nano for Nanos from "
            f"before 2018). Check that no other program has the port open. The output was:\n"
            f"{done.stderr.strip()}"
        )
    return file
