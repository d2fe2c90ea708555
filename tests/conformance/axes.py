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

from macrorail.clock import Clock, WorldClock
from macrorail.config.rig import load_rig
from macrorail.devices.connect import connect
from macrorail.devices.grbl.axis import GrblRail
from macrorail.devices.interfaces import Context, FocusAxis
from macrorail.devices.rail.axis import SerialRail
from macrorail_sims.board import RailBoard
from macrorail_sims.carriage import Carriage
from macrorail_sims.clock import VirtualClock
from macrorail_sims.firmware_avr import AvrBoard
from macrorail_sims.firmware_native import NativeBoard
from macrorail_sims.firmware_process import FirmwareProcess
from macrorail_sims.grbl import GrblMachine
from macrorail_sims.virtual_port import VirtualPort
from tests.conformance.grbl_image import GrblImage, image_path


@dataclass(frozen=True)
class AxisWorld:
    """An axis and the world that it lives in.

    Attributes
    ----------
    make
        A new driver for the same axis, not opened.
    clock
        The world's clock.
    travel_um
        Lowest and highest position that its rig allows.
    true_position_um
        Where the axis truly is; ``None`` where nobody knows, with a real one.
    slack_um
        How far the truth may lie below the position that the driver says.
    """

    make: Callable[[], FocusAxis]
    clock: Clock
    travel_um: tuple[float, float]
    true_position_um: Callable[[], float] | None
    slack_um: float

    def at(self, share: float) -> float:
        """A position by its share of the travel, micrometres."""
        low_um, high_um = self.travel_um
        return low_um + share * (high_um - low_um)

    @contextmanager
    def nothing_moves(self) -> Iterator[None]:
        """Insists that the axis has not moved when the block ends."""
        before_um = self.true_position_um() if self.true_position_um else None
        yield
        self.clock.sleep(0.5)
        if self.true_position_um:
            assert self.true_position_um() == before_um

    def assert_at(self, position_um: float) -> None:
        """Insists that the axis truly is where it says."""
        if self.true_position_um:
            expected_um = position_um - self.slack_um
            assert self.true_position_um() == pytest.approx(expected_um, abs=1e-6)


PLAY_UM = 10.0


def rail_options(**changes: Any) -> SerialRail.Options:
    """A rail as a rig file would have it."""
    keys: dict[str, Any] = {
        "driver": "rail",
        "port": "bench",
        "travel": {"from": "1 mm", "to": "60 mm"},
        "closest_approach": "45 mm",
        "speed": "5 mm/s",
        "acceleration": "40 mm/s2",
    }
    return SerialRail.Options.model_validate(keys | changes)


@contextmanager
def virtual_rail(make_board: Callable[[], RailBoard] = NativeBoard) -> Iterator[AxisWorld]:
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
        travel_um=options.allowed_um,
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
            travel_um=options.allowed_um,
            true_position_um=lambda: process.carriage.position_um(clock.now()),
            slack_um=PLAY_UM,
        )


def grbl_options(**changes: Any) -> GrblRail.Options:
    """A grbl axis as a rig file would have it."""
    keys: dict[str, Any] = {
        "driver": "grbl",
        "port": "bench",
        "machine_axis": "Z",
        "travel": {"from": "2 mm", "to": "60 mm"},
        "closest_approach": "45 mm",
        "speed": "10 mm/s",
    }
    return GrblRail.Options.model_validate(keys | changes)


@contextmanager
def simulated_grbl(letter: str = "Z", towards: int = -1) -> Iterator[AxisWorld]:
    """A grbl machine in this process, in virtual time; its axis homes towards plus or minus."""
    clock = VirtualClock()
    machine = GrblMachine()
    axis = "XYZ".index(letter)
    machine.settings[23] = float((towards > 0) << axis)
    options = grbl_options(machine_axis=letter)
    context = Context(clock, {"rail": VirtualPort(machine, clock)})

    def true_um() -> float:
        machine.run_until(clock.now())
        return machine.from_switch_mm(axis) * 1000

    yield AxisWorld(
        make=lambda: GrblRail(options, context),
        clock=clock,
        travel_um=options.allowed_um,
        true_position_um=true_um,
        slack_um=0.0,
    )


def grbl_the_other_way() -> AbstractContextManager[AxisWorld]:
    """The X axis of a machine that homes towards the negative end."""
    return simulated_grbl("X", towards=1)


@contextmanager
def real_grbl() -> Iterator[AxisWorld]:
    """A real grbl image in the emulated chip, in virtual time; skipped where there is none."""
    path = image_path()
    clock = VirtualClock()
    machine = GrblImage(path)
    options = grbl_options(travel={"from": "2 mm", "to": "26 mm"}, closest_approach="24 mm")
    context = Context(clock, {"rail": VirtualPort(machine, clock)})
    clock.advance(machine.now_s)
    yield AxisWorld(
        make=lambda: GrblRail(options, context),
        clock=clock,
        travel_um=options.allowed_um,
        true_position_um=lambda: machine.from_switch_mm(2) * 1000,
        slack_um=0.0,
    )


def emulated_rail() -> AbstractContextManager[AxisWorld]:
    """The image for the board in an emulated chip, in virtual time."""
    return virtual_rail(emulated_board)


def emulated_board() -> RailBoard:
    """An emulated chip with our image; skips the test where there can be none."""
    pytest.importorskip("yasimavr", reason="needs the hil extra: pip install -e '.[hil]'")
    if shutil.which("avr-gcc") is None:
        pytest.skip("needs avr-gcc (Debian: apt install gcc-avr avr-libc binutils-avr)")
    return AvrBoard()


def axis_of_rig(path: Path) -> AbstractContextManager[AxisWorld]:
    """The axis of a rig file, real or not: ``pytest --rig FILE``. It will move."""

    @contextmanager
    def world() -> Iterator[AxisWorld]:
        rig = load_rig(path)
        with connect(rig) as instrument:
            yield AxisWorld(
                make=lambda: instrument.axis,
                clock=instrument.clock,
                travel_um=rig.axis.allowed_um,
                true_position_um=None,
                slack_um=0.0,
            )

    return world()


AXES = {
    "rail-virtual": virtual_rail,
    "rail-terminal": rail_behind_a_terminal,
    "rail-emulated": emulated_rail,
    "grbl-image": real_grbl,
    "grbl-simulated": simulated_grbl,
    "grbl-simulated-reversed": grbl_the_other_way,
}
