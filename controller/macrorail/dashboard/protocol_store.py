"""The folder of protocols that the page opens and saves."""

from __future__ import annotations

import re
from pathlib import Path

from macrorail.errors import ConfigError
from macrorail.run_folder.journal import write_whole

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\.yaml")
_MOST_LISTED = 500


class ProtocolStore:
    """Reads and saves protocols by their file names.

    Parameters
    ----------
    folder
        Folder of the protocols; created when the first protocol is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Return the names of the protocols that can be opened."""
        if not self.folder.is_dir():
            return []
        found = (p.name for p in self.folder.iterdir() if p.is_file() and not p.is_symlink())
        return sorted(name for name in found if _NAME.fullmatch(name))[:_MOST_LISTED]

    def read(self, name: str) -> str:
        """Return the text of a protocol.

        Raises
        ------
        ConfigError
            There is no protocol of this name.
        """
        if name not in self.names():
            raise ConfigError(f"there is no protocol called {name[:80]!r} in {self.folder}")
        return (self.folder / name).read_text(encoding="utf-8")

    def save(self, name: str, text: str, replace: bool) -> None:
        """Write a protocol.

        Raises
        ------
        ConfigError
            The name is not allowed, or a protocol of this name exists and ``replace`` is not set.
        JournalError
            The protocol cannot be written, for instance because the disk is full.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError(
                "a protocol's name has up to 64 letters, digits, '-', '_' or '.', and ends in "
                "'.yaml'"
            )
        if (self.folder / name).exists() and not replace:
            raise ConfigError(f"{name} exists already; choose another name, or replace {name}")
        if (self.folder / name).is_symlink():
            raise ConfigError(f"{name} is a link and is not overwritten")
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / name, text)
