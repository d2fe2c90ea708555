"""The focus axes that the conformance suite runs on, each in a world of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controller.clock import Clock, WorldClock
from controller.drivers.rail import SerialRail
from controller.interfaces import Context, FocusAxis
from sims.board import Board
from sims.carriage import Carriage
from sims.clock import VirtualClock
from sims.firmware_avr import AvrBoard
from sims.firmware_native import NativeBoard
from sims.firmware_process import FirmwareProcess
from sims.virtual_port import VirtualPort


@dataclass(frozen=True)
class AxisWorld:
    """An axis and the world that it lives in.

    Attributes
    ----------
    make
        A new driver for the same axis, not opened.
    clock
        The world's clock.
    true_position_um
        Where the axis truly is.
    slack_um
        How far the truth may lie below the position that the driver says.
    """

    make: Callable[[], FocusAxis]
    clock: Clock
    true_position_um: Callable[[], float]
    slack_um: float


PLAY_UM = 10.0


def rail_options(**changes: Any) -> SerialRail.Options:
    """A rail as a rig file would have it."""
    keys: dict[str, Any] = {
        "driver": "controller.drivers.rail:SerialRail",
        "port": "bench",
        "travel": {"from": "1 mm", "to": "60 mm"},
        "closest_approach": "45 mm",
        "speed": "5 mm/s",
        "acceleration": "40 mm/s2",
    }
    return SerialRail.Options.model_validate(keys | changes)


@contextmanager
def virtual_rail(make_board: Callable[[], Board] = NativeBoard) -> Iterator[AxisWorld]:
    """The native firmware in this process, in virtual time."""
    clock = VirtualClock()
    board = make_board()
    options = rail_options()
    board.state.play = round(PLAY_UM / options.um_per_step)
    carriage = Carriage(board.state, options.um_per_step)
    context = Context(clock, {"rail": VirtualPort(board, clock)})
    yield AxisWorld(
        make=lambda: SerialRail(options, context),
        clock=clock,
        true_position_um=lambda: carriage.position_um(clock.now()),
        slack_um=PLAY_UM,
    )


@contextmanager
def rail_behind_a_terminal() -> Iterator[AxisWorld]:
    """The native firmware in a process of its own, through pyserial."""
    # A busy test machine may take 100 ms to come back to us: 2 s in this world.
    options = rail_options(host_silence="60 s")
    clock = WorldClock(time_scale=20)
    with (
        tempfile.TemporaryDirectory() as folder,
        FirmwareProcess(
            Path(folder), clock, um_per_microstep=options.um_per_step, play_um=PLAY_UM
        ) as process,
    ):
        context = Context(clock, {"rail": process.port})
        yield AxisWorld(
            make=lambda: SerialRail(options, context),
            clock=clock,
            true_position_um=lambda: process.carriage.position_um(clock.now()),
            slack_um=PLAY_UM,
        )


def emulated_rail() -> AbstractContextManager[AxisWorld]:
    """The image for the board in an emulated chip, in virtual time."""
    return virtual_rail(emulated_board)


def emulated_board() -> Board:
    """An emulated chip with our image; skips the test where there can be none."""
    pytest.importorskip("yasimavr", reason="needs the hil extra: pip install -e '.[hil]'")
    if shutil.which("avr-gcc") is None:
        pytest.skip("needs avr-gcc (Debian: apt install gcc-avr avr-libc binutils-avr)")
    return AvrBoard()


AXES = {
    "rail-virtual": virtual_rail,
    "rail-terminal": rail_behind_a_terminal,
    "rail-emulated": emulated_rail,
}
