"""Chooses the rig for a command: the rig given with ``--rig``, otherwise the simulated bench."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from macrorail.errors import ConfigError
from macrorail.shipped import CONFIGS

RIG_HELP = "rig file of the instrument (YAML); the simulated bench when not given"


def default_rig_path() -> Path:
    """Return the path of the shipped rig file that describes the simulated bench.

    Raises
    ------
    ConfigError
        macrorail is installed without its ``configs`` folder.
    """
    path = CONFIGS / "rigs" / "simulated-rail.yaml"
    if not path.is_file():
        raise ConfigError(
            f"the simulated bench's rig is not at {path}. Give a rig with --rig, or install "
            f"macrorail from its checkout with 'pip install -e .'"
        )
    return path


def choose_rig(rig: Path | None, console: Console) -> Path:
    """Return the rig file ``rig``; if it is ``None``, report and return the simulated bench's.

    Raises
    ------
    ConfigError
        macrorail is installed without its ``configs`` folder.
    """
    if rig is not None:
        return rig
    path = default_rig_path()
    console.print(
        f"[bold yellow]SIMULATED BENCH: NO REAL INSTRUMENT IS USED.[/] Rig {path}; give your rig "
        f"with --rig.",
        soft_wrap=True,
    )
    return path
