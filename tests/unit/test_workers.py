"""Worker processes: whatever a child does, the parent gets an answer or a reason in time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from macrorail.errors import CameraBusy, DeviceTimeout, MacrorailError, OperatorStop, WorkerCrashed
from macrorail.workers import Worker

ROOT = Path(__file__).parents[2]


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker("tests.data.worker_for_tests", "test", env={"PYTHONPATH": str(ROOT)})
    yield worker
    worker.close()
    assert not worker.alive


def test_an_answer(worker: Worker) -> None:
    assert worker.request("echo", 30, text="µ", number=1.5)["heard"] == {"text": "µ", "number": 1.5}


def test_answers_find_their_requests(worker: Worker) -> None:
    first, second = worker.send("echo", n=1), worker.send("echo", n=2)
    assert worker.receive(second, 30)["heard"] == {"n": 2}
    assert worker.ready(first)
    assert worker.receive(first, 30)["heard"] == {"n": 1}


def test_an_error_keeps_its_class(worker: Worker) -> None:
    with pytest.raises(CameraBusy, match="try again"):
        worker.request("refuse", 30)
    assert worker.alive


def test_an_unexpected_error_is_told_and_survived(worker: Worker) -> None:
    with pytest.raises(MacrorailError, match="stumble failed inside the worker: ValueError"):
        worker.request("stumble", 30)
    assert worker.request("echo", 30)["heard"] == {}


def test_what_libraries_print_is_no_answer(worker: Worker) -> None:
    assert worker.request("chatter", 30)["id"] == 1


def test_a_hang_is_ended(worker: Worker) -> None:
    worker.request("echo", 30)
    started_s = time.monotonic()
    with pytest.raises(DeviceTimeout, match=r"did not answer within 0.2 s and was killed"):
        worker.request("hang", 0.2)
    assert time.monotonic() - started_s < 10
    assert not worker.alive


def test_a_crash_names_its_signal(worker: Worker) -> None:
    with pytest.raises(WorkerCrashed, match="ended with SIGSEGV"):
        worker.request("crash", 30)
    with pytest.raises(WorkerCrashed):
        worker.request("echo", 30)


def test_waiting_can_be_interrupted_and_taken_up_again(worker: Worker) -> None:
    def stop() -> None:
        raise OperatorStop("asked")

    request = worker.send("echo", n=1)
    with pytest.raises(OperatorStop):
        worker.receive(request, 30, stop)
    assert worker.receive(request, 30)["heard"] == {"n": 1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=lambda n: n.name)
def test_what_reaches_the_whole_group_is_the_parents_business(
    worker: Worker, number: signal.Signals
) -> None:
    assert worker.request("echo", 30)["heard"] == {}
    os.kill(worker.pid, number)
    assert worker.request("echo", 30)["heard"] == {}


def test_a_worker_goes_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = (
        "import time; from macrorail.workers import Worker;"
        f"w = Worker('tests.data.worker_for_tests', 'test', {{'PYTHONPATH': {str(ROOT)!r}}});"
        "w.request('echo', 30);"
        "print(w.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout is not None
        pid = int(p.stdout.readline())
        p.kill()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}/cmdline").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            break  # gone, and waiting for whoever inherits it
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{pid}/cmdline").exists()
