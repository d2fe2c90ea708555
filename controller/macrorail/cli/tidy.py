"""``macrorail tidy``: remove frames of old runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from macrorail.cli.messages import message_console
from macrorail.quantity import format_size
from macrorail.results.retention import Removal, find_runs
from macrorail.results.retention import tidy as tidy_run


def tidy(
    runs: Annotated[Path, typer.Argument(metavar="RUNS", help="a folder of runs, or one run")],
    remove: Annotated[
        Removal, typer.Option(help="frames in no picture (rejects), or all frames")
    ] = Removal.REJECTS,
    days: Annotated[
        float, typer.Option(min=0, help="only runs that ended at least this many days ago")
    ] = 90,
    copied_to: Annotated[
        Path | None,
        typer.Option(help="only files that this copy of RUNS contains too, byte for byte"),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="remove the files; without --yes they are only listed")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of lines")] = False,
) -> None:
    """Remove frames of runs that are complete and old enough, after verifying each run.

    Pictures, depth map, journal, manifest and report are never removed. Every removed file is
    listed with its hash in frames/removed.json. If a run fails the verification, none of its
    files are removed. Without --yes nothing is removed.

    Examples:

      macrorail tidy runs

      macrorail tidy runs --remove frames --days 365 --copied-to /archive/runs --yes
    """
    console = message_console()
    found = []
    for folder in find_runs(runs):
        copy = None if copied_to is None else copied_to / folder.relative_to(runs)
        finding = tidy_run(folder, remove, days, copy, yes)
        found.append(finding)
        if finding.kept_because:
            console.print(f"{folder} is kept: {finding.kept_because}", markup=False)
        elif not as_json:
            outcome = "removed" if yes else "could be removed"
            size = format_size(finding.size_bytes)
            typer.echo(f"{folder}: {len(finding.files)} file(s), {size}, {outcome}")
    if as_json:
        listed = [
            {
                "run": str(each.folder),
                "files": [str(path.relative_to(each.folder)) for path in each.files],
                "size_bytes": each.size_bytes,
                "kept_because": each.kept_because or None,
            }
            for each in found
        ]
        typer.echo(json.dumps({"removed": yes, "runs": listed}))
    if not yes and any(each.files for each in found):
        console.print("Nothing was removed. To remove the files, repeat the command with --yes.")
