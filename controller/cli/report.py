"""``macrorail report``: a run in plain words, and on one page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from controller.cli.messages import message_console
from controller.record import read_record
from controller.report import write_report
from controller.report.words import tell


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder")],
    page_only: Annotated[
        bool, typer.Option("--page", help="print nothing but the path of report.html")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print the manifest instead of the words")
    ] = False,
) -> None:
    """Explain a run in plain words, with times, retries and faults, and write its report.html.

    The page is one file with everything in it: the picture, its depth, the coverage and its
    proof, every slice, every fault and the hash of every frame. It needs no network and prints
    on A4.

    Examples:

      macrorail report runs/20261122-200000-beetle

      macrorail report runs/20261122-200000-beetle --page
    """
    record = read_record(run)
    page = write_report(run)
    if page_only:
        typer.echo(page)
        return
    message_console().print(f"Report: {page}", markup=False)
    if as_json:
        typer.echo(json.dumps(record.manifest))
    else:
        typer.echo(tell(record), nl=False)
