"""``macrorail resume``: continue a run or a campaign that was interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from macrorail.campaign.start import resume_campaign
from macrorail.cli.messages import message_console
from macrorail.cli.outcomes import finish_campaign, finish_run
from macrorail.cli.terminal import TerminalObserver
from macrorail.run_folder.campaign_folder import is_campaign_folder
from macrorail.session.run import resume_run


def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="the run's folder, or a campaign's")],
    accept_scene: Annotated[
        bool,
        typer.Option("--accept-scene", help="continue even if specimen or camera have moved"),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="print the manifest, or a campaign's totals"),
    ] = False,
) -> None:
    """Continue an interrupted run or campaign; finished slices are kept and not shot again.

    A run can be resumed after a crash, a kill, a power cut or a stop. The axis is homed, and the
    hashes of the finished frames are checked. An interrupted exposure is adopted if its frame is
    complete on disk; otherwise it is repeated. First the last slice is reshot for comparison,
    because specimen, lamp and camera must not have moved.

    Examples:

      macrorail resume runs/20261122-200000-beetle

      macrorail resume runs/20261122-200000-tray-7
    """
    console = message_console()
    observer = TerminalObserver(console)
    if is_campaign_folder(run):
        finish_campaign(resume_campaign(run, observer), as_json)
        return
    outcome = resume_run(run, observer, accept_scene)
    if outcome is None:
        console.print("This run is complete; there is nothing to resume.")
        typer.echo(run)
        return
    finish_run(outcome, console, as_json)
