"""Commands and mishaps on real parts: socket, signals, a closed terminal, a computer asleep."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from macrorail.clock import WorldClock
from macrorail.errors import JournalError
from macrorail.run_folder.events import kind_of, values_of
from macrorail.run_folder.journal import JOURNAL, Entry, read_journal
from macrorail.run_folder.run_socket import SOCKET, ask_run
from tests.studies.kills import command, write_job

PATIENCE_S = 120.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_job(tmp_path, "rail")
    return tmp_path


def start(folder: Path, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(["run", "protocol.yaml", "--rig", "rig.yaml", "--out", "runs"]),
        cwd=folder,
        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options},
    )


def run_in(folder: Path) -> Path:
    return next((folder / "runs").iterdir())


def entries_of(folder: Path) -> list[Entry]:
    try:
        return read_journal(run_in(folder) / JOURNAL)
    except (OSError, StopIteration, JournalError):
        return []  # not begun yet


def wait_for(true: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert process.poll() is None, "the run ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def counted(folder: Path) -> int:
    return sum(kind_of(entry.event) == "counted" for entry in entries_of(folder))


def resume(folder: Path) -> None:
    done = subprocess.run(
        command(["resume", str(run_in(folder))]),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_run_is_paused_and_resumed_through_its_socket(folder: Path) -> None:
    with start(folder) as process:
        wait_for(lambda: counted(folder) >= 2, process)
        assert "error" not in ask_run(run_in(folder), "pause")
        wait_for(lambda: ask_run(run_in(folder), "status")["state"] == "paused", process)
        before = counted(folder)
        time.sleep(1.0)
        assert counted(folder) == before
        assert ask_run(run_in(folder), "status")["why"] == "paused by the command socket"
        assert "error" not in ask_run(run_in(folder), "resume")
        assert process.wait(PATIENCE_S) == 0
    events = [kind_of(entry.event) for entry in entries_of(folder)]
    assert events.count("scene_checked") == 1
    assert events.count("homed") == 2
    assert not (run_in(folder) / SOCKET).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_signal_ends_a_run_in_order_and_it_can_be_resumed(
    folder: Path, number: signal.Signals
) -> None:
    # Whoever starts us in the background may have it ignored, and that is inherited.
    with start(folder, preexec_fn=lambda: signal.signal(number, signal.SIG_DFL)) as process:
        wait_for(lambda: counted(folder) >= 2, process)
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == 5
    last = values_of(entries_of(folder)[-1].event)
    assert (last["state"], last["message"]) == ("aborted", f"stopped by {number.name}")
    resume(folder)


def test_a_run_whose_terminal_is_closed_ends_in_order(folder: Path) -> None:
    ours, terminal = pty.openpty()
    process = start(
        folder,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=on_a_terminal_of_its_own,
    )
    with process:
        os.close(terminal)
        wait_for(lambda: drained(ours) and counted(folder) >= 2, process)
        os.close(ours)
        assert process.wait(PATIENCE_S) == 5
    last = entries_of(folder)[-1]
    assert kind_of(last.event) == "ended"
    assert values_of(last.event)["message"] == "stopped by SIGHUP"
    resume(folder)


def on_a_terminal_of_its_own() -> None:
    os.close(os.open(os.ttyname(0), os.O_RDWR))
    # Whoever started the tests with nohup has it ignored, and that is inherited.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def drained(terminal: int) -> bool:
    """Take what was said, as a terminal does; a full one would hold the run up."""
    os.set_blocking(terminal, False)
    try:
        os.read(terminal, 1 << 16)
    except BlockingIOError:
        return True
    return True


def test_a_run_goes_on_when_its_computer_was_asleep(folder: Path) -> None:
    """The whole process stands still for longer than the board waits for a word from it."""
    with start(folder) as process:
        for slices in (1, 3):
            wait_for(lambda n=slices: counted(folder) >= n, process)
            process.send_signal(signal.SIGSTOP)
            time.sleep(4.0)
            process.send_signal(signal.SIGCONT)
        assert process.wait(PATIENCE_S) == 0
    assert values_of(entries_of(folder)[-1].event)["reason"] == "completed"


def test_a_clock_that_is_set_does_not_disturb_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """World time is no time of day: a clock set back by a year changes nothing."""
    clock = WorldClock()
    before_s = clock.now()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    clock.sleep(0.05)
    assert 0.05 <= clock.now() - before_s < 10.0


def test_a_second_controller_is_kept_off_the_instrument(folder: Path) -> None:
    """The serial port belongs to the first one alone."""
    with start(folder) as process:
        wait_for(lambda: counted(folder) >= 1, process)
        started = next(entry for entry in entries_of(folder) if kind_of(entry.event) == "started")
        rig = (folder / "rig.yaml").read_text()
        (folder / "same.yaml").write_text(f"{rig}  address: {values_of(started.event)['bench']}\n")
        second = subprocess.run(
            command(["run", "protocol.yaml", "--rig", "same.yaml", "--out", "other-runs"]),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert process.wait(PATIENCE_S) == 0
    assert second.returncode == 3, second.stderr
    assert "another program has it open" in second.stderr
    events = [kind_of(entry.event) for entry in entries_of(folder)]
    assert "fault" not in events, "the first one does not even notice"
