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
    """An image for the board.

    Attributes
    ----------
    hex
        Path of the Intel HEX file.
    flash_bytes, ram_bytes
        Memory of the chip that it takes; the stack comes on top of the RAM.
    """

    hex: str
    flash_bytes: int
    ram_bytes: int


class BoardKind(StrEnum):
    """Boards, which differ in the speed of their bootloader."""

    UNO = "uno"
    NANO = "nano"
    OLD_NANO = "old-nano"


_BAUD = {BoardKind.UNO: 115_200, BoardKind.NANO: 115_200, BoardKind.OLD_NANO: 57_600}


def build_firmware(watchdog: bool = False) -> FirmwareImage:
    """Build the image for an Arduino Uno or Nano; needs avr-gcc and make.

    Parameters
    ----------
    watchdog
        Reset a program that hangs; not for Nanos with the old bootloader.

    Raises
    ------
    ConfigError
        The toolchain or the sources are missing, or the build fails.
    """
    missing = [tool for tool in ("avr-gcc", "make") if shutil.which(tool) is None]
    if missing:
        raise ConfigError(
            f"building the firmware needs {' and '.join(missing)}; install it (Debian: apt install "
            f"gcc-avr avr-libc binutils-avr make), or open firmware/macrorail in the Arduino IDE"
        )
    if not (FIRMWARE / "Makefile").is_file():
        raise ConfigError(
            f"the firmware's sources are not at {FIRMWARE}; install macrorail from its checkout "
            f"with 'pip install -e .'"
        )
    # A folder for each set of flags: make does not notice that flags have changed.
    output = BUILD / ("watchdog" if watchdog else "plain")
    command = ["make", "-s", "-C", str(FIRMWARE), "avr", f"BUILD={output}"]
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
    return FirmwareImage(str(output / "macrorail.hex"), int(used[1]), int(used[2]))


def flash_firmware(port: str, board: BoardKind, image: Path | None, permit: Permit) -> str:
    """Write an image to the board and read it back; returns the image's path.

    Parameters
    ----------
    port
        The board's serial port.
    image
        Intel HEX file; built from the sources when not given.
    permit
        Asked before the board is written: its motor has no current meanwhile.

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
        f"This replaces the program on the board at {port}. The motor has no current meanwhile: a "
        f"carriage on a vertical rail comes down."
    )
    command = ["avrdude", "-q", "-p", "m328p", "-c", "arduino", "-P", port, "-b", str(_BAUD[board])]
    command += ["-D", "-U", f"flash:w:{file}:i"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ConnectError(
            f"'{' '.join(command)}' failed; check port and board (--board old-nano for Nanos from "
            f"before 2018), and that no other program has the port open. It said:\n"
            f"{done.stderr.strip()}"
        )
    return file
