"""``macrorail deliver``: package finished runs for other systems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from macrorail.cli.messages import message_console
from macrorail.results.delivery.package import write_package
from macrorail.results.delivery.selection import select_runs


def deliver(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="CAMPAIGN|RUNS...", help="campaigns, runs, or folders of these"),
    ],
    out: Annotated[Path, typer.Option("--output", "-o", help="the package; must not exist yet")],
    name: Annotated[
        str | None, typer.Option(help="name of the package; by default the name of its folder")
    ] = None,
    frames: Annotated[
        bool, typer.Option("--frames", help="include every frame from the camera")
    ] = False,
) -> None:
    """Package finished runs as an RO-Crate in a BagIt bag, and print the package's folder.

    Every run is verified first. Runs that are unfinished, damaged, or without a specimen id are
    left out and listed. The package contains pictures, depth maps, reports, journals, protocols,
    the provenance of each picture (ro-crate-metadata.json), a SHA-256 of every file, and
    specimens.csv and multimedia.csv for the collection database.

    Examples:

      macrorail deliver runs/ -o drawer-12

      macrorail deliver runs/20261122-200000-drawer-12 -o drawer-12 --frames --name "Drawer 12"
    """
    console = message_console()
    gathered = select_runs(folders)
    write_package(
        gathered,
        out,
        name if name is not None else out.name,
        frames,
        lambda sentence: console.print(sentence, markup=False),
    )
    for path, reason in gathered.left_out:
        console.print(f"Left out: {path}: {reason}", markup=False)
    console.print(f"{len(gathered.runs)} run(s) delivered", markup=False)
    typer.echo(out)
