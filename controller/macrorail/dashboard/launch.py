"""Starts the CLI's verbs as processes of their own, which outlive the server."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from macrorail.dashboard.runs import Runs, holder
from macrorail.errors import MacrorailError
from macrorail.run_folder.journal import JOURNAL

#: A verb imports, plans and makes its folder within this; a busy machine included.
_START_TIMEOUT_S = 60.0
_POLL_S = 0.1
_RUN_FOLDER = re.compile(r"run folder (.+)$", re.MULTILINE)


class NotStarted(MacrorailError):
    """A verb ended before it was at work; the message is what it said."""


@dataclass
class _Launched:
    process: subprocess.Popen[bytes]
    log: Path
    journal_bytes: int


class Launcher:
    """Starts runs and remembers those that it has started.

    Parameters
    ----------
    runs
        Where run folders are made.
    rig
        What the instrument is.
    """

    def __init__(self, runs: Runs, rig: Path) -> None:
        self._runs = runs
        self._rig = rig
        self._launched: dict[Path, _Launched] = {}

    async def run(self, protocol: str) -> str:
        """Start ``macrorail run`` with a protocol's text; returns the run's name.

        Raises
        ------
        NotStarted
            It refused; nothing has moved.
        """
        with tempfile.TemporaryDirectory(prefix="macrorail-protocol-") as folder:
            path = Path(folder) / "protocol.yaml"
            path.write_text(protocol, encoding="utf-8")
            launched = self._start(
                0, "run", str(path), "--rig", str(self._rig), "--out", str(self._runs.folder)
            )
            made = await self._await_folder(launched)
        self._launched[made] = launched
        return made.name

    async def resume(self, folder: Path) -> None:
        """Start ``macrorail resume`` and return once it is at work.

        Raises
        ------
        NotStarted
            It refused.
        """
        launched = self._start(_journal_bytes(folder), "resume", str(folder))
        self._launched[folder] = launched
        for _ in range(int(_START_TIMEOUT_S / _POLL_S)):
            if holder(folder) is not None or launched.process.poll() == 0:
                return
            if launched.process.poll() is not None:
                raise NotStarted(_last_words(launched.log))
            await asyncio.sleep(_POLL_S)
        raise NotStarted("the run is still not at work; look at it again in a moment")

    def is_starting(self, folder: Path) -> bool:
        """Whether a process started for ``folder`` from here is alive and has done nothing yet."""
        launched = self._launched.get(folder)
        return (
            launched is not None
            and launched.process.poll() is None
            and _journal_bytes(folder) == launched.journal_bytes
        )

    def last_words(self, folder: Path) -> str:
        """What a process that was started from here said last, when it has failed."""
        launched = self._launched.get(folder)
        if launched is None or launched.process.poll() in {None, 0}:
            return ""
        return _last_words(launched.log)

    def _start(self, journal_bytes: int, *arguments: str) -> _Launched:
        for folder in [f for f, old in self._launched.items() if old.process.poll() is not None]:
            self._launched[folder].log.unlink(missing_ok=True)
            del self._launched[folder]
        descriptor, name = tempfile.mkstemp(prefix="macrorail-", suffix=".log")
        with os.fdopen(descriptor, "wb") as log:
            # A session of its own: neither our Ctrl-C nor our end reaches it.
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "macrorail.cli", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return _Launched(process, Path(name), journal_bytes)

    async def _await_folder(self, launched: _Launched) -> Path:
        for _ in range(int(_START_TIMEOUT_S / _POLL_S)):
            told = _RUN_FOLDER.search(launched.log.read_text(errors="replace"))
            if told is not None:
                return Path(told.group(1))
            if launched.process.poll() is not None:
                raise NotStarted(_last_words(launched.log))
            await asyncio.sleep(_POLL_S)
        launched.process.send_signal(signal.SIGTERM)
        raise NotStarted("the run did not get going and was stopped; try again")


def _journal_bytes(folder: Path) -> int:
    try:
        return (folder / JOURNAL).stat().st_size
    except FileNotFoundError:
        return 0


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    lines = [line for line in lines if line and not line.startswith("SIMULATED BENCH")]
    return "\n".join(lines[-3:]) or "it ended without a word"
