"""Where the carriage truly was: in this process and from another one, at rest and in motion."""

from __future__ import annotations

import ctypes
import re
import time
from pathlib import Path

import pytest

from macrorail.clock import WorldClock
from macrorail.devices.rail import wire
from macrorail_sims.carriage import TICKS_PER_S, Carriage, CarriageState
from macrorail_sims.firmware_native import NativeBoard
from macrorail_sims.firmware_process import FirmwareProcess
from tests.board import homed_host

UM = 0.625


def test_both_sides_see_the_same_memory() -> None:
    header = (
        Path(__file__).resolve().parents[2] / "sims" / "macrorail_sims" / "carriage.h"
    ).read_text()
    body = header[header.index("struct carriage {") :]
    declared = re.findall(r"^    (u?int64_t|struct carriage_sample) (\w+)[;\[]", body, re.MULTILINE)
    types = {"uint64_t": ctypes.c_uint64, "int64_t": ctypes.c_int64}
    fields = [(name, kind) for name, kind, *_ in CarriageState._fields_]
    assert [(name, types.get(kind)) for kind, name in declared[:-1]] == fields[:-1]
    assert declared[-1][1] == fields[-1][0]
    assert NativeBoard().state.size == ctypes.sizeof(CarriageState)


def test_another_layout_is_refused() -> None:
    with pytest.raises(ValueError, match="rebuild"):
        Carriage(CarriageState(), UM)


def test_a_past_position_in_a_move_is_known_to_a_step_or_two() -> None:
    host = homed_host()
    state = host.board.state
    carriage = Carriage(state, UM)
    rested_s = carriage.now_s
    host.run_ms(500)
    host.ask("GO", 10_000)
    truth = []
    while state.place < 10_000:
        host.board.run_us(777)
        truth.append((carriage.now_s, float(state.place)))
        if len(truth) % 700 == 0:
            host.status()
    assert len(truth) > 1_000
    for world_s, place in truth[-900:]:
        assert carriage.position_um(world_s) == pytest.approx(place * UM, abs=2 * UM)
    cruising_s = truth[-600][0]
    assert carriage.velocity_um_s(cruising_s) == pytest.approx(8_000 * UM, rel=0.05)
    host.run_ms(500)
    assert carriage.position_um(carriage.now_s) == 10_000 * UM
    assert carriage.velocity_um_s(carriage.now_s) == 0.0
    assert truth[-1][0] - 1e-3 < carriage.last_motion_s <= truth[-1][0]
    assert rested_s < carriage.last_motion_s


def test_a_moment_just_before_a_move_is_at_rest() -> None:
    host = homed_host()
    carriage = Carriage(host.board.state, UM)
    host.run_ms(500)
    before_s = carriage.now_s
    host.ask("GO", 1_000)
    host.run_ms(200)
    assert carriage.position_um(before_s) == 320 * UM


def test_another_process_shares_its_carriage_and_takes_commands(tmp_path: Path) -> None:
    clock = WorldClock(time_scale=20)
    with FirmwareProcess(tmp_path, clock, start_um=3_000.0, play_um=10.0) as process:
        carriage = process.carriage
        assert carriage.position_um(clock.now()) == 3_000.0
        assert carriage.state.play == 16
        resets = carriage.state.resets
        carriage.reset_board()
        deadline = time.monotonic() + 5
        while carriage.state.resets == resets:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert abs(carriage.now_s - clock.now()) < 20 * 0.5
    assert not [
        path for path in tmp_path.iterdir() if path.name not in ("carriage", "firmware.log")
    ]


def test_the_time_of_the_board_is_the_worlds() -> None:
    board = NativeBoard(now_s=12.5)
    board.run_until(13.0)
    assert board.state.now == 13 * TICKS_PER_S
    assert wire.check(board.tx().strip()) is None
    board.run_until(14.0)
    assert wire.check(board.tx().strip()) == "! boot power"
