"""Where the files that come with macrorail lie: example configurations and the firmware's sources.

A wheel carries them inside the package, a checkout has them beside it.
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
    except RuntimeError:  # nobody's home is known; what is built says where it cannot be written
        cache = _INSTALLED / "cache"
    return cache / "macrorail" / f"firmware-{version('macrorail')}"


BUILD = _build_folder()
"""Folder that built firmware is kept in: the checkout's, or the user's cache where installed."""
