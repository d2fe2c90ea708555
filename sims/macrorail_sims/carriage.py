"""The rail's simulated mechanics: the true position of the carriage, and mechanical faults."""

from __future__ import annotations

import ctypes
import mmap
from enum import IntEnum
from pathlib import Path

TICKS_PER_S = 2_000_000
_SAMPLES = 1024


class _Sample(ctypes.Structure):
    _fields_ = (("tick", ctypes.c_uint64), ("place", ctypes.c_int64))


class WireFault(IntEnum):
    """``enum wire_fault`` of ``carriage.h``: state of the wire to a switch."""

    WHOLE = 0
    PRESSED = 1
    OPEN = 2
    LOOSE = 3


class CarriageState(ctypes.Structure):
    """``struct carriage`` of ``carriage.h``; the header file explains every field."""

    _fields_ = (
        ("size", ctypes.c_uint64),
        ("length", ctypes.c_int64),
        ("overtravel", ctypes.c_int64),
        ("play", ctypes.c_int64),
        ("jam", ctypes.c_int64),
        ("bounce", ctypes.c_uint64),
        ("estop", ctypes.c_uint64),
        ("reset", ctypes.c_uint64),
        ("shoe", ctypes.c_uint64),
        ("min_wire", ctypes.c_uint64),
        ("max_wire", ctypes.c_uint64),
        ("estop_wire", ctypes.c_uint64),
        ("swapped", ctypes.c_uint64),
        ("loose_ticks", ctypes.c_uint64),
        ("now", ctypes.c_uint64),
        ("screw", ctypes.c_int64),
        ("place", ctypes.c_int64),
        ("direction", ctypes.c_int64),
        ("enabled", ctypes.c_uint64),
        ("focus", ctypes.c_uint64),
        ("release", ctypes.c_uint64),
        ("presses", ctypes.c_uint64),
        ("pressed_at", ctypes.c_uint64),
        ("let_go_at", ctypes.c_uint64),
        ("edges", ctypes.c_uint64),
        ("lost", ctypes.c_uint64),
        ("past_switch", ctypes.c_uint64),
        ("past_estop", ctypes.c_uint64),
        ("collisions", ctypes.c_uint64),
        ("last_edge", ctypes.c_uint64),
        ("interval", ctypes.c_uint64),
        ("resets", ctypes.c_uint64),
        ("min_changed", ctypes.c_uint64),
        ("max_changed", ctypes.c_uint64),
        ("noise", ctypes.c_uint64),
        ("sample_count", ctypes.c_uint64),
        ("samples", _Sample * _SAMPLES),
    )


class Carriage:
    """The true carriage of a simulated board, in this process or in another process.

    Positions are micrometres from the home switch, growing towards the specimen. They are positions
    of the carriage, which differ from those of the screw because of play.

    Parameters
    ----------
    state
        Memory in which the simulation keeps the carriage.
    um_per_microstep
        Length of one microstep in micrometres, > 0.
    """

    def __init__(self, state: CarriageState, um_per_microstep: float) -> None:
        if state.size != ctypes.sizeof(CarriageState):
            raise ValueError(
                f"the simulated carriage has {state.size} bytes, expected "
                f"{ctypes.sizeof(CarriageState)}: rebuild with make -C firmware native"
            )
        self.state = state
        self.um_per_microstep = um_per_microstep

    @classmethod
    def of_file(cls, path: Path, um_per_microstep: float) -> Carriage:
        """Return the carriage of a board in another process, which shares it through a file."""
        with path.open("r+b") as file:
            memory = mmap.mmap(file.fileno(), ctypes.sizeof(CarriageState))
        return cls(CarriageState.from_buffer(memory), um_per_microstep)

    def position_um(self, world_s: float) -> float:
        """Return the carriage's position in micrometres at a world time.

        Only about the last second of motion is known; for an earlier time, the oldest known
        position is returned. For a time that the simulation has not reached yet, the newest
        position is returned.
        """
        tick = world_s * TICKS_PER_S
        state = self.state
        later_tick, later_place = state.now, state.place
        if tick >= later_tick:
            return float(later_place * self.um_per_microstep)
        count = state.sample_count
        for index in range(count - 1, max(count - _SAMPLES, 0) - 1, -1):
            sample = state.samples[index % _SAMPLES]
            if sample.tick <= tick:
                share = (tick - sample.tick) / (later_tick - sample.tick)
                place = sample.place + share * (later_place - sample.place)
                return float(place * self.um_per_microstep)
            later_tick, later_place = sample.tick, sample.place
        return float(later_place * self.um_per_microstep)

    def at_rest_since_s(self, world_s: float) -> float:
        """Return the world time in seconds at which the last motion before ``world_s`` ended.

        The result is 0 if there was no motion.

        If ``world_s`` is during a motion, ``world_s`` itself is returned, to the millisecond.
        """
        tick = world_s * TICKS_PER_S
        state = self.state
        count = state.sample_count
        for index in range(count - 1, max(count - _SAMPLES, 0) - 1, -1):
            sample = state.samples[index % _SAMPLES]
            if sample.tick <= tick:
                return float(sample.tick) / TICKS_PER_S
        return 0.0

    def velocity_um_s(self, world_s: float) -> float:
        """Return the mean velocity over the 2 ms before ``world_s``, micrometres per second."""
        before_s = max(world_s - 2e-3, 0.0)
        if world_s <= before_s:
            return 0.0
        travelled_um = self.position_um(world_s) - self.position_um(before_s)
        return travelled_um / (world_s - before_s)

    @property
    def last_motion_s(self) -> float:
        """World time of the newest step, seconds; 0 if there has been none."""
        return float(self.state.last_edge) / TICKS_PER_S

    @property
    def now_s(self) -> float:
        """World time that the simulation has reached, seconds."""
        return float(self.state.now) / TICKS_PER_S

    def press_estop(self, pressed: bool) -> None:
        """Press the emergency stop, or release it if ``pressed`` is false."""
        self.state.estop = int(pressed)

    def jam(self, steps: int) -> None:
        """Let the next ``steps`` steps have no effect."""
        self.state.jam = steps

    def let_switches_bounce(self, duration_s: float) -> None:
        """Let each switch bounce for ``duration_s`` after each change of its state."""
        self.state.bounce = round(duration_s * TICKS_PER_S)

    def reset_board(self) -> None:
        """Press the board's reset button; the reset happens when the board's process next polls."""
        self.state.reset += 1
