"""The run folder and its write-ahead journal, which records intentions and events in order.

A line of ``journal.jsonl`` is on disk (fsync) before the action it announces, and before anything
that relies on the line. Every line contains its number and a checksum, so that damage to the
journal is detected at the damaged line.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from macrorail.errors import JournalError
from macrorail.frame import sync_folder
from macrorail.run_folder.events import Event, event_of, kind_of, values_of

JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class Entry:
    """One line of the journal.

    Attributes
    ----------
    number
        Number of the line, counted from 1 without a gap.
    world_s
        Run time (real or simulated) in seconds since the run's start, >= 0.
    event
        The event that the line records.
    at
        Date and time, ISO 8601 with a time zone.
    """

    number: int
    world_s: float
    event: Event
    at: str = ""


class Journal:
    """Appends to a run's journal; existing lines are never rewritten.

    The file is locked while it is open, so that two controllers cannot write to the same run.

    Parameters
    ----------
    path
        ``journal.jsonl`` in the run folder.
    now
        Returns the run time in seconds.
    resume
        False for a new run, whose journal must not exist yet; True to continue an existing
        journal. A last line that a crash left incomplete is cut off; the action that the line
        announced never began.

    Raises
    ------
    JournalError
        The journal of a new run exists already. Or the journal to continue is missing, is
        damaged, or is in use by a running controller.
    """

    def __init__(self, path: Path, now: Callable[[], float], resume: bool = False) -> None:
        try:
            # Unbuffered: a line that a full disk refuses must not be written with the next line.
            self._file = path.open("r+b" if resume else "xb", buffering=0)
        except OSError as error:
            raise JournalError(f"{path}: cannot open the journal: {error.strerror}") from error
        self.path = path
        self._lock()
        self._length = 0
        self._end = 0
        self._torn = False
        # Run time continues from the last entry: the time since then was not measured.
        self._now, self._start_s = now, now()
        if resume:
            self._continue()
        sync_folder(path.parent)
        self._listeners: list[Callable[[Entry], None]] = []

    def _continue(self) -> None:
        """Continue the journal after its last complete line."""
        try:
            entries = read_journal(self.path)
            self._length = len(entries)
            self._start_s -= entries[-1].world_s if entries else 0.0
            self._end = self._file.read().rfind(b"\n") + 1
            self._cut()
        except (JournalError, OSError):
            self._file.close()
            raise

    def _cut(self) -> None:
        """Cut the file after its last complete line."""
        self._file.truncate(self._end)
        self._file.seek(self._end)
        self._torn = False

    def listen(self, listener: Callable[[Entry], None]) -> None:
        """Call ``listener`` with each entry, once it is on disk."""
        self._listeners.append(listener)

    def append(self, event: Event) -> Entry:
        """Write one event and return once it is on disk.

        Raises
        ------
        JournalError
            The disk is full or missing. The action that the event announces must not be done.
        """
        world_s = round(self._now() - self._start_s, 6)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = Entry(self._length + 1, world_s, event, at)
        line, kind = encode(entry), kind_of(event)
        if self._file.closed:
            raise JournalError(f"{self.path}: the journal is closed, so ({kind}) is not written")
        try:
            if self._torn:
                self._cut()
            self._write(line)
            os.fsync(self._file.fileno())
        except OSError as error:
            # An incomplete line would make the next line unreadable once the disk has space again.
            self._torn = True
            with suppress(OSError):
                self._cut()
            raise JournalError(
                f"{self.path}: cannot write entry {entry.number} ({kind}): {error.strerror}; "
                f"every counted slice is on disk"
            ) from error
        self._end += len(line)
        self._length += 1
        for listener in self._listeners:
            listener(entry)
        return entry

    def _write(self, line: bytes) -> None:
        left = memoryview(line)
        while left:
            left = left[self._file.write(left) :]

    def reopen(self) -> None:
        """Reopen the journal file; the open file is unusable after its folder was unmounted.

        Raises
        ------
        JournalError
            The journal is missing, another controller uses it, or entries are missing from it.
        """
        # Close the open file first, because its lock would prevent locking the reopened file.
        with suppress(OSError):
            self._file.close()
        try:
            self._file = self.path.open("r+b", buffering=0)
            self._lock()
            kept = self._file.read()[: self._end]
            if len(kept) < self._end or kept.count(b"\n") != self._length:
                self._file.close()
                raise JournalError(
                    f"{self.path}: {self._length} entries were written, and some are missing now. "
                    f"Check that the right folder is mounted, then resume the run"
                )
            self._cut()
        except OSError as error:
            raise JournalError(f"{self.path}: cannot open the journal: {error.strerror}") from error

    def _lock(self) -> None:
        import fcntl  # Windows has no fcntl; there journals can only be read

        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise JournalError(
                f"{self.path}: another macrorail is using this run folder; stop it first"
            ) from error

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()


def encode(entry: Entry) -> bytes:
    """Return an entry as a line of the journal, including the newline."""
    body = json.dumps(
        {
            "n": entry.number,
            "t": entry.world_s,
            "at": entry.at,
            "event": kind_of(entry.event),
            **values_of(entry.event),
        },
        ensure_ascii=False,
    )
    # The checksum comes last, over everything before it, so that the line stays plain JSON.
    return f'{body[:-1]}, "crc": "{zlib.crc32(body.encode()):08x}"}}\n'.encode()


def _read_line(line: bytes) -> dict[str, Any]:
    """Return a line's keys and values; raise ``ValueError`` when its checksum is wrong."""
    body, _, tail = line.rpartition(b', "crc": "')
    if zlib.crc32(body + b"}") != int(tail[:8], 16) or tail[8:] != b'"}':
        raise ValueError("checksum")
    values: dict[str, Any] = json.loads(body + b"}")
    return values


