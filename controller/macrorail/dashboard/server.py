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

#: Largest number of connections at the same time; further connections are answered with 503.
_MOST_CONNECTIONS = 400
#: Nice value of the server, so that runs and stacking have precedence.
_NICENESS = 5


@dataclass(frozen=True)
class Address:
    """The address on which the server listens.

    Attributes
    ----------
    host, port
        Host address and port; with ``127.0.0.1``, only this machine can connect.
    certificate, key
        PEM files for TLS; both or neither.
    """

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None

    @property
    def url(self) -> str:
        """URL of the page for a browser."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certificate else 'http'}://{host}:{self.port}/"


def check_access(address: Address, token: str | None) -> None:
    """Check that an address for other machines has a token and TLS.

    Raises
    ------
    ConfigError
        The token or TLS is missing, or the token is too short.
    """
    if (address.certificate is None) != (address.key is None):
        raise ConfigError("--cert and --key belong together: give both or neither")
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise ConfigError(
            f"the token has {len(token)} characters, but at least {SHORTEST_TOKEN} are needed; "
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
            f"--host {address.host} lets other machines control the instrument, which needs "
            f"{' and '.join(missing)}. Without --host only this machine can open the page"
        )


def is_this_machine(host: str) -> bool:
    """Return whether an address can be reached only from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve_page(settings: ServerSettings, address: Address, ready: Callable[[], None]) -> None:
    """Serve the page until SIGINT or SIGTERM; runs continue after the server has ended.

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
        # Open pages keep their connections open; do not wait until these are closed.
        timeout_graceful_shutdown=1,
    )
    os.nice(_NICENESS)
    ready()
    uvicorn.Server(config).run()
