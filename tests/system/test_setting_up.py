"""Setting up through the page: the session process moves, shoots, stops and lets go."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.page import PROTOCOL, Server, wait_for


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

    stopped_on_the_way(server)

    assert ask(server, "disconnect")[0] == 200
    assert ask(server, "move", {"to_um": 20_000.0})[0] == 409


def stopped_on_the_way(server: Server) -> None:
    """A far move, another one that has to wait its turn, and a stop by whoever sees it."""

    def move(to_um: float) -> None:
        ends.append(ask(server, "move", {"to_um": to_um}))

    def moves() -> bool:
        found = json.loads(server.ask("GET", "/api/status")[2])["status"]["instrument"]
        return bool(found and found["moving"])

    for attempt in range(10):
        ends: list[tuple[int, dict[str, Any]]] = []
        far = threading.Thread(target=move, args=(44_000.0 if attempt % 2 == 0 else 2_000.0,))
        far.start()
        while far.is_alive() and not moves():
            pass
        second = ask(server, "move", {"to_um": 20_000.0})[0]
        assert server.ask("POST", "/api/instrument/stop", {})[0] == 200
        far.join(90)
        (end,) = ends
        if end[0] == 200:
            continue  # it had arrived before this machine came round to stopping it
        assert "stopped" in end[1]["error"]
        assert second == 409
        return
    raise AssertionError("ten moves arrived before they could be stopped")


def look(server: Server, after: int = 0) -> tuple[int, int]:
    """Status and number of the next frame of live view."""
    status, headers, picture = server.ask("GET", f"/api/instrument/live.jpg?after={after}")
    assert status != 200 or picture[:2] == b"\xff\xd8"
    return status, int(headers.get("x-frame", 0))


def test_live_view_goes_on_beside_everything_else(server: Server) -> None:
    assert look(server)[0] == 409  # not connected
    status, found = ask(server, "connect")
    assert status == 200, found
    assert found["live"]
    assert {"f/2.8", "f/6.3"} <= set(found["choices"]["aperture"])
    assert "1/30 s" in found["choices"]["shutter"] and "100" in found["choices"]["iso"]
    assert ask(server, "home")[0] == 200
    first = wait_for(lambda: look(server)[1], "live view", 90)
    wait_for(lambda: look(server, first)[1] > first, "the next frame of live view", 90)

    numbers: list[int] = []
    looked_enough = threading.Event()

    def keep_looking() -> None:
        while not looked_enough.is_set():
            status, number = look(server, numbers[-1] if numbers else 0)
            if status == 200:
                numbers.append(number)

    looking = threading.Thread(target=keep_looking)
    looking.start()
    # A stop ends the move and not the look, whichever of the two hears of it first.
    stopped_on_the_way(server)
    assert ask(server, "move", {"to_um": 20_300.0})[0] == 200
    assert ask(server, "configure", {"protocol": PROTOCOL})[1]["settings"]["aperture"] == "f/5.6"
    assert ask(server, "shoot", {"protocol": PROTOCOL})[0] == 200
    after_all = len(numbers)
    wait_for(lambda: len(numbers) > after_all + 3, "live view after the shot", 90)
    looked_enough.set()
    looking.join(90)
    assert numbers == sorted(set(numbers))

    status, _, piece = server.ask("GET", "/api/instrument/detail.jpg?x=1&y=0")
    assert status == 200 and piece[:2] == b"\xff\xd8"
    for wrong in ("x=nan&y=0", "x=2&y=0", "x=0"):
        assert server.ask("GET", f"/api/instrument/detail.jpg?{wrong}")[0] == 422
    assert ask(server, "disconnect")[0] == 200
    assert look(server)[0] == 409


def test_somebody_who_watches_cannot_move_it(server: Server) -> None:
    cookie = {"Cookie": server.cookie()}
    assert server.ask("POST", "/api/operator", {"do": "take"}, cookie)[0] == 200
    for what in ("connect", "home", "disconnect"):
        status, _, answer = server.ask("POST", f"/api/instrument/{what}", {})
        assert status == 409
        assert b"someone else is in control" in answer
