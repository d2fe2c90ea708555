"""Reads the run folders that the page shows: names, states, and the runs in progress."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from macrorail.errors import JournalError
from macrorail.run_folder.journal import JOURNAL, new_entries
from macrorail.run_folder.view import RunView
from macrorail.run_folder.wording import state_label

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_LOCKS = Path("/proc/locks")


class NoSuchRun(Exception):
    """There is no run folder of this name."""


class RunFolders:
    """The folder of all runs.

    Parameters
    ----------
    folder
        Path of the folder; created when missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self._known: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {}

    def find(self, name: str) -> Path:
        """Return the run folder called ``name``.

        Raises
        ------
        NoSuchRun
            The folder of all runs has no subfolder of this name. Paths and links are refused.
        """
        folder = self.folder / name
        if not _RUN_ID.fullmatch(name) or folder.is_symlink() or not is_run(folder):
            raise NoSuchRun(f"there is no run called {name[:80]!r} in {self.folder}")
        return folder

    def file(self, name: str, *parts: str) -> Path | None:
        """Return the path of a run's file; ``None`` if the file does not exist or is a link."""
        path = self.find(name).joinpath(*parts)
        return path if path.is_file() and not path.is_symlink() else None

    def names(self) -> list[str]:
        """Return the names of all runs, newest first."""
        found = [
            entry.name
            for entry in self.folder.iterdir()
            if _RUN_ID.fullmatch(entry.name) and not entry.is_symlink() and is_run(entry)
        ]
        return sorted(found, reverse=True)

    def summaries(self) -> list[dict[str, Any]]:
        """Return a dict for each run with the run's state, newest run first."""
        held = locked_inodes()
        return [self._summary(name, held) for name in self.names()]

    def live(self) -> list[str]:
        """Return the names of the runs in progress."""
        held = locked_inodes()
        return [
            name for name in self.names() if running_process(self.folder / name, held) is not None
        ]

    def _summary(self, name: str, held: Mapping[tuple[int, int, int], int]) -> dict[str, Any]:
        folder = self.folder / name
        stamp = tuple(
            0 if (status := _status(folder / file)) is None else status.st_mtime_ns
            for file in (JOURNAL, "fused.jpg", "report.html")
        )
        known = self._known.get(name)
        if known is None or known[0] != stamp:
            known = (stamp, summarise(folder))
            self._known[name] = known
        live = running_process(folder, held) is not None
        return {**known[1], "live": live, "label": _label(known[1], live)}


def _label(summary: Mapping[str, Any], live: bool) -> str:
    if live:
        return "Running"
    reason = summary.get("reason")
    cut_off = reason is None and summary.get("began_s") is not None
    return state_label("interrupted" if cut_off else summary["state"], reason)


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run folder, that is, contains a plan and a protocol."""
    return (folder / "plan.json").is_file() and (folder / "protocol.yaml").is_file()


def summarise(folder: Path) -> dict[str, Any]:
    """Return the state of a run for the list of runs."""
    try:
        view = read_view(folder)
    except (JournalError, OSError, ValueError) as error:
        return {"run": folder.name, "state": "unreadable", "message": str(error), "done": 0}
    return {
        "run": folder.name,
        "specimen": view.specimen or folder.name,
        "state": view.state,
        "reason": view.reason,
        "message": view.message,
        "done": view.done,
        "slices": len(view.slices),
        "began_s": view.began_s,
        "took_s": None if view.began_s is None else (view.last_s or 0.0) - view.began_s,
        "picture": (folder / "fused.jpg").is_file(),
        "report": (folder / "report.html").is_file(),
        "faults": sum(note["kind"] == "fault" for note in view.notes),
    }


def read_view(folder: Path) -> RunView:
    """Read a run folder and return a view of the run.

    Raises
    ------
    JournalError
        A line of the journal cannot be read.
    OSError, ValueError
        The plan is missing or cannot be read.
    """
    view, _ = catch_up(RunView(json.loads((folder / "plan.json").read_text())), folder, 0)
    return view


def catch_up(view: RunView, folder: Path, offset: int) -> tuple[RunView, int]:
    """Update ``view`` with the journal entries that begin at byte ``offset`` or later.

    Returns
    -------
    RunView, int
        The view, and the offset of the end of the last complete line. An incomplete line is still
        being written, or was cut off by a crash.

    Raises
    ------
    JournalError
        A line of the journal cannot be read.
    """
    path = folder / JOURNAL
    if not path.exists():
        return view, offset
    for entry, end in new_entries(path, offset, view.entries):
        view.on_entry(entry, datetime.fromisoformat(entry.at).timestamp())
        offset = end
    return view, offset


def running_process(
    folder: Path, held: Mapping[tuple[int, int, int], int] | None = None
) -> int | None:
    """Return the process id of the run in progress in a folder; ``None`` if there is none."""
    status = _status(folder / JOURNAL)
    if status is None:
        return None
    device = status.st_dev
    return (locked_inodes() if held is None else held).get(
        (os.major(device), os.minor(device), status.st_ino)
    )


def locked_inodes() -> dict[tuple[int, int, int], int]:
    """Return the locked files: (major, minor, inode) of each file, and the process with the lock.

    The data come from the kernel's list. Testing a lock would take the lock for a moment, which
    could disturb a run that is about to start.
    """
    held = {}
    for line in _LOCKS.read_text().splitlines():
        parts = line.split()
        if len(parts) >= 6 and parts[1] == "FLOCK":
            major, minor, inode = parts[5].split(":")
            held[int(major, 16), int(minor, 16), int(inode)] = int(parts[4])
    return held


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
