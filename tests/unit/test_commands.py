"""Ways to command a run: the socket in its folder, and keys on a terminal."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from macrorail.cli.keyboard import Keyboard
from macrorail.clock import WorldClock
from macrorail.errors import OperatorStop
from macrorail.run_folder.run_socket import SOCKET, ask_run
from macrorail.running.commands import Commands
from macrorail.session.command_socket import CommandServer
from macrorail.session.signals import stopped_by_signals
from macrorail.session.status import RunStatus
from macrorail.states import State


@pytest.fixture
def status() -> RunStatus:
    status = RunStatus("run-1", slices=10)
    status.on_state(State.MOVING)
    return status


@pytest.fixture
def commands() -> Commands:
    return Commands(WorldClock())


@pytest.fixture
def folder(tmp_path: Path, commands: Commands, status: RunStatus) -> Iterator[Path]:
    deep = tmp_path / ("a-long-name-of-a-specimen-" * 5)  # longer than a socket's address may be
    deep.mkdir()
    with closing(CommandServer(deep, commands, status)):
        yield deep
    assert not (deep / SOCKET).exists()


def test_the_socket_tells_where_the_run_is(folder: Path) -> None:
    answer = ask_run(folder, "status")
    assert answer["run"] == "run-1"
    assert answer["state"] == "moving"
    assert (answer["counted"], answer["slices"]) == (0, 10)


def test_the_socket_pauses_and_resumes(folder: Path, commands: Commands) -> None:
    assert "error" not in ask_run(folder, "pause")
    assert commands.wants_pause == "paused by the command socket"
    assert "error" not in ask_run(folder, "resume")
    assert commands.wants_pause is None


def test_the_socket_stops_after_this_slice(folder: Path, commands: Commands) -> None:
    ask_run(folder, "stop")
    assert commands.wants_stop == "stopped after this slice by the command socket"


def test_the_socket_aborts(folder: Path, commands: Commands) -> None:
    ask_run(folder, "abort")
    with pytest.raises(OperatorStop, match="stopped by the command socket"):
        commands._clock.check()
    assert not commands.is_emergency
    ask_run(folder, "emergency")
    assert commands.is_emergency


def test_what_makes_no_sense_now_is_refused(folder: Path, status: RunStatus) -> None:
    assert ask_run(folder, "resume")["error"] == "the run is moving, not paused"
    status.on_state(State.FINISHING)
    assert "can no longer be paused" in ask_run(folder, "pause")["error"]
    assert "unknown command 'dance'" in ask_run(folder, "dance")["error"]


@pytest.mark.parametrize("said", [b"\n", b"{}\n", b"[1]\n", b'{"do": 7}\n', b"\xff\n", b"x" * 9000])
def test_nonsense_is_answered_and_does_no_harm(
    folder: Path, commands: Commands, said: bytes
) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        descriptor = os.open(folder, os.O_PATH)
        connection.connect(f"/proc/self/fd/{descriptor}/{SOCKET}")
        os.close(descriptor)
        connection.sendall(said)
        with connection.makefile("rb") as lines:
            assert "error" in json.loads(lines.readline())
    assert commands.wants_pause is None
    assert "error" not in ask_run(folder, "status")


def test_only_the_user_can_command(folder: Path) -> None:
    assert (folder / SOCKET).stat().st_mode & 0o077 == 0


def test_the_socket_of_a_killed_controller_is_replaced(
    tmp_path: Path, commands: Commands, status: RunStatus
) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / SOCKET))
    with closing(CommandServer(tmp_path, commands, status)):
        assert ask_run(tmp_path, "status")["run"] == "run-1"


def test_keys_command_a_run_and_the_terminal_is_put_back(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("macrorail.cli.keyboard._is_ours", lambda descriptor: True)
    ours, terminal = pty.openpty()
    try:
        before = termios.tcgetattr(terminal)
        with closing(Keyboard(commands, terminal)):
            os.write(ours, b"p")
            wait_until(lambda: commands.wants_pause == "paused by the keyboard")
            os.write(ours, b"zR")
            wait_until(lambda: commands.wants_pause is None)
            os.write(ours, b"s")
            wait_until(lambda: commands.wants_stop is not None)
            os.write(ours, b"q")
            with pytest.raises(OperatorStop, match="stopped by the keyboard"):
                commands._clock.sleep(10)
            os.write(ours, b"!")
            wait_until(lambda: commands.is_emergency)
        assert termios.tcgetattr(terminal) == before
    finally:
        os.close(ours)
        os.close(terminal)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_ask_for_a_stop(number: signal.Signals) -> None:
    clock = WorldClock()
    # Whoever starts us in the background may have it ignored, and that is inherited.
    found = signal.signal(number, signal.default_int_handler)
    try:
        with stopped_by_signals(clock):
            os.kill(os.getpid(), number)
            with pytest.raises(OperatorStop, match=f"stopped by {number.name}"):
                clock.sleep(10)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, found)


def test_a_run_under_nohup_outlives_its_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        clock = WorldClock()
        with stopped_by_signals(clock):
            os.kill(os.getpid(), signal.SIGHUP)
            clock.sleep(0.05)
    finally:
        signal.signal(signal.SIGHUP, before)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
