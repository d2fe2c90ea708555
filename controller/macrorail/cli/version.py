"""``macrorail --version``: the versions to give when reporting a problem."""

from __future__ import annotations

import importlib
import json
import platform
from importlib import metadata

import typer


def print_version(as_json: bool) -> None:
    """Print the version of macrorail; with ``as_json``, also the versions of its libraries."""
    own = metadata.version("macrorail")
    if not as_json:
        typer.echo(f"macrorail {own}")
        return
    versions = {
        "macrorail": own,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "numpy": metadata.version("numpy"),
        "opencv": metadata.version("opencv-python-headless"),
        "libgphoto2": _libgphoto2(),
    }
    typer.echo(json.dumps(versions, indent=2))


def _libgphoto2() -> str | None:
    """Return the version of libgphoto2; ``None`` if it is not installed."""
    try:
        library = importlib.import_module("gphoto2")
    except ImportError:
        return None
    return str(library.gp_library_version(library.GP_VERSION_SHORT)[0])
