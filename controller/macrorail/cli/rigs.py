"""Which rig a verb works with: the one named, or the simulated bench, said aloud."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from macrorail.errors import ConfigError
from macrorail.shipped import CONFIGS

RIG_HELP = "what the instrument is (YAML); without it, the simulated bench"


def default_rig_path() -> Path:
    """The rig of the simulated bench that comes with macrorail's source.

    Raises
    ------
    ConfigError
        macrorail is installed without its ``configs`` folder.
    """
    path = CONFIGS / "rigs" / "simulated-rail.yaml"
    if not path.is_file():
        raise ConfigError(
            f"the simulated bench's rig is not at {path}; name a rig with --rig, or install "
            f"macrorail from its checkout with 'pip install -e .'"
        )
    return path


def choose_rig(rig: Path | None, console: Console) -> Path:
    """``rig``, or the simulated bench, which is then announced so that nobody takes it for real.

    Raises
    ------
    ConfigError
        As :func:`default_rig_path`.
    """
    if rig is not None:
        return rig
    path = default_rig_path()
    console.print(
        f"[bold yellow]SIMULATED BENCH: NO REAL INSTRUMENT IS USED.[/] Rig {path}; name yours "
        f"with --rig.",
        soft_wrap=True,
    )
    return path
