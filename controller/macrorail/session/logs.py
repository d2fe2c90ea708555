"""Writes the two logs of a run: ``log.jsonl`` for programs, ``run.log`` for people.

The journal is the authoritative record of a run. The logs also contain states and the messages of
other parts of macrorail. Errors in writing a log never affect the run.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from macrorail.run_folder.events import (
    FaultOccurred,
    RunEnded,
    RunPaused,
    SliceLeftOut,
    kind_of,
    values_of,
)
from macrorail.run_folder.journal import Entry
from macrorail.run_folder.sentences import sentence
from macrorail.states import State

_LOG = logging.getLogger("macrorail")
#: Environment variable that names the run to worker processes.
RUN_VARIABLE = "MACRORAIL_RUN"


class RunLog:
    """Writes journal entries and states of a run to Python's logging."""

    def on_entry(self, entry: Entry) -> None:
        """Log a journal entry."""
        event = entry.event
        match event:
            case RunEnded(state=State.FAILED.value):
                level = logging.ERROR
            case FaultOccurred() | RunPaused() | SliceLeftOut():
                level = logging.WARNING
            case _:
                level = logging.INFO
        fields = values_of(event)
        extra = {"event": kind_of(event), "world_s": entry.world_s, "fields": fields}
        _LOG.log(level, sentence(event) or "", extra=extra)

    def on_state(self, state: State) -> None:
        """Log a state of the run."""
        _LOG.debug("", extra={"event": "state", "fields": {"state": state.value}})


@contextmanager
def logged(folder: Path) -> Iterator[RunLog]:
    """Log to ``log.jsonl`` and ``run.log`` in the run folder during the ``with`` block."""
    handlers: list[logging.Handler] = [
        _Quiet(folder / "log.jsonl", _AsJson(folder.name), logging.DEBUG),
        _Quiet(folder / "run.log", _InWords(), logging.INFO),
    ]
    before = _LOG.level, _LOG.propagate, os.environ.get(RUN_VARIABLE)
    _LOG.setLevel(logging.DEBUG)
    _LOG.propagate = False
    os.environ[RUN_VARIABLE] = folder.name
    for handler in handlers:
        _LOG.addHandler(handler)
    try:
        yield RunLog()
    finally:
        for handler in handlers:
            _LOG.removeHandler(handler)
            handler.close()
        _LOG.level, _LOG.propagate = before[:2]
        if before[2] is None:
            del os.environ[RUN_VARIABLE]
        else:
            os.environ[RUN_VARIABLE] = before[2]


class _Quiet(logging.Handler):
    """Log handler that opens its file for each line and ignores write errors."""

    def __init__(self, path: Path, formatter: logging.Formatter, level: int) -> None:
        super().__init__(level)
        self._path = path
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        if line:
            with suppress(OSError), self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


class _AsJson(logging.Formatter):
    def __init__(self, run: str) -> None:
        super().__init__()
        self._run = run

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "run": self._run,
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": getattr(record, "event", "message"),
        }
        if record.getMessage():
            line["text"] = record.getMessage()
        if hasattr(record, "world_s"):
            line["world_s"] = record.world_s
        return json.dumps(line | getattr(record, "fields", {}) | {"run": self._run})


class _InWords(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        if not record.getMessage():
            return ""
        at = datetime.fromtimestamp(record.created).astimezone().isoformat(" ", "seconds")
        mark = {logging.WARNING: "! ", logging.ERROR: "!! "}.get(record.levelno, "")
        return f"{at}  {mark}{record.getMessage()}"
