"""Checks every request: host, origin, size, rate and, for other machines, the token."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import secrets
import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "macrorail"
LARGEST_BODY_BYTES = 256_000
SHORTEST_TOKEN = 16
_READING = {"GET", "HEAD"}
#: Paths that need no token: the files of the page, which asks for the token. They contain no data.
_OPEN_PATHS = ("/static/",)
_LOGIN = "/api/login"

#: Headers with which the page loads only its own files, and no other page may frame it.
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Access:
    """Rules of access to the page.

    Attributes
    ----------
    token
        Secret that must be entered once in each browser. If ``None``, everybody who can reach the
        port can use the page.
    names
        Additional host names of this machine.
    tls
        Whether the connection is encrypted.
    """

    token: str | None = None
    names: frozenset[str] = frozenset()
    tls: bool = False
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @property
    def secret(self) -> bytes:
        """Key that signs cookies; derived from the token, so cookies stay valid after a restart."""
        if self.token is None:
            return self._secret
        return hashlib.sha256(b"macrorail viewer " + self.token.encode()).digest()


class AccessRefused(Exception):
    """A request was refused, with this HTTP status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RateLimiter:
    """Limits the requests of each caller to a burst, then to a rate per second (token bucket).

    Parameters
    ----------
    burst
        Number of requests that a caller may make at once.
    per_s
        Number of requests per second that a caller may make after a burst.
    now
        Returns the time in seconds from a monotonic clock.
    """

    def __init__(
        self, burst: float, per_s: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst, self._per_s, self._now = burst, per_s, now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> bool:
        """Count a request from ``caller``; return whether the request is within the limits."""
        now_s = self._now()
        left, then_s = self._left.pop(caller, (self._burst, now_s))
        left = min(self._burst, left + (now_s - then_s) * self._per_s)
        allowed = left >= 1
        self._left[caller] = (left - 1 if allowed else left, now_s)
        if len(self._left) > 10_000:
            self._left.popitem(last=False)
        return allowed


class Guard:
    """ASGI middleware that checks every request before the application receives it.

    ``scope["viewer"]`` is set to the id of the browser that sent the request.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        self._commands = RateLimiter(burst=40, per_s=10)
        # Stops have a separate limit, so that a flood of other commands cannot block them.
        self._stops = RateLimiter(burst=40, per_s=10)
        self._logins = RateLimiter(burst=5, per_s=0.1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the request, then pass it to the application or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        new_cookie = None

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                for name, value in _HEADERS.items():
                    if name.encode() not in given:
                        message["headers"].append((name.encode(), value.encode()))
                if new_cookie is not None:
                    message["headers"].append((b"set-cookie", new_cookie.encode()))
            await send(message)

        try:
            self._check_host(headers)
            self._check_origin(scope, headers)
            viewer = self._viewer(headers)
            if viewer is None:
                path, token = scope["path"], self._access.token
                if token is None:
                    viewer = secrets.token_urlsafe(16)
                    new_cookie = self._signed_cookie(viewer)
                elif path == _LOGIN and scope["method"] == "POST":
                    body = await self._body(receive, headers)
                    self._check_token(body, token, _address(scope))
                    viewer = secrets.token_urlsafe(16)
                    new_cookie = self._signed_cookie(viewer)
                    await _respond(answer, 200, {"viewer": viewer})
                    return
                elif path != "/" and not path.startswith(_OPEN_PATHS):
                    raise AccessRefused(401, "the token is needed; open the page and enter it")
            scope["viewer"] = viewer or ""
            if scope["method"] not in _READING:
                self._check_rate(scope, viewer or _address(scope))
                receive = _replay(await self._body(receive, headers))
        except AccessRefused as refusal:
            await _respond(answer, refusal.status, {"error": str(refusal)})
            return
        await self._app(scope, receive, answer)

    def _check_host(self, headers: dict[str, str]) -> None:
        """Refuse unknown host names, which could belong to a foreign page (DNS rebinding)."""
        host = headers.get("host", "")
        name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
        own = {"localhost", socket.gethostname().lower(), socket.getfqdn().lower()}
        if name.lower() in own | self._access.names:
            return
        try:
            ipaddress.ip_address(name)
        except ValueError as error:
            raise AccessRefused(
                421, "this server does not have that name; start it with --name to allow it"
            ) from error

    def _check_origin(self, scope: Scope, headers: dict[str, str]) -> None:
        """Refuse requests that the browser sent from a page of another site."""
        own = f"{'https' if self._access.tls else 'http'}://{headers.get('host', '')}"
        origin = headers.get("origin")
        if origin is not None and origin != own:
            raise AccessRefused(403, "this request comes from another page")
        if scope["method"] in _READING:
            foreign = headers.get("sec-fetch-site") in {"cross-site", "same-site"}
            if foreign and headers.get("sec-fetch-mode") != "navigate":
                raise AccessRefused(403, "this request comes from another page")
        elif origin is None:
            raise AccessRefused(
                403,
                "commands are accepted only from the page; in scripts, use the macrorail command",
            )
        elif headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise AccessRefused(415, "commands must be JSON")

    def _check_rate(self, scope: Scope, caller: str) -> None:
        buckets = self._stops if scope["path"].endswith("/stop") else self._commands
        if not buckets.take(caller):
            raise AccessRefused(429, "too many commands at once; wait a second")

    def _check_token(self, body: bytes, token: str, address: str) -> None:
        if not self._logins.take(address):
            raise AccessRefused(429, "too many attempts; wait a minute")
        try:
            shown = json.loads(body)["token"]
            right = hmac.compare_digest(shown.encode(), token.encode())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise AccessRefused(400, "the token is missing") from error
        if not right:
            raise AccessRefused(401, "wrong token")

    async def _body(self, receive: Receive, headers: dict[str, str]) -> bytes:
        too_large = AccessRefused(
            413, f"a request may have {LARGEST_BODY_BYTES // 1000} kB at most"
        )
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > LARGEST_BODY_BYTES:
            raise too_large
        body: bytes = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise AccessRefused(400, "the request ended early")
            body += message.get("body", b"")
            if len(body) > LARGEST_BODY_BYTES:
                raise too_large
            if not message.get("more_body", False):
                return body

    def _signed_cookie(self, viewer: str) -> str:
        secure = "; Secure" if self._access.tls else ""
        value = f"{viewer}.{self._signature(viewer)}"
        return f"{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000{secure}"

    def _viewer(self, headers: dict[str, str]) -> str | None:
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return None
        viewer, _, signature = (cookie.value if cookie else "").rpartition(".")
        if not viewer or not signature.isascii():
            return None
        genuine = hmac.compare_digest(signature, self._signature(viewer))
        return viewer if genuine else None

    def _signature(self, viewer: str) -> str:
        return hmac.new(self._access.secret, viewer.encode(), hashlib.sha256).hexdigest()


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "?"


def _replay(body: bytes) -> Receive:
    """Return an ASGI receiver for a body that has been read already."""
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _respond(send: Send, status: int, content: dict[str, Any]) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
