"""Notifications of a run, received by our own server; and a run that is not harmed without them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from macrorail.errors import ConfigError
from macrorail.run_folder.journal import Entry
from macrorail.session import notifications as news
from macrorail.session.notifications import Notifier
from tests.made_events import made

# Apprise's plug-ins import modules that Python is going to drop.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Receiver:
    """Takes what is posted on 127.0.0.1, after ``delay_s``."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.received: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(delay_s)
                receiver.received.append(json.loads(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"json://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def tell(told: Notifier, event: str, **fields: Any) -> None:
    told.on_entry(Entry(1, 0.0, made(event, **fields)))


def test_a_run_tells_of_its_start_its_pauses_and_its_end(
    tmp_path: Path, receiver: Receiver
) -> None:
    run = tmp_path / "20261122-beetle"
    run.mkdir()
    (run / "fused.jpg").write_bytes(b"\xff\xd8 a picture \xff\xd9")
    told = Notifier(run, [receiver.address])
    tell(told, "started", slices=42)
    tell(told, "counted", slice=1)
    tell(told, "paused", why="the lamp is out")
    tell(told, "unpaused", why="all is well again", paused_s=3.0)
    tell(told, "ended", state="done", reason="completed", message="")
    told.close()
    assert [(m["title"], m["type"]) for m in receiver.received] == [
        ("20261122-beetle started", "info"),
        ("20261122-beetle is paused", "warning"),
        ("20261122-beetle continues", "info"),
        ("20261122-beetle is done", "success"),
    ]
    assert receiver.received[0]["message"] == "42 slices are planned."
    assert receiver.received[1]["message"] == "the lamp is out"
    [picture] = receiver.received[-1]["attachments"]
    assert picture["filename"] == "fused.jpg"


def test_a_failure_says_why_and_how_to_go_on(tmp_path: Path, receiver: Receiver) -> None:
    told = Notifier(tmp_path, [receiver.address])
    tell(told, "ended", state="failed", reason="device_fault", message="the camera is gone")
    told.close()
    [message] = receiver.received
    assert message["type"] == "failure"
    assert "the camera is gone" in message["message"]
    assert f"macrorail resume {tmp_path}" in message["message"]


def test_a_run_that_cannot_even_write_is_told_of_all_the_same(
    tmp_path: Path, receiver: Receiver
) -> None:
    told = Notifier(tmp_path, [receiver.address])
    told.alarm("the disk is gone")
    told.close()
    [message] = receiver.received
    assert (message["type"], message["message"]) == ("warning", "the disk is gone")


def test_addresses_can_stand_in_a_file(tmp_path: Path, receiver: Receiver) -> None:
    listed = tmp_path / "where.txt"
    listed.write_text(f"# my telephone\n{receiver.address}\n")
    told = Notifier(tmp_path, [str(listed)])
    tell(told, "started", slices=1)
    told.close()
    assert len(receiver.received) == 1


def test_nobody_listening_costs_nothing(tmp_path: Path) -> None:
    told = Notifier(tmp_path, ["json://127.0.0.1:1/"])
    began_s = time.monotonic()
    for _ in range(500):
        tell(told, "paused", why="again")
    assert time.monotonic() - began_s < 20.0, "far less than sending them takes"


def test_a_receiver_that_hangs_delays_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "_LAST_S", 0.3)
    slow = Receiver(delay_s=120.0)
    try:
        told = Notifier(tmp_path, [slow.address])
        began_s = time.monotonic()
        for _ in range(3 * news._MOST_WAITING):
            tell(told, "paused", why="again")
        told.close()
        assert time.monotonic() - began_s < 60.0, "less than a single answer takes"
    finally:
        slow.server.shutdown()
        slow.server.server_close()


def test_an_address_that_nobody_knows_is_refused_without_its_secrets(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="that Apprise supports") as refused:
        Notifier(tmp_path, ["nonsense://user:secret@somewhere"])
    assert "secret" not in str(refused.value)


def test_a_campaign_calls_for_hands_and_tells_its_end(receiver: Receiver, tmp_path: Path) -> None:
    run = tmp_path / "tray-7"
    run.mkdir()
    told = Notifier(run, [receiver.address])
    totals = {"stacks": 96, "done": 95, "quarantined": 1, "left": 0, "message": "see the report"}
    tell(told, "asked", question="Put the specimen of A3 under the lens")
    tell(told, "quarantined", item="A4", why="coverage is not proven")
    tell(told, "finished", **totals)
    tell(told, "stopped", **{**totals, "left": 1})
    told.close()
    titles = [message["title"] for message in receiver.received]
    assert titles == [
        "tray-7 waits for an answer",
        "tray-7: A4 is set aside",
        "tray-7 is finished",
        "tray-7 stopped",
    ]
    assert "95 of 96 stacks are done" in receiver.received[2]["message"]
    assert "macrorail resume" in receiver.received[3]["message"]
