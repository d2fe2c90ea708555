"""Runs and stacks in processes of their own, which outlive their parent.

The child is ``macrorail.session.background_process``. It takes one request as JSON from a file and
answers with JSON lines in another, so that a restarted server loses nothing.
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
    """A process that carries out one request.

    Attributes
    ----------
    process
        The child, in a session of its own: neither our Ctrl-C nor our end reaches it.
    """

    process: subprocess.Popen[bytes]
    _scratch: Path
    _read: int = 0
    _answers: dict[str, Any] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    @property
    def folder(self) -> Path | None:
        """The run folder, once the child has made or opened it."""
        folder = self._answer("folder")
        return None if folder is None else Path(folder)

    @property
    def error(self) -> str:
        """Why it failed, in words; empty while it runs and when it succeeded."""
        error = self._answer("error")
        if error is not None:
            return str(error)
        code = self.process.poll()
        if code in (None, 0) or self._answer("done") is not None:
            return ""
        return f"the process ended unexpectedly with code {code}"

    def discard(self) -> None:
        """Remove its temporary files."""
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
    """Start a process that does one thing.

    Parameters
    ----------
    verb
        ``run``, ``resume`` or ``stack``: see ``macrorail.session.background_process``.
    niceness
        How far the process yields to others, 0 to 19.
    arguments
        Of the verb, as JSON takes them.
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
