"""``macrorail verify``: check that the files of a run are unchanged."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from macrorail.cli.messages import message_console
from macrorail.errors import JournalError
from macrorail.results.verify import verify as check_run
from macrorail.run_folder.record import read_record


def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder")],
    restack: Annotated[
        bool, typer.Option("--restack", help="also restack the frames and compare the pixels")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the checks as JSON")] = False,
) -> None:
    """Verify that a run's picture belongs to its frames and that no file was changed.

    Every line of the journal is checked, then the manifest against the journal, and the hashes of
    every frame, the fused picture and the exported files. Damaged and mixed-up files are detected;
    a deliberate, consistent forgery is not.

    Examples:

      macrorail verify runs/20261122-200000-beetle

      macrorail verify runs/20261122-200000-beetle --restack
    """
    console = message_console()
    record = read_record(run)
    checks = []
    with console.status("verifying") as status:
        for check in check_run(record, restack, lambda name: status.update(f"stacking {name}")):
            checks.append(check)
            if not as_json:
                typer.echo(f"{check.name:<9} {check.seen if check.holds else 'DOES NOT HOLD'}")
            for trouble in check.troubles:
                console.print(f"  {trouble}", markup=False)
    failed = [check for check in checks if not check.holds]
    if as_json:
        listed = [{**asdict(check), "holds": check.holds} for check in checks]
        typer.echo(json.dumps({"verified": not failed, "checks": listed}))
    if failed:
        raise JournalError(
            f"{run} does not verify: "
            f"{', '.join(check.name for check in failed)} "
            f"{'fails' if len(failed) == 1 else 'fail'}. Restore the files named above from a "
            f"copy, or stack the intact frames with 'macrorail stack'"
        )
