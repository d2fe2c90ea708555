"""Paths of the files shipped with macrorail: example configurations and the firmware's sources.

In an installed wheel these files are inside the package. In a checkout they are beside the package.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "shipped"
_ROOT = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parents[1]

CONFIGS = _ROOT / "configs"
"""Folder of the shipped ``rigs``, ``protocols``, ``campaigns`` and ``lenses``."""

FIRMWARE = _ROOT / "firmware"
"""Folder of the firmware's sources and its Makefile."""


def _build_folder() -> Path:
    if _ROOT != _INSTALLED:
        return FIRMWARE / "build"
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no home folder is known; a build there reports why it cannot write
        cache = _INSTALLED / "cache"
    return cache / "macrorail" / f"firmware-{version('macrorail')}"


BUILD = _build_folder()
"""Folder of built firmware: in a checkout its ``firmware/build``, otherwise the user's cache."""
