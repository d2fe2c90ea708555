"""Setting up through the page: the session process moves, shoots, stops and lets go."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.page import PROTOCOL, Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    server.close()


def ask(server: Server, what: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    cookie = {"Cookie": server.cookie()}
    status, _, answer = server.ask("POST", f"/api/instrument/{what}", body or {}, cookie)
    return status, json.loads(answer)


def test_moves_shoots_stops_and_lets_go(server: Server) -> None:
    assert ask(server, "home")[0] == 409  # not connected
    status, found = ask(server, "connect")
    assert status == 200, found
    assert found["position_um"] is None
    assert found["travel_um"] == [1000.0, 45000.0]
    assert ask(server, "home")[0] == 200

    status, found = ask(server, "move", {"to_um": 20_300.0})
    assert status == 200
    assert found["position_um"] == pytest.approx(20_300, abs=0.7)
    status, refused = ask(server, "move", {"to_um": 46_000.0})
    assert status >= 400
    assert "45" in refused["error"]

    status, found = ask(server, "shoot", {"protocol": PROTOCOL})
    assert status == 200, found
    assert found["settings"]["aperture"] == "f/5.6"
    status, headers, picture = server.ask("GET", "/api/instrument/picture.jpg?width=1600")
    assert status == 200
    assert headers["content-type"] == "image/jpeg"
    assert picture[:2] == b"\xff\xd8"

    far: list[tuple[int, dict[str, Any]]] = []
    moving = threading.Thread(target=lambda: far.append(ask(server, "move", {"to_um": 44_000.0})))
    moving.start()
    time.sleep(0.3)
    assert ask(server, "move", {"to_um": 20_000.0})[0] == 409  # one at a time
    assert server.ask("POST", "/api/instrument/stop", {})[0] == 200  # by whoever sees it
    moving.join(20)
    assert far and far[0][0] >= 400
    assert "stopped" in far[0][1]["error"]

    assert ask(server, "disconnect")[0] == 200
    assert ask(server, "move", {"to_um": 20_000.0})[0] == 409


def test_somebody_who_watches_cannot_move_it(server: Server) -> None:
    cookie = {"Cookie": server.cookie()}
    assert server.ask("POST", "/api/desk", {"do": "take"}, cookie)[0] == 200
    for what in ("connect", "home", "disconnect"):
        status, _, answer = server.ask("POST", f"/api/instrument/{what}", {})
        assert status == 409
        assert b"somebody else operates" in answer
