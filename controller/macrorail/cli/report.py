"""``macrorail report``: report a run or a campaign as text and as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from macrorail.campaign.account import account_for
from macrorail.campaign.report import text_report, write_campaign_report
from macrorail.cli.messages import message_console
from macrorail.results.report import write_report
from macrorail.results.report.account import run_account
from macrorail.run_folder.campaign_folder import is_campaign_folder
from macrorail.run_folder.record import read_record


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a run's folder, or a campaign's")],
    campaign: Annotated[
        bool, typer.Option("--campaign", help="refuse a folder that is not a campaign")
    ] = False,
    page_only: Annotated[
        bool, typer.Option("--page", help="print only the path of report.html")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print the manifest, or a campaign's summary")
    ] = False,
) -> None:
    """Report a run as text, with times, retries and faults, and write its report.html.

    The page is a single file that contains the picture, the depth map, the coverage and its proof,
    every slice, every fault and the hash of every frame. It needs no network and can be printed on
    A4. The report of a campaign contains all stacks, the totals, the time spent on each step, and
    ways to save time.

    Examples:

      macrorail report runs/20261122-200000-beetle

      macrorail report runs/20261122-200000-beetle --page

      macrorail report --campaign runs/20261122-200000-tray-7
    """
    if campaign or is_campaign_folder(run):
        _report_campaign(run, page_only, as_json)
        return
    record = read_record(run)
    page = write_report(run)
    if page_only:
        typer.echo(page)
        return
    message_console().print(f"Report: {page}", markup=False)
    if as_json:
        typer.echo(json.dumps(record.manifest))
    else:
        typer.echo(run_account(record), nl=False)


def _report_campaign(folder: Path, page_only: bool, as_json: bool) -> None:
    account = account_for(folder)
    page = write_campaign_report(folder)
    if page_only:
        typer.echo(page)
        return
    message_console().print(f"Report: {page}", markup=False)
    if as_json:
        typer.echo(json.dumps(account.to_dict()))
    else:
        for line in text_report(account):
            typer.echo(line)
