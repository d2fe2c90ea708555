"""``macrorail serve``: the operator's page, for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from macrorail.cli.messages import message_console
from macrorail.cli.rigs import RIG_HELP, choose_rig
from macrorail.errors import ConfigError
from macrorail.extras import needs_extra


def serve(
    rig: Annotated[Path | None, typer.Option(help=RIG_HELP)] = None,
    runs: Annotated[Path, typer.Option(help="folder for the run folders")] = Path("runs"),
    protocols: Annotated[Path, typer.Option(help="folder of the protocols")] = Path(
        "configs/protocols"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8750,
    host: Annotated[
        str,
        typer.Option(help="address to listen on; for other addresses, a token and TLS are needed"),
    ] = "127.0.0.1",
    token_file: Annotated[
        Path | None, typer.Option(help="file with the secret that each browser enters once")
    ] = None,
    cert: Annotated[Path | None, typer.Option(help="TLS certificate (PEM)")] = None,
    key: Annotated[
        Path | None, typer.Option(help="private key of the TLS certificate (PEM)")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="another host name of this machine; repeatable")
    ] = None,
) -> None:
    """Serve the page on which runs are set up, started, watched and stopped.

    Runs are separate processes, which continue when the page is closed or the server ends. Several
    people may watch, one person at a time operates, and everybody may stop a run.

    Examples:

      macrorail serve

      macrorail serve --rig lab.yaml --runs /data/runs

      macrorail serve --host 0.0.0.0 --token-file secret.txt --cert cert.pem --key key.pem
    """
    with needs_extra("dashboard", "the operator's page"):
        from macrorail.dashboard.guard import Access
        from macrorail.dashboard.page_state import ServerSettings
        from macrorail.dashboard.server import Address, serve_page
    console = message_console()
    address = Address(host, port, cert, key)
    token = None if token_file is None else _read_token(token_file)
    access = Access(token, frozenset(n.lower() for n in name or ()))
    settings = ServerSettings(runs, choose_rig(rig, console).absolute(), protocols, access)
    serve_page(
        settings,
        address,
        lambda: console.print(
            f"The page is at {address.url} (Ctrl-C ends the server; runs continue)"
        ),
    )


def _read_token(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the token cannot be read: {error}") from error
