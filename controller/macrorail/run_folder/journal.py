"""The run folder and its write-ahead journal: what was intended, what happened, in what order.

A line of ``journal.jsonl`` is on disk (fsync) before the act it announces, and before anything
that relies on it. Every line carries its number and a checksum, so that a torn or altered journal
is noticed at the line where it happened.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
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
        Counts from 1 without a gap.
    world_s
        World time in seconds since the run's start, >= 0.
    event
        What happened: ``started``, ``state``, ``intent``, ``exposed``, ``counted`` ...
    fields
        The rest, as JSON values.
    at
        Time of day, ISO 8601 with its time zone.
    """

    number: int
    world_s: float
    event: str
    fields: dict[str, Any]
    at: str = ""

    @cached_property
    def typed(self) -> Event:
        """What happened, as a type of :mod:`macrorail.run_folder.events`."""
        return event_of(self.event, self.fields)


class Journal:
    """Appends to a run's journal; nothing is ever rewritten.

    The file is locked while it is open: two controllers cannot write one run.

    Parameters
    ----------
    path
        ``journal.jsonl`` in the run folder.
    now
        World time in seconds.
    resume
        False for a new run, whose journal must not exist yet; True to go on with one that does.
        A line that a crash has torn is cut off: what it announced was never begun.

    Raises
    ------
    JournalError
        It exists already, is not there, is damaged, or belongs to a controller that is running.
    """

    def __init__(self, path: Path, now: Callable[[], float], resume: bool = False) -> None:
        try:
            # Unbuffered: a line that a full disk refuses must not come back with the next one.
            self._file = path.open("r+b" if resume else "xb", buffering=0)
        except OSError as error:
            raise JournalError(f"{path}: cannot open the journal: {error.strerror}") from error
        self.path = path
        self._lock()
        self._length = 0
        self._end = 0
        self._torn = False
        # World time goes on from the last entry: nobody was there to measure the time between.
        self._now, self._start_s = now, now()
        if resume:
            self._take_up()
        sync_folder(path.parent)
        self._listeners: list[Callable[[Entry], None]] = []

    def _take_up(self) -> None:
        """Go on behind the last whole line."""
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
        """End the file after its last whole line."""
        self._file.truncate(self._end)
        self._file.seek(self._end)
        self._torn = False

    def listen(self, listener: Callable[[Entry], None]) -> None:
        """Tell ``listener`` each entry, once it is on disk."""
        self._listeners.append(listener)

    def append(self, event: Event | str, **fields: Any) -> Entry:
        """Write one event and return once it is on disk.

        Raises
        ------
        JournalError
            The disk is full or gone: nothing may be done that this entry announces.
        """
        if isinstance(event, Event):
            kind, fields = kind_of(event), values_of(event)
        else:
            kind = event
        world_s = round(self._now() - self._start_s, 6)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = Entry(self._length + 1, world_s, kind, fields, at)
        line = _encode(entry)
        if self._file.closed:
            raise JournalError(f"{self.path}: the journal is closed, so ({kind}) is not written")
        try:
            if self._torn:
                self._cut()
            self._write(line)
            os.fsync(self._file.fileno())
        except OSError as error:
            # Half a line would make the next one unreadable, should the disk have room again.
            self._torn = True
            with suppress(OSError):
                self._cut()
            raise JournalError(
                f"{self.path}: cannot write entry {entry.number} ({kind}): {error.strerror}; "
                f"every slice counted so far is on disk"
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

    def renew(self) -> None:
        """Open the file anew: what was open before a folder went away leads nowhere any more.

        Raises
        ------
        JournalError
            It is not there, another controller has it, or it lacks what was written.
        """
        # First, or our own lock would keep us out.
        with suppress(OSError):
            self._file.close()
        try:
            self._file = self.path.open("r+b", buffering=0)
            self._lock()
            kept = self._file.read()[: self._end]
            if len(kept) < self._end or kept.count(b"\n") != self._length:
                self._file.close()
                raise JournalError(
                    f"{self.path}: {self._length} entries were written, and they are no longer "
                    f"there; see whether the right folder is mounted, then resume the run"
                )
            self._cut()
        except OSError as error:
            raise JournalError(f"{self.path}: cannot open the journal: {error.strerror}") from error

    def _lock(self) -> None:
        import fcntl  # Windows has none; reading journals works there

        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise JournalError(
                f"{self.path}: another macrorail is at work in this run folder; stop it first"
            ) from error

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()


def _encode(entry: Entry) -> bytes:
    body = json.dumps(
        {
            "n": entry.number,
            "t": entry.world_s,
            "at": entry.at,
            "event": entry.event,
            **entry.fields,
        },
        ensure_ascii=False,
    )
    # The checksum stands last, over everything before it, so that the line stays plain JSON.
    return f'{body[:-1]}, "crc": "{zlib.crc32(body.encode()):08x}"}}\n'.encode()


def _decode(line: bytes) -> Entry:
    body, _, tail = line.rpartition(b', "crc": "')
    if zlib.crc32(body + b"}") != int(tail[:8], 16) or tail[8:] != b'"}':
        raise ValueError("checksum")
    fields = json.loads(body + b"}")
    number, world_s, event = fields.pop("n"), fields.pop("t"), fields.pop("event")
    return Entry(number, world_s, event, fields, fields.pop("at"))


def read_journal(path: Path) -> list[Entry]:
    """Read a journal back and check every line.

    A last line that was torn by a crash (no newline at its end) is left out: what it announced
    was never begun.

    Raises
    ------
    JournalError
        Unreadable, or a line before the last is damaged or missing; names file and line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path}: cannot read the journal: {error.strerror}") from error
    *lines, _torn = data.split(b"\n")
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entry = _decode(line)
        except ValueError as error:
            raise JournalError(
                f"{path}:{number}: this line is damaged; the entries before it can be trusted, "
                f"restore the file from a copy or stack the frames as they are"
            ) from error
        if entry.number != number:
            raise JournalError(f"{path}:{number}: entry {entry.number} stands here, lines are lost")
        entries.append(entry)
    return entries


def create_run_folder(parent: Path, name: str) -> Path:
    """Make a new folder ``<date>-<time>-<name>`` with ``frames/`` in it.

    Parameters
    ----------
    parent
        Where runs are kept; made when missing.
    name
        The specimen's identifier, letters, digits and ``-_.`` only.

    Raises
    ------
    JournalError
        The folder cannot be made.
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
    raise JournalError(f"{parent}: a hundred runs of {name} began in this very second")


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it is there complete or not at all.

    Raises
    ------
    JournalError
        The disk is full or gone.
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
