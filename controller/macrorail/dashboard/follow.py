"""Follows the journals of the runs that somebody looks at, once each, however many look."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from macrorail.dashboard.launch import Launcher
from macrorail.dashboard.restack import Restacker
from macrorail.dashboard.runs import catch_up, holder
from macrorail.errors import JournalError
from macrorail.run_folder.journal import JOURNAL
from macrorail.run_folder.view import RunView
from macrorail.run_folder.wording import state_label

_POLL_S = 0.2
#: Who is at work in a folder is looked up less often than whether the journal has grown.
_POLLS_PER_LOOK = 5
_PICTURES = ("fused.jpg", "preview.jpg")


class Followed:
    """One run that is being followed.

    Parameters
    ----------
    folder
        The run folder.
    launcher
        Knows the controllers that were started from here.
    restacker
        Knows the pictures that were made again.
    """

    def __init__(self, folder: Path, launcher: Launcher, restacker: Restacker) -> None:
        self._folder = folder
        self._is_starting = launcher.is_starting
        self._error = launcher.error
        self._restacker = restacker
        self._again: list[str] = []
        self._proven = False
        self._view = RunView(json.loads((folder / "plan.json").read_text()))
        self._offset = 0
        self._seen: tuple[Any, ...] = ()
        self._version = 0
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._viewers = 0
        self._trouble = ""
        self._live = False
        self._starting = False
        self._picture: tuple[str, int] | None = None

    def head(self) -> dict[str, Any]:
        """The run's state, with whether a controller is at work and which picture there is."""
        head = self._view.head()
        if self._trouble:
            head["state"], head["message"] = "unreadable", self._trouble
        elif self._starting:
            head["state"], head["reason"], head["message"] = "starting", None, ""
        elif not self._live and not self._view.ended:
            head["state"] = "interrupted"
            head["message"] = self._error(self._folder)
        head["label"] = state_label(head["state"], head["reason"])
        head["run"], head["live"] = self._folder.name, self._live
        head["picture"] = self._picture and {"name": self._picture[0], "version": self._picture[1]}
        head["report"] = (self._folder / "report.html").is_file()
        head["again"], head["coverage_map"] = self._again, self._proven
        return head

    def look(self) -> dict[str, Any]:
        """The state now, for somebody who does not follow."""
        if self._task is None:
            self._look(True)
        return self.head()

    async def updates(self, since: int) -> AsyncIterator[dict[str, Any]]:
        """The state now, then each change: ``head`` and the slices changed after entry ``since``.

        Parameters
        ----------
        since
            Number of the last journal entry the viewer knows; -1 for nothing.
        """
        self._viewers += 1
        if self._task is None:
            self._look(True)
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
            if self._look(polls % _POLLS_PER_LOOK == 0):
                async with self._changed:
                    self._version += 1
                    self._changed.notify_all()

    def _look(self, at_the_holder: bool) -> bool:
        """Whether anything has changed since the last look."""
        if at_the_holder:
            self._live = holder(self._folder) is not None
            self._starting = not self._live and self._is_starting(self._folder)
            self._again = self._restacker.done(self._folder)
            self._proven = (self._folder / "coverage.png").is_file()
        self._picture = _newest_picture(self._folder)
        try:
            size = (self._folder / JOURNAL).stat().st_size
        except OSError:
            size = 0
        if size > self._offset and not self._trouble:
            try:
                _, self._offset = catch_up(self._view, self._folder, self._offset)
            except JournalError as error:
                self._trouble = str(error)
        pictures = (self._picture, tuple(self._again), self._proven)
        seen = (self._offset, self._live, self._starting, pictures, self._trouble)
        changed, self._seen = seen != self._seen, seen
        return changed


class Follower:
    """All runs that somebody follows.

    Parameters
    ----------
    launcher, restacker
        As :class:`Followed` takes them.
    """

    def __init__(self, launcher: Launcher, restacker: Restacker) -> None:
        self._launcher = launcher
        self._restacker = restacker
        self._followed: dict[Path, Followed] = {}

    def follow(self, folder: Path) -> Followed:
        """The one that follows ``folder``."""
        if folder not in self._followed:
            self._followed[folder] = Followed(folder, self._launcher, self._restacker)
        return self._followed[folder]


def _newest_picture(folder: Path) -> tuple[str, int] | None:
    """The fused picture, or the one that is growing; with a version that changes with it."""
    found = []
    for name in _PICTURES:
        try:
            found.append((name, (folder / name).stat().st_mtime_ns // 1_000_000))
        except OSError:
            continue
    return max(found, key=lambda picture: picture[1], default=None)
