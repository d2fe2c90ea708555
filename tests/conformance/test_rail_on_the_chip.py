"""The rail's promises kept by the board's own image, in an emulator of its chip."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from macrorail.clock import WorldClock
from macrorail.devices.interfaces import Context
from macrorail.devices.rail.axis import SerialRail
from macrorail_sims.board import RailBoard
from macrorail_sims.firmware_process import FirmwareProcess
from tests.board import homed_host
from tests.conformance.axes import emulated_board, rail_options
from tests.studies.interrupts import measure
from tests.studies.noisy_commands import NoisyCommands
from tests.studies.power_cuts import PowerCuts
from tests.unit.test_rail_shutter import fire
from tests.unit.test_rail_transcripts import TRANSCRIPTS, follow

# A long campaign: MACRORAIL_NOISY_COMMANDS=2000 pytest tests/conformance/test_rail_on_the_chip.py
_COMMANDS = int(os.environ.get("MACRORAIL_NOISY_COMMANDS", "12"))


@pytest.fixture
def board() -> RailBoard:
    return emulated_board()


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_chip_keeps_to_the_transcript(path: Path, board: RailBoard) -> None:
    follow(path, board)


def test_random_commands_on_a_bad_line_are_all_accounted_for(board: RailBoard) -> None:
    board.state.length = 20_000
    campaign = NoisyCommands(board, seed=1, chance=0.05)
    campaign.run(_COMMANDS)
    assert campaign.faults > 100 * _COMMANDS


def test_what_is_kept_over_a_power_cut_is_true(board: RailBoard) -> None:
    campaign = PowerCuts(board, seed=1)
    campaign.run(8)
    assert min(campaign.counts.values()) > 0


def test_no_step_after_a_limit_switch_closes(board: RailBoard) -> None:
    host = homed_host(board=board)
    host.board.state.length = 6_000
    rest = host.go(30_000)
    assert (rest.stop, rest.is_known, rest.position) == ("limit_max", False, 6_000)
    assert (board.state.place, board.state.past_switch) == (6_000, 0)


def test_the_chip_presses_the_shutter_and_counts_the_flash(board: RailBoard) -> None:
    counted = fire(board)
    assert counted.closed_us % 4 == counted.contact_us % 4 == 0


@pytest.mark.parametrize("cause", ["power", "pin", "brownout", "watchdog"])
def test_the_chip_knows_why_it_was_reset_and_obeys_nothing(cause: str, board: RailBoard) -> None:
    host = homed_host(board=board)
    host.ask("GO", 100_000)
    host.run_ms(300)
    host.board.reset(cause)
    edges = board.state.edges
    assert host.ask("GO", 500).error == "hello"
    assert host.notices[-1] == f"! boot {cause}"
    host.greet()
    assert not host.status().is_known
    assert board.state.edges == edges


def test_interrupts_stay_short_and_steps_even_at_full_speed(board: RailBoard) -> None:
    del board
    budget = measure(steps_per_s=20_000, duration_s=0.6)
    assert max(budget.longest_cycles.values()) <= 400, budget
    assert budget.latest_cycles <= 160, "10 us"
    assert budget.repeats == 0
    worst = measure(steps_per_s=20_000, duration_s=0.4, chatter=True)
    assert max(worst.longest_cycles.values()) <= 400, worst
    assert worst.latest_cycles <= 240, "15 us, with a hot shoe that chatters during a move"


def test_the_driver_homes_and_moves_the_chip_behind_a_terminal(board: RailBoard) -> None:
    del board
    options = rail_options(host_silence="60 s")
    clock = WorldClock(time_scale=2)
    with (
        tempfile.TemporaryDirectory() as folder,
        FirmwareProcess(Path(folder), clock, start_um=1_000, emulated=True) as process,
    ):
        rail = SerialRail(options, Context(clock, {"rail": process.port}))
        rail.open()
        rail.home()
        for asked_um in (3_000.0, 2_000.0):
            rail.start_move(asked_um)
            assert rail.finish_move() == asked_um
            assert process.carriage.position_um(clock.now()) == asked_um
        rail.close()
