"""The firmware on this computer: it never moves twice, past a limit, or without a command."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from macrorail.devices.rail import wire
from macrorail_sims.carriage import TICKS_PER_S
from macrorail_sims.firmware_native import NativeBoard
from tests.board import Host, Noise, homed_host


def test_nothing_moves_before_hello_home_and_limits() -> None:
    host = Host()
    assert host.ask("GO", 1).error == "hello"
    assert host.ask("HELLO", wire.WIRE_VERSION, 77).error is None
    assert host.ask("GO", 1).error == "unhomed"
    assert host.home().is_known
    assert host.ask("GO", 1000).error == "unlimited"
    host.ask("LIMITS", 0, 150_000)
    assert host.ask("GO", 150_001).error == "outside"
    assert host.ask("GO", -1).error == "outside"
    assert host.board.state.screw == host.status().position == 320


def test_another_version_of_the_wire_opens_no_session() -> None:
    host = Host()
    answer = host.ask("HELLO", wire.WIRE_VERSION + 1, 77)
    assert (answer.error, answer.result or answer.arguments[2:]) == ("version", (1,))
    assert host.ask("STATUS").error == "hello"


@pytest.mark.parametrize(
    ("verb", "arguments", "error"),
    [
        ("PACE", (49, 40_000), "range"),
        ("PACE", (20_001, 40_000), "range"),
        ("PACE", (8_000, 99), "range"),
        ("PACE", (8_000, 200_001), "range"),
        ("LIMITS", (5, 4), "range"),
        ("SILENCE", (99,), "range"),
        ("HOME", (0, 4_000, 320), "range"),
        ("HOME", (200_000, 4_000, 0), "range"),
    ],
)
def test_what_the_board_cannot_do_is_refused(
    verb: str, arguments: tuple[int, ...], error: str
) -> None:
    host = Host()
    host.greet()
    assert host.ask(verb, *arguments).error == error
    assert host.board.state.edges == 0


# Moves


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.integers(50, 20_000),
    st.integers(100, 200_000),
    st.lists(st.integers(0, 150_000), min_size=1, max_size=3),
)
def test_every_move_makes_exactly_its_steps(
    speed: int, acceleration: int, targets: list[int]
) -> None:
    host = homed_host()
    assert host.ask("PACE", speed, acceleration).error is None
    assert host.ask("SILENCE", 600_000).error is None
    for target in targets:
        before, edges = host.status().position, host.board.state.edges
        status = host.ask("GO", target)
        assert status.error is None
        rest = host.wait(longest_s=20_000)
        assert (rest.position, rest.stop, rest.is_known) == (target, "done", True)
        assert host.board.state.edges - edges == abs(target - before)
        assert host.board.state.screw == target


@pytest.mark.parametrize(
    ("speed", "acceleration"), [(8_000, 40_000), (20_000, 100_000), (3_000, 500)]
)
def test_a_move_keeps_to_its_speed_and_acceleration(speed: int, acceleration: int) -> None:
    host = homed_host()
    host.ask("PACE", speed, acceleration)
    host.ask("GO", 100_000)
    state = host.board.state
    window_s = speed / acceleration / 10
    speeds: list[float] = []
    while state.place < 100_000:
        edges = state.edges
        host.board.run_us(window_s * 1e6)
        speeds.append((state.edges - edges) / window_s)
        if len(speeds) % 40 == 0:
            host.status()
    assert 0.95 * speed <= max(speeds) <= 1.01 * speed
    counting_error = 1 / window_s**2
    for before, after in itertools.pairwise(speeds):
        assert abs(after - before) / window_s <= 1.1 * acceleration + counting_error


@settings(max_examples=150, deadline=None)
@given(st.integers(50, 20_000), st.integers(100, 200_000))
@example(400, 50_000)
@example(20_000, 200_000)
@example(19_950, 200_000)
@example(50, 200_000)
@example(223, 50_000)
@example(224, 50_000)
@example(449, 200_000)
def test_a_move_cruises_at_the_speed_asked_for(speed: int, acceleration: int) -> None:
    host = Host(NativeBoard(start_place=700, length=10**9, bootloader_s=0.0))
    host.greet(silence_ms=600_000)
    assert host.home().stop == "done"
    assert host.ask("PACE", speed, acceleration).error is None
    ramp = speed * speed // (2 * acceleration) + 1
    assert host.ask("LIMITS", 0, 10**9 - 1).error is None
    assert host.ask("GO", 320 + 4 * ramp + 2 * speed).error is None
    state = host.board.state
    host.run_ms(1.3 * speed / acceleration * 1000 + 100)
    # From one step to another, so that no part of a step counts.
    first_tick, first_edges = state.last_edge, state.edges
    host.run_ms(400)
    measured = (state.edges - first_edges) * TICKS_PER_S / (state.last_edge - first_tick)
    assert measured == pytest.approx(speed, rel=0.01)


def test_a_stop_ramps_down_and_keeps_the_position() -> None:
    host = homed_host()
    host.ask("GO", 100_000)
    host.run_ms(1_000)
    at_stop = host.board.state.place
    host.ask("STOP")
    rest = host.wait()
    assert (rest.stop, rest.is_known) == ("host", True)
    assert rest.position == host.board.state.screw
    ramp = 8_000**2 / (2 * 40_000)
    assert ramp * 0.8 < rest.position - at_stop < ramp * 1.3 + 8_000 * 0.06
    assert host.go(320).stop == "done"


@pytest.mark.parametrize("stop", [b"\x85", b"\n!\n", b"12 GO \x8577*", b"\n77 GO 5*\x85\n"])
def test_the_emergency_byte_stops_dead_in_any_place(stop: bytes) -> None:
    host = homed_host()
    host.ask("GO", 100_000)
    host.run_ms(1_000)
    host.board.rx(stop)
    host.run_ms(len(stop) * 0.1)
    place = host.board.state.place
    host.run_ms(100)
    assert host.board.state.place == place
    rest = host.status()
    assert (rest.state, rest.stop, rest.is_known) == ("idle", "emergency", False)
    assert rest.position == place
    assert host.ask("GO", 500).error == "unhomed"


def test_a_move_still_in_the_inbox_does_not_outlive_an_emergency() -> None:
    host = homed_host()
    edges = host.board.state.edges
    host.sequence = wire.next_sequence(host.sequence)
    # The line feed that would complete the command arrives in the byte behind the emergency.
    host.send(wire.encode(host.sequence, "GO", 9_000)[:-1] + b"\x85\n", wait_ms=200)
    assert host.board.state.edges == edges


# Repeats and sequence


def test_a_repeated_command_answers_again_and_moves_once() -> None:
    host = homed_host()
    first = host.ask("GO", 5_000)
    again = [host.ask_again("GO", 5_000) for _ in range(5)]
    assert again == [first] * 5
    host.wait()
    host.ask("GO", 320)
    host.wait()
    assert host.board.state.screw == 320


def test_only_the_last_sequence_number_or_the_next_is_accepted() -> None:
    host = homed_host()
    last = host.sequence
    edges = host.board.state.edges
    for sequence in (1, last - 1, last + 2, last + 1000, 65535):
        (text,) = host.send(wire.encode(sequence, "GO", 9_000))
        assert text.startswith(f"{sequence} er sequence")
    (text,) = host.send(wire.encode(last, "GO", 9_000))
    assert text.startswith(f"{last} er sequence"), "the last number with other words"
    assert host.board.state.edges == edges
    assert host.go(400).stop == "done"


def test_sequence_numbers_go_round() -> None:
    host = Host()
    host.sequence = 65533
    host.greet()
    assert host.sequence == 2


def test_a_new_session_stops_what_the_last_one_moved() -> None:
    host = homed_host()
    host.ask("GO", 100_000)
    host.run_ms(500)
    assert host.ask("HELLO", wire.WIRE_VERSION, 78).error is None
    rest = host.wait()
    assert (rest.stop, rest.is_known) == ("hello", True)
    assert host.ask("GO", 500).error == "unlimited"


@pytest.mark.parametrize("cause", ["power", "pin", "brownout", "watchdog"])
def test_a_reset_in_a_move_is_detected_and_forgets_the_position(cause: str) -> None:
    host = homed_host()
    host.ask("GO", 100_000)
    host.run_ms(500)
    host.board.reset(cause)
    edges = host.board.state.edges
    host.run_ms(10)
    assert host.ask("STATUS").error == "hello"
    assert host.notices[-1] == f"! boot {cause}"
    assert host.ask("GO", 500).error == "hello"
    host.greet()
    assert not host.status().is_known
    assert host.ask("GO", 500).error == "unhomed"
    assert host.board.state.edges == edges


def test_a_silent_host_ends_the_motion() -> None:
    host = homed_host()
    assert host.ask("SILENCE", 300).error is None
    host.ask("GO", 100_000)
    host.run_ms(290)
    assert host.board.state.interval == TICKS_PER_S // 8_000
    host.run_ms(600)
    edges = host.board.state.edges
    host.run_ms(1_000)
    assert host.board.state.edges == edges
    rest = host.status()
    assert (rest.state, rest.stop, rest.is_known) == ("idle", "silence", True)


def test_noise_does_not_count_as_a_host_that_speaks() -> None:
    host = homed_host()
    assert host.ask("SILENCE", 300).error is None
    host.ask("GO", 100_000)
    for _ in range(20):
        host.send(b"\nhumming\n", wait_ms=50)
    assert host.status().stop == "silence"


# Switches


def test_no_step_after_a_limit_switch_closes() -> None:
    host = homed_host()
    state = host.board.state
    state.length = 20_000
    rest = host.go(30_000)
    assert (rest.stop, rest.is_known, rest.position) == ("limit_max", False, 20_000)
    assert (state.place, state.past_switch) == (20_000, 0)
    assert host.ask("GO", 300).error == "unhomed"
    assert host.home().stop == "done"
    assert host.go(300).position == state.place == 300


def test_the_home_switch_closing_in_a_move_ends_it() -> None:
    host = homed_host()
    host.go(10_000)
    host.board.state.jam = 500
    host.go(10_500)
    host.ask("LIMITS", -2_000, 150_000)
    host.board.state.screw -= 600
    host.board.state.place -= 600
    rest = host.go(0)
    assert (rest.stop, rest.is_known) == ("limit_min", False)
    assert host.board.state.past_switch == 0


def test_no_step_with_the_emergency_stop_pressed() -> None:
    host = homed_host()
    state = host.board.state
    host.ask("GO", 100_000)
    host.run_ms(700)
    state.estop = 1
    edges = state.edges
    host.run_ms(100)
    assert (state.edges, state.past_estop) == (edges, 0)
    rest = host.status()
    assert (rest.stop, rest.is_known, rest.inputs) == ("estop", False, 4)
    assert host.ask("HOME", 200_000, 4_000, 320).error == "estop"
    state.estop = 0
    assert host.home().stop == "done"


# Homing


@pytest.mark.parametrize("bounce_ms", [0, 5])
def test_homing_finds_the_same_step_every_time(bounce_ms: int) -> None:
    host = Host()
    host.greet()
    state = host.board.state
    state.bounce = bounce_ms * TICKS_PER_S // 1000
    places = random.Random(3)
    for _ in range(25):
        state.screw = state.place = places.randrange(0, 30_000)
        rest = host.home()
        assert (rest.stop, rest.position, rest.is_known) == ("done", 320, True)
        assert state.place == 320, "position 0 is where the switch closes"


@pytest.mark.parametrize("play", [0, 1, 16, 100])
def test_homing_with_play_in_the_screw_rests_clear_of_the_switch(play: int) -> None:
    host = Host()
    host.greet()
    host.board.state.play = play
    assert host.home().stop == "done"
    assert host.board.state.screw == 320
    assert host.board.state.place == 320 - play


def test_homing_from_on_the_switch_moves_away_from_it_first() -> None:
    host = Host(NativeBoard(start_place=-300, bootloader_s=0.0))
    host.greet()
    assert host.home().stop == "done"
    assert (host.board.state.place, host.board.state.past_switch) == (320, 0)


def test_homing_that_finds_no_switch_says_so() -> None:
    host = Host(NativeBoard(start_place=50_000, bootloader_s=0.0))
    host.greet()
    assert host.ask("HOME", 20_000, 4_000, 320).error is None
    rest = host.wait()
    assert (rest.stop, rest.is_known) == ("no_switch", False)
    assert host.board.state.place == 30_000


def test_homing_with_a_motor_that_does_not_turn_says_the_switch_is_stuck() -> None:
    host = Host(NativeBoard(start_place=0, bootloader_s=0.0))
    host.greet()
    host.board.state.jam = 10**9
    rest = host.home()
    assert (rest.stop, rest.is_known) == ("stuck", False)


def test_homing_that_cannot_leave_the_switch_says_so() -> None:
    host = Host()
    host.greet()
    host.board.state.play = 330
    rest = host.home()
    assert (rest.stop, rest.is_known) == ("stuck", False)


@pytest.mark.parametrize("at_ms", [100, 1_000, 1_300, 1_340, 1_400, 1_700, 2_000])
def test_a_stop_ends_homing_in_any_phase(at_ms: int) -> None:
    host = Host()
    host.greet()
    host.ask("HOME", 200_000, 4_000, 320)
    host.run_ms(at_ms)
    assert host.status().state == "homing"
    host.ask("STOP")
    rest = host.wait(longest_s=1.0)
    assert (rest.stop, rest.is_known) == ("host", False)
    assert host.ask("GO", 500).error == "unhomed"


def test_homing_after_a_reset_tells_how_far_the_carriage_was_moved_meanwhile() -> None:
    host = homed_host()
    host.go(5_000)
    host.run_ms(100)
    host.board.reset("power")
    host.board.state.place += 37
    host.board.state.screw += 37
    host.greet()
    host.home()
    assert host.status().slip == -37


def test_no_first_step_before_the_kept_position_is_taken_back() -> None:
    for delay_tenths in range(0, 450, 5):
        host = homed_host()
        state = host.board.state
        assert host.ask("PACE", 20_000, 200_000).error is None
        host.ask("GO", 1_000)
        while state.place < 1_000:
            host.board.run_us(100)
        host.run_ms(delay_tenths / 10)
        host.board.rx(wire.encode(host.sequence + 1, "GO", 2_000))
        while state.place == 1_000:
            host.board.run_us(50)
        host.board.reset("power")
        host.run_ms(10)
        assert wire.greeting_of(host.ask("HELLO", wire.WIRE_VERSION, 7)).kept is None


def test_nothing_counts_as_kept_during_a_move() -> None:
    host = homed_host()
    host.run_ms(100)
    host.ask("GO", 5_000)
    greeting = wire.greeting_of(host.ask("HELLO", wire.WIRE_VERSION, 7))
    assert greeting.kept is None


def test_a_move_called_off_before_it_began_leaves_the_kept_position_true() -> None:
    host = homed_host()
    host.go(5_000)
    host.run_ms(100)
    edges = host.board.state.edges
    lines = [
        wire.encode(host.sequence + 1, "GO", 9_000),
        wire.encode(host.sequence + 2, "STOP"),
    ]
    host.send(lines[0], wait_ms=2)
    host.send(lines[1], wait_ms=1.5)
    host.run_ms(100)
    host.board.reset("power")
    host.run_ms(10)
    kept = wire.greeting_of(host.ask("HELLO", wire.WIRE_VERSION, 7)).kept
    assert kept == host.board.state.place
    assert host.board.state.place - 5_000 == host.board.state.edges - edges


def test_the_kept_position_goes_round_the_whole_memory() -> None:
    host = homed_host()
    for turn in range(300):
        target = 400 + turn % 2
        host.go(target)
        host.run_ms(60)
        if turn % 29 == 0:
            host.board.reset("power")
            host.run_ms(10)
            host.greet()
            greeting = wire.greeting_of(host.ask("HELLO", wire.WIRE_VERSION, turn + 100))
            assert greeting.kept == host.board.state.place == target
            host.ask("LIMITS", 0, 150_000)
            assert host.home().stop == "done"


# Noise


@pytest.mark.parametrize("seed", range(4))
def test_noise_on_the_line_never_gives_a_wrong_or_second_move(seed: int) -> None:
    noise = Noise(seed, 0.01)
    host = homed_host(noise)
    targets = random.Random(seed)
    state = host.board.state
    for _ in range(25):
        target = targets.randrange(0, 20_000)
        before, edges = state.screw, state.edges
        rest = host.go(target)
        assert rest.position == state.screw
        assert state.edges - edges == abs(state.screw - before)
        if rest.stop == "done":
            assert rest.position == target
        else:
            assert (rest.stop, rest.is_known) == ("emergency", False)
            assert host.home().stop == "done"
    assert noise.faults > 200
    assert host.repeats > 20


@pytest.mark.parametrize("seed", range(3))
def test_garbage_never_moves_and_the_next_line_is_understood(seed: int) -> None:
    host = homed_host()
    edges = host.board.state.edges
    garbage = random.Random(seed)
    for _ in range(40):
        host.send(garbage.randbytes(250), wait_ms=30)
    assert host.board.state.edges == edges
    assert host.status().position == 320


def test_a_line_that_is_too_long_is_refused_whole() -> None:
    host = homed_host()
    long = b"\n" + b"1 GO 5 " * 12 + b"\n"
    assert host.send(long) == ["! bad long"]
    assert host.go(500).stop == "done"


def test_boards_in_one_process_are_strangers() -> None:
    first, second = Host(), Host()
    first.greet()
    assert second.ask("STATUS").error == "hello"
    assert first.ask("STATUS").error is None
