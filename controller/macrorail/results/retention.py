"""Removes frames of old runs, only on request, and only of complete and verified runs.

A run is verified before any of its files is removed. The removed files are listed with their
hashes in ``frames/removed.json``, so that the run can still be verified afterwards.
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
    """The kind of files to remove.

    ``REJECTS`` are frames that are in no picture: rejected frames and frames of scene checks.
    ``FRAMES`` are all frames. Pictures, journal, manifest and report are never removed.
    """

    REJECTS = "rejects"
    FRAMES = "frames"


@dataclass(frozen=True)
class RemovableFiles:
    """The files of one run that can be removed.

    Attributes
    ----------
    folder
        The run folder.
    files
        Paths of the removable files.
    size_bytes
        Total size of the removable files.
    kept_because
        Reason why no file can be removed; empty when files can be removed.
    """

    folder: Path
    files: tuple[Path, ...] = ()
    size_bytes: int = 0
    kept_because: str = ""


def find_runs(folder: Path) -> list[Path]:
    """Return the paths of the run folders in ``folder``, or ``folder`` if it is a run folder.

    Raises
    ------
    ConfigError
        The folder contains no run folders.
    """
    found = sorted(
        journal.parent
        for journal in folder.rglob(JOURNAL)
        if (journal.parent / "frames").is_dir() and (journal.parent / "plan.json").is_file()
    )
    if not found:
        raise ConfigError(f"{folder} contains no run folders")
    return found


def tidy(
    folder: Path, removal: Removal, days: float, copy: Path | None, remove: bool
) -> RemovableFiles:
    """Find the files of a run that can be removed; remove them if ``remove`` is set.

    Parameters
    ----------
    folder
        A run folder.
    removal
        The kind of files to remove.
    days
        Smallest age of the run in days; files of a younger run are kept.
    copy
        A copy of the run folder; a file is removed only if the copy contains an identical file.
        ``None`` does not require a copy.
    remove
        Whether to remove the files; ``False`` only lists them.

    Returns
    -------
    RemovableFiles
        The files that were removed or can be removed, or the reason for keeping them.
    """
    try:
        with _locked(folder / JOURNAL):
            record = read_record(folder)
            finding = _find_removable(record, removal, days, copy)
            if remove and finding.files:
                _remove(record, finding)
            return finding
    except (MacrorailError, OSError) as error:
        return RemovableFiles(folder, kept_because=str(error))


def _find_removable(
    record: Record, removal: Removal, days: float, copy: Path | None
) -> RemovableFiles:
    folder = record.folder
    last = record.entries[-1]
    ended = last.event
    if not isinstance(ended, RunEnded) or ended.reason != FinishReason.COMPLETED.value:
        return RemovableFiles(
            folder, kept_because="the run is not complete; resume the run, or delete its folder"
        )
    age = datetime.now(UTC) - datetime.fromisoformat(last.at)
    if age < timedelta(days=days):
        return RemovableFiles(folder, kept_because=f"the run ended {age.days} day(s) ago")
    files = tuple(_candidates(folder, removal))
    if not files:
        return RemovableFiles(folder, kept_because="there is nothing to remove")
    for check in verify(record):
        if not check.holds:
            return RemovableFiles(folder, kept_because=f"{check.name}: {check.troubles[0]}")
    if copy is not None:
        for path in files:
            there = copy / path.relative_to(folder)
            if not there.is_file() or hash_file(there) != hash_file(path):
                return RemovableFiles(folder, kept_because=f"{there} is missing or differs")
    return RemovableFiles(folder, files, sum(path.stat().st_size for path in files))


def _candidates(folder: Path, removal: Removal) -> Iterator[Path]:
    # A killed controller leaves files that only reserve disk space, and incomplete files.
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


def _remove(record: Record, finding: RemovableFiles) -> None:
    folder = record.folder
    hashes = {str(path.relative_to(folder)): hash_file(path) for path in finding.files}
    record_of_removal = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": record.removed | hashes,
    }
    write_whole(folder / REMOVED, json.dumps(record_of_removal, indent=1))
    for path in finding.files:
        path.unlink()


@contextmanager
def _locked(journal: Path) -> Iterator[BinaryIO]:
    """Lock a run's journal and yield it, so that no other process can write it meanwhile."""
    with journal.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise JournalError("a controller is using this run") from error
        yield file
