"""What hostile callers try on the operator's page, and what happens to them."""

from __future__ import annotations

import concurrent.futures
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from macrorail.dashboard.guard import Access, Guard, RateLimiter
from macrorail.dashboard.server import Address, check_access
from macrorail.errors import ConfigError
from tests.page import PROTOCOL, Server, wait_for

TOKEN = "correct horse battery"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("page")
    server = Server(folder)
    run = server.runs / "20260101-000000-old"
    (run / "frames").mkdir(parents=True)
    (run / "plan.json").write_text('{"slices": [], "near_um": 0, "far_um": 1}')
    (run / "protocol.yaml").write_text("specimen: {id: old}\n")
    (run / "report.html").symlink_to("/etc/passwd")
    (run / "frames" / "0001.jpg").symlink_to("/etc/passwd")
    (server.runs / "elsewhere").symlink_to(run)
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for a token."""
    folder = tmp_path_factory.mktemp("closed")
    secret = folder / "secret.txt"
    secret.write_text(TOKEN + "\n")
    server = Server(folder, more=("--token-file", str(secret)))
    server.start()
    yield server
    server.close()


OLD = "/api/runs/20260101-000000-old"

#: What is tried, with which headers, and the status that it must get.
HOSTILE: list[tuple[str, str, str, Any, dict[str, str | None], int]] = [
    ("a page elsewhere starts a run", "POST", "/api/runs", {"protocol": PROTOCOL},
     {"Origin": "https://evil.example"}, 403),
    ("a page on another port of this machine", "POST", "/api/runs", {"protocol": PROTOCOL},
     {"Origin": "http://127.0.0.1:1"}, 403),
    ("a sandboxed page", "POST", "/api/operator", {"do": "take"}, {"Origin": "null"}, 403),
    ("no origin at all", "POST", "/api/operator", {"do": "take"}, {"Origin": None}, 403),
    ("a form on another page", "POST", "/api/operator", b"do=take",
     {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ("a form that looks like text", "POST", "/api/operator", b'{"do": "take"}',
     {"Content-Type": "text/plain"}, 415),
    ("a name pointed at this machine", "GET", "/api/runs", None, {"Host": "evil.example"}, 421),
    ("a picture loaded by another page", "GET", f"{OLD}/picture.jpg", None,
     {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
    ("out of the runs folder", "GET", "/api/runs/..%2f..%2fetc/files/protocol.yaml", None, {}, 404),
    ("out of a run folder", "GET", f"{OLD}/files/..%2f..%2f..%2fetc%2fpasswd", None, {}, 404),
    ("a file that is nobody's business", "GET", f"{OLD}/files/journal.jsonl", None, {}, 404),
    ("the runs folder itself", "GET", "/api/runs/./files/protocol.yaml", None, {}, 404),
    ("a hidden folder", "GET", "/api/runs/.git/files/protocol.yaml", None, {}, 404),
    ("a link among the runs", "GET", "/api/runs/elsewhere/files/protocol.yaml", None, {}, 404),
    ("a link for a report", "GET", f"{OLD}/report.html", None, {}, 404),
    ("a link for a frame", "GET", f"{OLD}/frames/1.jpg", None, {}, 404),
    ("a nul byte in a name", "GET", "/api/runs/a%00b/files/protocol.yaml", None, {}, 404),
    ("out of the static files", "GET", "/static/..%2f..%2f..%2fpyproject.toml", None, {}, 404),
    ("a protocol from elsewhere", "GET", "/api/protocols/..%2fsmall-rig.yaml", None, {}, 404),
    ("a protocol saved elsewhere", "POST", "/api/protocols",
     {"name": "../evil.yaml", "protocol": PROTOCOL}, {}, 400),
    ("a protocol without an end", "POST", "/api/protocols/read", b"x" * 5_000_000, {}, 413),
    ("a length that is none", "POST", "/api/plan", {}, {"Content-Length": "-1"}, 400),
    ("no JSON", "POST", "/api/plan", b"{" * 1000, {}, 422),
    ("JSON nested without an end", "POST", "/api/plan", b"[" * 100_000, {}, 400),
    ("JSON of another shape", "POST", "/api/plan", [1, 2, 3], {}, 422),
    ("a key too many", "POST", "/api/operator", {"do": "take", "as": "root"}, {}, 422),
    ("a command that does not exist", "POST", f"{OLD}/command", {"do": "format"}, {}, 422),
    ("a stop where nothing runs", "POST", f"{OLD}/stop", {}, {}, 409),
    ("out of the pictures stacked again", "GET", f"{OLD}/stacked-again/..%2f..%2fsecret.tif",
     None, {}, 404),
    ("stacked again with words for options", "POST", f"{OLD}/stack",
     {"quality": "--output=/etc/passwd"}, {}, 422),
    ("a picture of a million pixels' width", "GET", f"{OLD}/picture.jpg?width=1000000", None, {},
     404),
    ("a verb that is not served", "DELETE", OLD, {}, {}, 404),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "wanted"),
    [row[1:] for row in HOSTILE],
    ids=[row[0] for row in HOSTILE],
)
def test_hostile_requests_are_refused(
    server: Server,
    method: str,
    path: str,
    body: Any,
    headers: dict[str, str | None],
    wanted: int,
) -> None:
    try:
        status, _, answer = server.ask(method, path, body, headers)
    except (BrokenPipeError, ConnectionResetError):
        status, answer = 413, b""  # refused before it was sent to its end
    assert status == wanted, answer
    assert b"Traceback" not in answer and b"root:" not in answer
    assert [run.name for run in server.run_folders()] == ["20260101-000000-old", "elsewhere"]
    assert not (server.folder / "evil.yaml").exists()
    assert server.ask("GET", "/api/runs")[0] == 200


def test_bytes_that_are_no_request_at_all(server: Server) -> None:
    for junk in (b"\0" * 4096, b"GET\r\n\r\n", os.urandom(4096), b"GET / HTTP/1.1\r\n" * 3000):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
            try:
                raw.sendall(junk)
                raw.shutdown(socket.SHUT_WR)
                while raw.recv(65536):
                    pass
            except OSError:
                pass  # hung up on, which is an answer too
    assert server.ask("GET", "/api/runs")[0] == 200


def test_a_plan_without_an_end_is_cut_short(server: Server) -> None:
    endless = {**PROTOCOL, "overlap": "", "step": "1 nm", "max_slices": "1000000000"}
    status, _, answer = server.ask("POST", "/api/plan", {"protocol": endless})
    assert status == 200
    assert "5000 slices" in json.loads(answer)["error"]


def test_yaml_that_grows_is_refused(server: Server) -> None:
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nspecimen: *b\n"
    status, _, answer = server.ask("POST", "/api/protocols/read", {"text": bomb})
    assert status == 400
    assert "line" in json.loads(answer)["error"]


def test_a_thousand_callers_are_told_to_wait_and_the_next_one_is_served(server: Server) -> None:
    opened: list[socket.socket] = []
    try:
        answers = {"200": 0, "503": 0}

        def call() -> None:
            caller = socket.create_connection(("127.0.0.1", server.port), timeout=90)
            caller.sendall(b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % server.port)
            opened.append(caller)

        def hear(caller: socket.socket) -> None:
            caller.settimeout(90)
            answers[caller.recv(64).split()[1].decode()] += 1

        # One is heard before the others come, who on a slow machine are counted all at once.
        call()
        hear(opened[0])
        for _ in range(999):
            call()
        for caller in opened[1:]:
            hear(caller)
    finally:
        for caller in opened:
            caller.close()
    assert 1 <= answers["200"] <= 100
    assert answers["200"] + answers["503"] == 1000
    wait_for(lambda: server.ask("GET", "/api/runs")[0] == 200, "the server to have room", 90)


def test_commands_are_limited_but_a_stop_still_comes_through() -> None:
    now_s = [0.0]
    bucket = RateLimiter(burst=40, per_s=10, now=lambda: now_s[0])
    assert sum(bucket.take("somebody") for _ in range(1000)) == 40
    assert bucket.take("somebody else")
    now_s[0] += 0.5
    assert sum(bucket.take("somebody") for _ in range(1000)) == 5


def test_a_flood_of_commands_is_turned_away(server: Server) -> None:
    cookie = server.ask("GET", "/")[1]["set-cookie"].partition(";")[0]

    def ask(path: str) -> int:
        return server.ask("POST", path, {}, {"Cookie": cookie})[0]

    # However slow the machine is, more than ten a second come at some time.
    with concurrent.futures.ThreadPoolExecutor(8) as callers:
        for _ in range(10):
            if 429 in list(callers.map(ask, [f"{OLD}/resume"] * 80)):
                break
        else:
            raise AssertionError("800 commands in a row were all let in")
    assert ask(f"{OLD}/stop") == 409  # refused by the run that is not there, not by the guard


def test_without_the_token_nothing_is_told(closed: Server) -> None:
    for path in (
        "/api/runs",
        "/api/events",
        "/api/protocols",
        "/api/instrument/live.jpg",
        f"{OLD}/picture.jpg",
    ):
        assert closed.ask("GET", path)[0] == 401
    for path in ("/api/runs", "/api/plan", f"{OLD}/stop", "/api/operator"):
        assert closed.ask("POST", path, {})[0] == 401
    assert closed.ask("GET", "/")[0] == 200
    forged = {"Cookie": "macrorail=somebody.0123456789abcdef"}
    assert closed.ask("GET", "/api/runs", headers=forged)[0] == 401


def test_the_token_opens_and_outlives_a_restart_but_guessing_is_slow(closed: Server) -> None:
    status, headers, _ = closed.ask("POST", "/api/login", {"token": TOKEN})
    assert status == 200
    assert "HttpOnly" in headers["set-cookie"] and "SameSite=Strict" in headers["set-cookie"]
    cookie = {"Cookie": headers["set-cookie"].partition(";")[0]}
    assert closed.ask("GET", "/api/runs", headers=cookie)[0] == 200
    began_s = time.monotonic()
    guesses = [closed.ask("POST", "/api/login", {"token": f"guess {n}"})[0] for n in range(12)]
    assert set(guesses) == {401, 429}
    assert guesses.count(401) <= 6 + 0.1 * (time.monotonic() - began_s)
    closed.kill()
    closed.start()
    assert closed.ask("GET", "/api/runs", headers=cookie)[0] == 200


def test_every_answer_carries_the_policy(server: Server) -> None:
    for path in ("/", "/static/js/main.js", "/api/runs", "/api/runs/none/report.html"):
        _, headers, _ = server.ask("GET", path)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("address", "token", "says"),
    [
        (Address("0.0.0.0", 80), None, "--token-file"),
        (Address("0.0.0.0", 80), "x" * 20, "--cert and --key"),
        (Address("192.168.1.5", 80), None, "other machines"),
        (Address("lab-pc", 80), None, "other machines"),
        (Address("::", 80), "x" * 20, "--cert"),
        (Address("127.0.0.1", 80, certificate=Path("c.pem")), None, "belong together"),
        (Address("127.0.0.1", 80), "short", "at least 16"),
    ],
)
def test_other_machines_need_token_and_encryption(
    address: Address, token: str | None, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        check_access(address, token)


def test_this_machine_needs_neither() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"):
        check_access(Address(host, 80), None)
    check_access(Address("0.0.0.0", 443, Path("c.pem"), Path("k.pem")), "x" * 20)


def test_a_cookie_belongs_to_its_token() -> None:
    async def nothing(*_: Any) -> None:
        raise AssertionError("not asked")

    one = Guard(nothing, Access("a" * 16))
    sealed = one._signed_cookie("me").partition(";")[0]
    assert one._viewer({"cookie": sealed}) == "me"
    assert Guard(nothing, Access("b" * 16))._viewer({"cookie": sealed}) is None
    assert one._viewer({"cookie": sealed.replace("me.", "you.")}) is None
