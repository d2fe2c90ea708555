"""Reads a run folder, for reports, exports and verification."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from macrorail.errors import ConfigError, JournalError
from macrorail.run_folder.events import Event
from macrorail.run_folder.journal import JOURNAL, Entry, read_journal
from macrorail.run_folder.manifest import build_manifest

Kind = TypeVar("Kind", bound=Event)

MANIFEST = "manifest.json"
#: File that lists the files that ``macrorail tidy`` removed from a run, with their SHA-256.
REMOVED = "frames/removed.json"


@dataclass(frozen=True)
class Record:
    """The contents of a run folder.

    Attributes
    ----------
    folder
        The run folder.
    entries
        Entries of the journal; every line was checked.
    manifest
        Contents of ``manifest.json``; built from the journal when that file is missing.
    plan
        Contents of ``plan.json``; empty when that file is missing.
    began
        Date and time at which the run began, ISO 8601 with a time zone.
    removed
        SHA-256 of each file that ``macrorail tidy`` removed, by the file's path in the run folder.
    """

    folder: Path
    entries: list[Entry]
    manifest: dict[str, Any]
    plan: dict[str, Any]
    began: str
    removed: dict[str, str] = field(default_factory=dict)

    @property
    def slices(self) -> list[dict[str, Any]]:
        """Slices of the manifest in order of position, from near to far."""
        return sorted(self.manifest["slices"], key=lambda one: float(one["achieved_um"]))

    def all_of(self, kind: type[Kind]) -> list[Kind]:
        """Return the journal's events of one type, in their order."""
        return [entry.event for entry in self.entries if isinstance(entry.event, kind)]


def read_record(folder: Path) -> Record:
    """Read a run folder and return its contents.

    Raises
    ------
    ConfigError
        The folder is not a run folder, or its journal has no entries.
    JournalError
        The journal, manifest or plan is damaged; the message names the file.
    """
    journal = folder / JOURNAL
    if not journal.is_file():
        raise ConfigError(f"{folder} is not a run folder: it has no {JOURNAL}")
    entries = read_journal(journal)
    if not entries:
        raise ConfigError(f"{folder} is a run that ended before its first journal entry")
    manifest = _read_json(folder / MANIFEST) or build_manifest(entries)
    plan = _read_json(folder / "plan.json")
    removed = _read_json(folder / REMOVED).get("files", {})
    return Record(folder, entries, manifest, plan, entries[0].at, removed)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file in lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JournalError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise JournalError(f"{path} cannot be read: it does not contain a JSON object")
    return content