def _decode(path: Path, number: int, line: bytes) -> Entry:
    """Return the entry in line ``number``."""
    try:
        values = _read_line(line)
        n, world_s, kind, at = (values.pop(key) for key in ("n", "t", "event", "at"))
    except (ValueError, KeyError) as error:
        raise JournalError(
            f"{path}:{number}: this line is damaged; the entries before it are intact. "
            f"Restore the file from a copy, or stack the frames without the journal"
        ) from error
    if n != number:
        raise JournalError(f"{path}:{number}: found entry {n} here, so lines are missing")
    try:
        return Entry(number, world_s, event_of(kind, values), at)
    except ValueError as error:
        raise JournalError(
            f"{path}:{number}: {error}; read it with the version of macrorail that wrote it"
        ) from error


def read_journal(path: Path) -> list[Entry]:
    """Read a journal, check every line and return its entries.

    A last line that a crash left incomplete (no newline at its end) is skipped; the action that
    the line announced never began. A line of an unknown kind becomes an ``UnknownEvent``.

    Raises
    ------
    JournalError
        The file cannot be read, or a line before the last is damaged or missing. The message
        names the file and the line.
    """
    return [entry for entry, _ in new_entries(path)]


def new_entries(path: Path, offset: int = 0, known: int = 0) -> Iterator[tuple[Entry, int]]:
    """Read and check the entries that were added to a journal since it was last read.

    An incomplete line at the end is skipped: it is still being written, or a crash cut it off.

    Parameters
    ----------
    path
        The journal.
    offset
        Offset in bytes at which the previous reading ended; 0 for the first reading.
    known
        Number of entries read so far.

    Yields
    ------
    Entry, int
        An entry, and the offset of the end of its line.

    Raises
    ------
    JournalError
        The file cannot be read, or a line is damaged or missing.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            *lines, _torn = file.read().split(b"\n")
    except OSError as error:
        raise JournalError(f"{path}: cannot read the journal: {error.strerror}") from error
    for number, line in enumerate(lines, known + 1):
        offset += len(line) + 1
        yield _decode(path, number, line), offset


def create_run_folder(parent: Path, name: str) -> Path:
    """Create a run folder ``<date>-<time>-<name>`` that contains ``frames/``; return its path.

    Parameters
    ----------
    parent
        Folder for all runs; created when missing.
    name
        Identifier of the specimen; letters, digits and ``-_.`` only.

    Raises
    ------
    JournalError
        The folder cannot be created.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for suffix in ("", *(f"-{n}" for n in range(2, 100))):
            folder = parent / f"{stamp}-{name}{suffix}"
            if not folder.exists():
                (folder / "frames").mkdir(parents=True)
                sync_folder(parent)
                return folder
    except OSError as error:
        raise JournalError(f"{parent}: cannot make a run folder there: {error.strerror}") from error
    raise JournalError(f"{parent}: a hundred runs of {name} started within one second")


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that the file on disk is either complete or unchanged.

    Raises
    ------
    JournalError
        The disk is full or missing.
    """
    aside = path.with_name(f".{path.name}.part")
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise JournalError(f"{path}: cannot be written: {error.strerror}") from error
