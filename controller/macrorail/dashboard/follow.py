"""Follows the runs that viewers watch; each run is read once for all viewers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from macrorail.dashboard.commands import reported_state
from macrorail.dashboard.launch import Launcher
from macrorail.dashboard.restack import Restacker
from macrorail.dashboard.runs import catch_up, running_process
from macrorail.errors import JournalError
from macrorail.run_folder.journal import JOURNAL
from macrorail.run_folder.view import RunView
from macrorail.run_folder.wording import state_label

_POLL_S = 0.2
#: Number of checks of the journal's size for each check whether the run's process is alive.
_POLLS_PER_LOOKUP = 5
_PICTURES = ("fused.jpg", "preview.jpg")


class RunFollower:
    """Follows the journal, the state and the pictures of one run.

    Parameters
    ----------
    folder
        The run folder.
    launcher
        The launcher, which reports runs that are starting or have failed to start.
    restacker
        The restacker, which lists the restacked pictures of a run.
    """

    def __init__(self, folder: Path, launcher: Launcher, restacker: Restacker) -> None:
        self._folder = folder
        self._is_starting = launcher.is_starting
        self._error = launcher.error
        self._restacker = restacker
        self._restacked: list[str] = []
        self._coverage_map = False
        self._view = RunView(json.loads((folder / "plan.json").read_text()))
        self._offset = 0
        self._seen: tuple[Any, ...] = ()
        self._version = 0
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._viewers = 0
        self._damage = ""
        self._live = False
        self._starting = False
        self._reported: str | None = None
        self._picture: tuple[str, int] | None = None

    def head(self) -> dict[str, Any]:
        """Return the run's state, whether the run is in progress, and the run's pictures."""
        head = self._view.head()
        if self._damage:
            head["state"], head["message"] = "unreadable", self._damage
        elif self._starting:
            head["state"], head["reason"], head["message"] = "starting", None, ""
        elif not self._live and not self._view.ended:
            head["state"] = "interrupted"
            head["message"] = self._error(self._folder)
        elif self._reported is not None and not self._view.ended:
            head["state"] = self._reported
        head["label"] = state_label(head["state"], head["reason"])
        head["run"], head["live"] = self._folder.name, self._live
        head["picture"] = self._picture and {"name": self._picture[0], "version": self._picture[1]}
        head["report"] = (self._folder / "report.html").is_file()
        head["restacked"], head["coverage_map"] = self._restacked, self._coverage_map
        return head

    def head_now(self) -> dict[str, Any]:
        """Read the run folder and return the run's state, for a viewer without an event stream."""
        if self._task is None:
            self._refresh(True)
        return self.head()

    async def updates(self, since: int) -> AsyncIterator[dict[str, Any]]:
        """Yield the run's state with the slices changed after ``since``, then each later change.

        Parameters
        ----------
        since
            Number of the last journal entry that the viewer has received; -1 for none.
        """
        self._viewers += 1
        if self._task is None:
            self._refresh(True)
            self._task = asyncio.create_task(self._watch())
        try:
            version = -1
            while True:
                async with self._changed:
                    while self._version == version:
                        await self._changed.wait()
                    version = self._version
                if since > self._view.entries:
                    since = -1
                yield {"head": self.head(), "slices": self._view.slices_since(since)}
                since = self._view.entries
        finally:
            self._viewers -= 1
            if self._viewers == 0 and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _watch(self) -> None:
        polls = 0
        while True:
            await asyncio.sleep(_POLL_S)
            polls += 1
            self._reported = None
            if self._live and not self._view.ended:
                self._reported = await asyncio.to_thread(reported_state, self._folder)
            if self._refresh(polls % _POLLS_PER_LOOKUP == 0):
                async with self._changed:
                    self._version += 1
                    self._changed.notify_all()

    def _refresh(self, processes: bool) -> bool:
        """Read data written since the last call; return whether anything has changed."""
        if processes:
            self._live = running_process(self._folder) is not None
            self._starting = not self._live and self._is_starting(self._folder)
            self._restacked = self._restacker.done(self._folder)
            self._coverage_map = (self._folder / "coverage.png").is_file()
        self._picture = _newest_picture(self._folder)
        try:
            size = (self._folder / JOURNAL).stat().st_size
        except OSError:
            size = 0
        if size > self._offset and not self._damage:
            try:
                _, self._offset = catch_up(self._view, self._folder, self._offset)
            except JournalError as error:
                self._damage = str(error)
        pictures = (self._picture, tuple(self._restacked), self._coverage_map)
        seen = (
            *(self._offset, self._live, self._starting, self._damage),
            *(self._reported, pictures),
        )
        changed, self._seen = seen != self._seen, seen
        return changed


class RunFollowers:
    """The followers of all watched runs.

    Parameters
    ----------
    launcher, restacker
        The launcher and the restacker; see :class:`RunFollower`.
    """

    def __init__(self, launcher: Launcher, restacker: Restacker) -> None:
        self._launcher = launcher
        self._restacker = restacker
        self._followers: dict[Path, RunFollower] = {}

    def of(self, folder: Path) -> RunFollower:
        """Return the follower of the run in ``folder``."""
        if folder not in self._followers:
            self._followers[folder] = RunFollower(folder, self._launcher, self._restacker)
        return self._followers[folder]


def _newest_picture(folder: Path) -> tuple[str, int] | None:
    """Return the newest picture's name, and a number that differs after the file has changed."""
    found = []
    for name in _PICTURES:
        try:
            found.append((name, (folder / name).stat().st_mtime_ns // 1_000_000))
        except OSError:
            continue
    return max(found, key=lambda picture: picture[1], default=None)
