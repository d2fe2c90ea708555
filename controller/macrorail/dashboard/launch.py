"""Starts and resumes runs in separate processes, which outlive the server."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path

from macrorail.dashboard.runs import RunFolders, running_process
from macrorail.errors import MacrorailError
from macrorail.run_folder.journal import JOURNAL
from macrorail.session.background import BackgroundJob, start_in_background

#: Longest time for planning a run and creating its folder, even on a busy machine, seconds.
_START_TIMEOUT_S = 60.0
_POLL_S = 0.1


class NotStarted(MacrorailError):
    """A run could not be started; the message gives the reason."""


@dataclass
class _Launched:
    job: BackgroundJob
    journal_bytes: int


class Launcher:
    """Starts and resumes runs, and keeps track of their processes.

    Parameters
    ----------
    runs
        Folder for the run folders.
    rig
        YAML file of the instrument.
    """

    def __init__(self, runs: RunFolders, rig: Path) -> None:
        self._runs = runs
        self._rig = rig
        self._launched: dict[Path, _Launched] = {}

    async def run(self, protocol: str) -> str:
        """Start a run with the text of a protocol; return the run's name.

        Raises
        ------
        NotStarted
            The run was refused; nothing has moved.
        """
        self._forget_finished()
        rig, out = str(self._rig.resolve()), str(self._runs.folder)
        job = start_in_background("run", protocol=protocol, rig=rig, out=out)
        folder = await self._await_folder(job)
        self._launched[folder] = _Launched(job, 0)
        return folder.name

    async def resume(self, folder: Path) -> None:
        """Resume a run; return when the run is in progress.

        Raises
        ------
        NotStarted
            The run was refused.
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
        raise NotStarted("the run has not started yet; check its state again in a moment")

    def is_starting(self, folder: Path) -> bool:
        """Return whether a process for ``folder`` runs but has not written to the journal."""
        launched = self._launched.get(folder)
        return (
            launched is not None
            and launched.job.alive
            and _journal_bytes(folder) == launched.journal_bytes
        )

    def error(self, folder: Path) -> str:
        """Return the reason why the process for ``folder`` failed; empty if it has not failed."""
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
        raise NotStarted("the run did not start in time and was stopped; try again")


def _journal_bytes(folder: Path) -> int:
    try:
        return (folder / JOURNAL).stat().st_size
    except FileNotFoundError:
        return 0
