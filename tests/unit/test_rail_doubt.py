"""What puts the rail's position in doubt, and what a board in doubt does and does not move."""

from __future__ import annotations

import pytest

from macrorail.devices.rail import wire
from macrorail_sims.carriage import WireFault
from macrorail_sims.firmware_native import NativeBoard
from tests.board import Host, homed_host


@pytest.mark.parametrize("pressed_ms", [2, 50, 5_000])
def test_an_emergency_stop_at_rest_puts_the_position_in_doubt(pressed_ms: int) -> None:
    host = homed_host()
    state = host.board.state
    host.ask("LIMITS", 0, 72_000)
    assert host.go(71_840).stop == "done"
    host.run_ms(100)
    state.estop = 1
    host.run_ms(pressed_ms)
    # Without current in the motor, the carriage has fallen by half a millimetre.
    state.place += 800
    state.screw += 800
    state.estop = 0
    edges = state.edges
    status = host.status()
    assert (status.is_known, status.stop) == (False, "estop")
    assert host.ask("GO", 72_000).error == "unhomed"
    assert state.edges == edges
    host.run_ms(100)
    host.board.reset("power")
    host.run_ms(10)
    greeting = wire.greeting_of(host.ask("HELLO", wire.WIRE_VERSION, 3))
    assert greeting.kept is None, "nothing in doubt is kept as clean"
    host.greet()
    assert host.home().is_known
    assert state.place == 320


def test_an_emergency_stop_while_homing_listens_to_its_switch_ends_it() -> None:
    for at_ms in range(0, 400, 9):
        host = Host(NativeBoard(start_place=200, bootloader_s=0.0))
        host.greet()
        assert host.ask("HOME", 6_000, 4_000, 320).error is None
        host.run_ms(at_ms)
        host.board.state.estop = 1
        host.run_ms(2)
        host.board.state.estop = 0
        status = host.wait()
        assert (status.stop, status.is_known) == ("estop", False)


def test_a_carriage_that_fell_from_its_rest_onto_the_switch_is_homed() -> None:
    host = homed_host()
    host.run_ms(100)
    host.board.reset("power")
    host.board.state.screw = host.board.state.place = -150
    host.greet()
    assert host.home().stop == "done"
    assert host.board.state.place == 320


@pytest.mark.parametrize("lost", [-3_000, -400, -100, 100, 400, 3_000])
def test_homing_tells_lost_steps_however_many(lost: int) -> None:
    host = homed_host()
    state = host.board.state
    host.go(10_000)
    state.screw -= lost
    state.place -= lost
    assert host.home().stop == "done"
    assert (host.status().slip, state.place) == (lost, 320)


@pytest.mark.parametrize("clearance", [1, 2, 5, 20, 80, 320, 10_000])
def test_homing_works_with_any_clearance_and_backs_off_by_no_more(clearance: int) -> None:
    host = Host(NativeBoard(start_place=700, bootloader_s=0.0))
    host.greet()
    assert host.ask("HOME", 6_000, 4_000, clearance).error is None
    assert host.wait().stop == "done"
    state = host.board.state
    assert state.place == host.status().position == clearance
    host = Host(NativeBoard(start_place=20_000, bootloader_s=0.0))
    host.greet()
    state = host.board.state
    state.min_wire = WireFault.PRESSED
    for _ in range(3):
        if host.ask("HOME", 6_000, 4_000, clearance).error is None:
            host.wait()
        host.run_ms(100)
        host.board.reset("pin")
        host.run_ms(10)
        host.greet()
    assert state.place == 20_000 + clearance


def test_a_clearance_beyond_the_limits_is_refused() -> None:
    host = homed_host()
    host.ask("LIMITS", 0, 300)
    edges = host.board.state.edges
    assert host.ask("HOME", 6_000, 4_000, 320).error == "outside"
    assert host.board.state.edges == edges


def test_a_back_off_never_crosses_the_limit() -> None:
    host = homed_host()
    host.ask("LIMITS", 0, 400)
    host.go(200)
    host.board.state.min_wire = WireFault.PRESSED
    for _ in range(3):
        if host.ask("HOME", 6_000, 4_000, 320).error is None:
            host.wait()
    assert host.board.state.place <= 400


@pytest.mark.parametrize("position", [2_000, 71_840])
def test_a_switch_pressed_where_the_count_says_it_cannot_be_is_a_fault(position: int) -> None:
    host = homed_host()
    host.ask("LIMITS", 0, 72_000)
    host.go(position)
    state = host.board.state
    state.min_wire = WireFault.PRESSED
    edges = state.edges
    for command in (("GO", 72_000), ("GO", position - 100), ("HOME", 100_000, 4_000, 320)):
        error = host.ask(str(command[0]), *map(int, command[1:])).error
        assert error in ("switch_fault", "unhomed")
    status = host.status()
    assert (status.stop, status.is_known) == ("switch_fault", False)
    assert state.edges == edges
    state.min_wire = WireFault.WHOLE
    assert host.home().is_known
    assert state.place == 320


@pytest.mark.parametrize("delay_tenths", range(0, 500, 7))
def test_a_reset_at_any_instant_after_the_fault_keeps_the_count(delay_tenths: int) -> None:
    host = homed_host()
    host.go(20_000)
    state = host.board.state
    host.run_ms(100)
    state.min_wire = WireFault.PRESSED
    edges = state.edges
    assert host.ask("HOME", 100_000, 4_000, 320).error == "switch_fault"
    host.run_ms(delay_tenths / 10)
    for _ in range(2):
        host.board.reset("pin")
        host.run_ms(3)
        host.greet()
        assert host.ask("HOME", 100_000, 4_000, 320).error == "switch_fault"
    assert state.edges == edges
