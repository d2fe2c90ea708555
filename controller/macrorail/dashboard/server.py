"""Starts the web server; other machines may connect only with a token and TLS."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import uvicorn

from macrorail.dashboard.app import create_app
from macrorail.dashboard.guard import SHORTEST_TOKEN
from macrorail.dashboard.page_state import ServerSettings
from macrorail.errors import ConfigError

#: Connections at once; further ones are answered with 503.
_MOST_CONNECTIONS = 400
#: Niceness: a run and its align/blend come first.
_NICENESS = 5


@dataclass(frozen=True)
class Address:
    """Where to listen, and how.

    Attributes
    ----------
    host, port
        ``127.0.0.1`` is this machine alone.
    certificate, key
        PEM files for TLS; both or neither.
    """

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None

    @property
    def url(self) -> str:
        """What to type into a browser."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certificate else 'http'}://{host}:{self.port}/"


def check_access(address: Address, token: str | None) -> None:
    """Refuse to listen to other machines without a token and TLS.

    Raises
    ------
    ConfigError
        The message says what is missing.
    """
    if (address.certificate is None) != (address.key is None):
        raise ConfigError("--cert and --key belong together: give both or neither")
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise ConfigError(
            f"the token has {len(token)} characters, at least {SHORTEST_TOKEN} are needed; "
            f"make one with: python3 -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    if is_this_machine(address.host):
        return
    missing = [
        name
        for name, there in (
            ("--token-file (a file with a secret in it)", token),
            ("--cert and --key (TLS)", address.certificate),
        )
        if there is None
    ]
    if missing:
        raise ConfigError(
            f"--host {address.host} lets other machines command the instrument; that needs "
            f"{' and '.join(missing)}. Without --host only this machine can open the page"
        )


def is_this_machine(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve_page(settings: ServerSettings, address: Address, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; runs continue.

    Parameters
    ----------
    ready
        Called just before the server listens.
    """
    check_access(address, settings.access.token)
    access = replace(settings.access, tls=address.certificate is not None)
    config = uvicorn.Config(
        create_app(replace(settings, access=access)),
        host=address.host,
        port=address.port,
        ssl_certfile=address.certificate,
        ssl_keyfile=address.key,
        log_level="warning",
        ws="none",
        lifespan="off",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=20,
        # Open pages hold their connections; do not wait for them.
        timeout_graceful_shutdown=1,
    )
    os.nice(_NICENESS)
    ready()
    uvicorn.Server(config).run()
