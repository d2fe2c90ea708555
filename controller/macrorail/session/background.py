"""Starts runs and stacks in separate processes that outlive their parent process.

The child process is ``macrorail.session.background_process``. The child reads one request as JSON
from a file and writes answers as JSON lines to another file, so that a restarted server loses
nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from macrorail.workers import module_command

REQUEST, ANSWERS, LOG = "request.json", "answers.jsonl", "log.txt"
_MODULE = "macrorail.session.background_process"


@dataclass
class BackgroundJob:
    """A child process that carries out one request (a run, its resumption or a stack).

    Attributes
    ----------
    process
        The child process. It has its own POSIX session, so neither Ctrl-C nor the end of the
        parent process ends it.
    """

    process: subprocess.Popen[bytes]
    _scratch: Path
    _read: int = 0
    _answers: dict[str, Any] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether the child process is still running."""
        return self.process.poll() is None

    @property
    def folder(self) -> Path | None:
        """The run folder; ``None`` until the child process has created or opened it."""
        folder = self._answer("folder")
        return None if folder is None else Path(folder)

    @property
    def error(self) -> str:
        """Reason why the child process failed; empty while it runs and after it has succeeded."""
        error = self._answer("error")
        if error is not None:
            return str(error)
        code = self.process.poll()
        if code in (None, 0) or self._answer("done") is not None:
            return ""
        return f"the process ended unexpectedly with code {code}"

    def discard(self) -> None:
        """Remove the folder with the child's request and answers."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _answer(self, name: str) -> Any:
        try:
            with (self._scratch / ANSWERS).open("rb") as file:
                file.seek(self._read)
                data = file.read()
        except FileNotFoundError:
            return self._answers.get(name)
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            self._answers |= json.loads(line)
        return self._answers.get(name)


def start_in_background(verb: str, niceness: int = 0, **arguments: Any) -> BackgroundJob:
    """Start a process that carries out one request; return the process as a job.

    Parameters
    ----------
    verb
        Kind of request: ``run``, ``resume`` or ``stack``.
    niceness
        Nice value of the process, 0 to 19; higher values give other processes precedence.
    arguments
        Arguments of the request; must be JSON values.
    """
    scratch = Path(tempfile.mkdtemp(prefix="macrorail-job-"))
    (scratch / REQUEST).write_text(json.dumps({"do": verb, **arguments}), encoding="utf-8")
    with (scratch / LOG).open("wb") as log:
        process = subprocess.Popen(
            [*module_command(_MODULE), str(scratch)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    if niceness:
        os.setpriority(os.PRIO_PROCESS, process.pid, niceness)
    return BackgroundJob(process, scratch)
