"""A run's logs and its account in plain words; what systemd is told."""

from __future__ import annotations

import json
import logging
import socket
from pathlib import Path

import pytest

from macrorail.clock import WorldClock
from macrorail.run_folder.events import kind_of
from macrorail.run_folder.journal import Entry
from macrorail.run_folder.sentences import sentence
from macrorail.session.logs import logged
from macrorail.session.systemd import SystemdNotifier
from macrorail.states import State
from macrorail_sims.bodies.faults import Action, Fault
from tests.made_events import made
from tests.virtual import RAIL, VirtualRun, protocol_text

SHORT = protocol_text("10.2 mm", "10.45 mm")


def test_a_run_is_told_in_plain_words_and_for_programs(tmp_path: Path) -> None:
    folder = tmp_path / "20261122-beetle"
    folder.mkdir()
    with logged(folder) as log:
        run = VirtualRun(folder, RAIL, SHORT, observe=log.on_state, listen=log.on_entry)
        run.bench.body.faults.add(Fault("release", Action.LOSE, after=2))
        run.run()
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert {line["run"] for line in lines} == {"20261122-beetle"}
    assert {"moving", "exposing", "recovering"} <= {
        line["state"] for line in lines if line["event"] == "state"
    }
    [fault] = [line for line in lines if line["event"] == "fault"]
    assert (fault["level"], fault["part"], fault["slice"]) == ("warning", "camera", 3)
    told = (folder / "run.log").read_text()
    assert "! Fault of the camera at slice 3 while collecting: " in told
    assert "Slice 3 is done at " in told
    assert "at attempt 2." in told
    assert told.rstrip().endswith("The run ended as done (completed).")


def test_every_event_of_a_rough_night_has_its_words(tmp_path: Path) -> None:
    run = VirtualRun(tmp_path / "run", RAIL, SHORT)
    run.bench.body.faults.add(Fault("release", Action.DROP, after=2, times=2))
    run.run()
    silent = {kind_of(e.event) for e in run.entries if sentence(e.event) is None}
    assert silent <= {"moved", "intent", "exposed", "settings", "drained"}


def test_a_log_that_cannot_be_written_disturbs_nothing(tmp_path: Path) -> None:
    with logged(tmp_path / "gone") as log:
        log.on_entry(Entry(1, 0.0, made("started")))
        logging.getLogger("macrorail.notifications").warning("not sent")


def test_systemd_is_told_that_the_run_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        service = SystemdNotifier()
        clock = WorldClock()
        clock.on_wait = service.beat
        service.on_state(State.MOVING)
        for _ in range(5):
            clock.sleep(0.001)
        service.close()
        heard = [systemd.recv(100) for _ in range(4)]
    assert heard == [b"READY=1", b"STATUS=moving", b"WATCHDOG=1", b"STOPPING=1"]


def test_without_systemd_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    service = SystemdNotifier()
    service.beat()
    service.close()
