"""Writes ``report.html``, the report of one run, with all pictures in one file."""

from __future__ import annotations

from pathlib import Path

from macrorail.results.report.page import render
from macrorail.run_folder.journal import write_whole
from macrorail.run_folder.record import read_record

REPORT = "report.html"


def write_report(folder: Path) -> Path:
    """Write ``report.html`` from the files in a run folder; return its path.

    Raises
    ------
    ConfigError
        The folder is not a run folder.
    JournalError
        The run's journal, manifest or plan is damaged, or the folder cannot be written.
    StackError
        A picture of the run cannot be read.
    """
    path = folder / REPORT
    write_whole(path, render(read_record(folder)))
    return path
