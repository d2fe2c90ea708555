"""``macrorail report``: a run on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from controller.report import write_report


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder")],
) -> None:
    """Write a run's report.html anew, and print its path.

    One file with everything in it: the picture, its depth, the coverage and its proof, every
    slice, every fault and the hash of every frame. It needs no network and prints on A4.

    Example:

      macrorail report runs/20261122-200000-beetle
    """
    typer.echo(write_report(run))
