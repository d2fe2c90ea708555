"""Which frames of old runs may go: only of runs that are done and whole, only what is asked for.

Nothing is removed before its whole run was verified, and ``frames/removed.json`` names every file
with its hash before it goes, so that the run can still be verified afterwards.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from macrorail.errors import ConfigError, JournalError, MacrorailError
from macrorail.results.verify import verify
from macrorail.run_folder.events import RunEnded
from macrorail.run_folder.journal import JOURNAL, write_whole
from macrorail.run_folder.record import REMOVED, Record, hash_file, read_record
from macrorail.run_folder.reserve import RESERVED
from macrorail.states import FinishReason


class Removal(Enum):
    """What goes.

    ``REJECTS`` are frames that are in no picture: rejected ones, and those of checks of the scene.
    ``FRAMES`` are these and all others; pictures, journal, manifest and report stay.
    """

    REJECTS = "rejects"
    FRAMES = "frames"


@dataclass(frozen=True)
class Finding:
    """What can go of one run.

    Attributes
    ----------
    folder
        The run folder.
    files
        That can go.
    size_bytes
        Of these.
    kept_because
        Why nothing of this run can go; empty when something can.
    """

    folder: Path
    files: tuple[Path, ...] = ()
    size_bytes: int = 0
    kept_because: str = ""


def find_runs(folder: Path) -> list[Path]:
    """The run folders in a folder, or the folder itself if it is one.

    Raises
    ------
    ConfigError
        There is none.
    """
    found = sorted(
        journal.parent
        for journal in folder.rglob(JOURNAL)
        if (journal.parent / "frames").is_dir() and (journal.parent / "plan.json").is_file()
    )
    if not found:
        raise ConfigError(f"{folder} holds no run folders")
    return found


def tidy(folder: Path, removal: Removal, days: float, copy: Path | None, remove: bool) -> Finding:
    """Look what can go of a run, and remove it if wanted.

    Parameters
    ----------
    folder
        A run folder.
    removal
        What is wanted to go.
    days
        Only of runs that ended so long ago.
    copy
        Only files that lie in this copy of the run's folder as well, byte for byte.
    remove
        False only looks.
    """
    try:
        with _held(folder / JOURNAL):
            record = read_record(folder)
            finding = _look(record, removal, days, copy)
            if remove and finding.files:
                _remove(record, finding)
            return finding
    except (MacrorailError, OSError) as error:
        return Finding(folder, kept_because=str(error))


def _look(record: Record, removal: Removal, days: float, copy: Path | None) -> Finding:
    folder = record.folder
    last = record.entries[-1]
    ended = last.event
    if not isinstance(ended, RunEnded) or ended.reason != FinishReason.COMPLETED.value:
        return Finding(folder, kept_because="it is not complete: resume it, or remove it by hand")
    age = datetime.now(UTC) - datetime.fromisoformat(last.at)
    if age < timedelta(days=days):
        return Finding(folder, kept_because=f"it ended {age.days} day(s) ago")
    files = tuple(_candidates(folder, removal))
    if not files:
        return Finding(folder, kept_because="there is nothing to remove")
    for check in verify(record):
        if not check.holds:
            return Finding(folder, kept_because=f"{check.name}: {check.troubles[0]}")
    if copy is not None:
        for path in files:
            there = copy / path.relative_to(folder)
            if not there.is_file() or hash_file(there) != hash_file(path):
                return Finding(folder, kept_because=f"{there} is not there as a faithful copy")
    return Finding(folder, files, sum(path.stat().st_size for path in files))


def _candidates(folder: Path, removal: Removal) -> Iterator[Path]:
    # What a killed controller held, and files that it was writing: of no use to anybody.
    yield from folder.glob(RESERVED)
    yield from folder.glob("frames/.*.part")
    yield from sorted(folder.glob("checks/*.*"))
    if removal is Removal.REJECTS:
        yield from sorted(folder.glob("frames/rejected-*"))
        return
    for where in ("frames", "exposures"):
        for path in sorted((folder / where).glob("[!.]*.*")):
            if path.name != Path(REMOVED).name:
                yield path


def _remove(record: Record, finding: Finding) -> None:
    folder = record.folder
    hashes = {str(path.relative_to(folder)): hash_file(path) for path in finding.files}
    told = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "files": record.removed | hashes}
    write_whole(folder / REMOVED, json.dumps(told, indent=1))
    for path in finding.files:
        path.unlink()


@contextmanager
def _held(journal: Path) -> Iterator[BinaryIO]:
    """Keep every controller out of a run while the block runs."""
    with journal.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise JournalError("a controller is at work in it") from error
        yield file
