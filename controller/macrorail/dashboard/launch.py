"""Starts and resumes runs in processes of their own, which outlive the server."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path

from macrorail.dashboard.runs import RunFolders, running_process
from macrorail.errors import MacrorailError
from macrorail.run_folder.journal import JOURNAL
from macrorail.session.background import BackgroundJob, start_in_background

#: A run is planned and has its folder within this time, even on a busy machine.
_START_TIMEOUT_S = 60.0
_POLL_S = 0.1


class NotStarted(MacrorailError):
    """A run ended before it began; the message says why."""


@dataclass
class _Launched:
    job: BackgroundJob
    journal_bytes: int


class Launcher:
    """Starts runs and keeps track of those it has started.

    Parameters
    ----------
    runs
        Where run folders are made.
    rig
        YAML file of the instrument.
    """

    def __init__(self, runs: RunFolders, rig: Path) -> None:
        self._runs = runs
        self._rig = rig
        self._launched: dict[Path, _Launched] = {}

    async def run(self, protocol: str) -> str:
        """Start a run with a protocol's text; returns the run's name.

        Raises
        ------
        NotStarted
            It was refused; nothing has moved.
        """
        self._forget_finished()
        rig, out = str(self._rig.resolve()), str(self._runs.folder)
        job = start_in_background("run", protocol=protocol, rig=rig, out=out)
        folder = await self._await_folder(job)
        self._launched[folder] = _Launched(job, 0)
        return folder.name

    async def resume(self, folder: Path) -> None:
        """Resume a run; returns once it is in progress.

        Raises
        ------
        NotStarted
            It was refused.
        """
        self._forget_finished()
        job = start_in_background("resume", folder=str(folder))
        self._launched[folder] = _Launched(job, _journal_bytes(folder))
        for _ in range(int(_START_TIMEOUT_S / _POLL_S)):
            alive = job.alive
            if running_process(folder) is not None or (not alive and not job.error):
                return
            if not alive:
                raise NotStarted(job.error)
            await asyncio.sleep(_POLL_S)
        raise NotStarted("the run has not begun yet; look at it again in a moment")

    def is_starting(self, folder: Path) -> bool:
        """Whether a process started here for ``folder`` is alive but has written nothing yet."""
        launched = self._launched.get(folder)
        return (
            launched is not None
            and launched.job.alive
            and _journal_bytes(folder) == launched.journal_bytes
        )

    def error(self, folder: Path) -> str:
        """Why a process started here failed; empty when it has not."""
        launched = self._launched.get(folder)
        return "" if launched is None else launched.job.error

    def _forget_finished(self) -> None:
        for folder in [f for f, launched in self._launched.items() if not launched.job.alive]:
            self._launched.pop(folder).job.discard()

    async def _await_folder(self, job: BackgroundJob) -> Path:
        for _ in range(int(_START_TIMEOUT_S / _POLL_S)):
            alive, folder = job.alive, job.folder
            if folder is not None:
                return folder
            if not alive:
                error = job.error
                job.discard()
                raise NotStarted(error)
            await asyncio.sleep(_POLL_S)
        job.process.send_signal(signal.SIGTERM)
        raise NotStarted("the run did not begin in time and was stopped; try again")


def _journal_bytes(folder: Path) -> int:
    try:
        return (folder / JOURNAL).stat().st_size
    except FileNotFoundError:
        return 0
