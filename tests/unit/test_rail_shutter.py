"""The camera's cable, the hot shoe and the motor's rest, on the firmware in virtual time."""

from __future__ import annotations

import pytest

from macrorail.devices.rail import wire
from macrorail_sims.board import RailBoard
from macrorail_sims.firmware_native import NativeBoard
from tests.board import Host, homed_host


def shots(host: Host) -> wire.Shots:
    return wire.shots_of(host.ask("SHOTS"))


def fire(board: RailBoard) -> wire.Shots:
    """Press the shutter for a quarter of a second, with a camera that flashes 60 ms later."""
    host = homed_host(board=board)
    state = board.state
    assert host.ask("EXPOSE", 100, 250).error is None
    assert (state.focus, state.release) == (1, 0)
    host.run_ms(100)
    assert (state.focus, state.release) == (1, 1)
    host.run_ms(60)
    state.shoe = 1
    host.run_ms(3)
    state.shoe = 0
    assert shots(host).lasted_us == 0, "it is still pressed"
    host.run_ms(200)
    assert (state.focus, state.release) == (0, 0)
    counted = shots(host)
    assert counted.pulses == counted.contacts == 1
    assert 249_000 <= counted.lasted_us <= 252_000
    assert 60_000 <= counted.contact_us - counted.closed_us <= 90_000
    return counted


def test_a_pulse_closes_focus_then_release_and_is_stamped() -> None:
    fire(NativeBoard(bootloader_s=0.0))


def test_a_chattering_contact_is_one_exposure() -> None:
    host = homed_host()
    for _ in range(3):
        for level in (1, 0, 1, 0, 1):
            host.board.state.shoe = level
            host.board.run_us(700)
        host.run_ms(30)
        host.board.state.shoe = 0
        host.run_ms(200)
    assert shots(host).contacts == 3


def test_nothing_moves_while_the_shutter_is_pressed_and_nothing_is_shot_while_moving() -> None:
    host = homed_host()
    assert host.ask("EXPOSE", 0, 500).error is None
    edges = host.board.state.edges
    assert host.ask("GO", 5_000).error == "exposing"
    assert host.ask("HOME", 200_000, 4_000, 320).error == "exposing"
    assert host.ask("EXPOSE", 0, 10).error == "exposing"
    assert host.board.state.edges == edges
    host.run_ms(500)
    assert host.ask("GO", 100_000).error is None
    assert host.ask("EXPOSE", 0, 10).error == "busy"
    assert host.board.state.release == 0


@pytest.mark.parametrize(
    ("focus_ms", "release_ms"), [(-1, 10), (10_001, 10), (0, 0), (0, 600_001), (0, -5)]
)
def test_a_pulse_that_is_no_pulse_is_refused(focus_ms: int, release_ms: int) -> None:
    host = homed_host()
    assert host.ask("EXPOSE", focus_ms, release_ms).error == "range"
    assert host.board.state.focus == 0


@pytest.mark.parametrize("how", ["stop", "emergency", "line", "silence", "hello", "reset"])
def test_the_shutter_is_let_go_when_anything_ends(how: str) -> None:
    host = homed_host()
    host.ask("SILENCE", 300)
    host.ask("EXPOSE", 0, 60_000)
    host.run_ms(50)
    assert host.board.state.release == 1
    match how:
        case "stop":
            host.ask("STOP")
        case "emergency":
            host.send(b"\x85")
        case "line":
            host.send(b"\n!\n")
        case "silence":
            host.run_ms(400)
        case "hello":
            host.ask("HELLO", wire.WIRE_VERSION, 78)
        case "reset":
            host.board.reset("pin")
    assert (host.board.state.focus, host.board.state.release) == (0, 0)


def test_the_motor_holds_for_ever_unless_it_is_allowed_to_rest() -> None:
    host = homed_host()
    host.run_ms(3_600_000)
    assert host.board.state.enabled == 1
    assert host.status().is_known


def test_a_motor_that_was_switched_off_no_longer_knows_its_position() -> None:
    host = homed_host()
    assert host.ask("REST", 2_000).error is None
    host.run_ms(1_900)
    assert host.go(1_000).stop == "done"
    host.run_ms(1_900)
    assert host.board.state.enabled == 1, "the rest is counted from the end of the last motion"
    assert host.status().is_known
    host.run_ms(200)
    assert host.board.state.enabled == 0
    assert not host.status().is_known
    assert host.ask("GO", 500).error == "unhomed"
    assert wire.greeting_of(host.ask("HELLO", wire.WIRE_VERSION, 5)).kept is None
    host.board.reset("power")
    host.run_ms(10)
    assert wire.greeting_of(host.ask("HELLO", wire.WIRE_VERSION, 6)).kept is None
    assert host.home().is_known
    assert host.board.state.enabled == 1


def test_a_new_session_lets_the_motor_hold_again() -> None:
    host = homed_host()
    host.ask("REST", 2_000)
    host.ask("HELLO", wire.WIRE_VERSION, 78)
    host.run_ms(10_000)
    assert host.board.state.enabled == 1
    assert host.ask("REST", -1).error == "range"
    assert host.ask("REST", 86_400_001).error == "range"


def test_a_move_called_off_while_the_store_is_busy_leaves_no_stale_record() -> None:
    """A second clean record would be believed after a power cut in the move that follows."""
    called_off = 0
    for delay_tenths in range(0, 400, 4):
        host = homed_host()
        state = host.board.state
        assert host.ask("PACE", 20_000, 200_000).error is None
        host.ask("GO", 1_000)
        while state.place < 1_000:
            host.board.run_us(100)
        host.run_ms(delay_tenths / 10)
        edges = state.edges
        lines = [("GO", 2_000), ("STOP",), ("GO", 3_000)]
        for number, (verb, *arguments) in enumerate(lines, host.sequence + 1):
            host.board.rx(wire.encode(number, str(verb), *map(int, arguments)))
        host.run_ms(5)
        called_off += state.edges == edges
        for _ in range(400):
            if state.place > 1_000:
                break
            host.board.run_us(100)
        host.board.reset("power")
        host.run_ms(10)
        kept = wire.greeting_of(host.ask("HELLO", wire.WIRE_VERSION, 7)).kept
        assert kept in (None, state.place), f"{delay_tenths / 10} ms after the move"
    assert called_off > 0
