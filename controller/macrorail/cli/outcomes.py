"""Reports the end of a run or a campaign: last message, result, error."""

from __future__ import annotations

import json

import typer
from rich.console import Console

from macrorail.campaign.start import CampaignOutcome
from macrorail.session.run import RunOutcome
from macrorail.states import FinishReason, State


def finish_run(outcome: RunOutcome, console: Console, as_json: bool) -> None:
    """Report how a run ended; print the path of its folder or, as JSON, its manifest.

    Raises
    ------
    MacrorailError
        The run ended early, or its result is incomplete.
    """
    folder, manifest = outcome.folder, outcome.manifest
    if outcome.reason is FinishReason.COMPLETED:
        console.print("[bold green]Done:[/] every slice overlaps its neighbours.")
    elif outcome.reason is FinishReason.NOT_VERIFIED:
        console.print(
            "[bold yellow]All slices are shot, but the overlap could not be verified from the "
            "images; it rests on the reported positions.[/]"
        )
    elif outcome.state is State.DONE:
        console.print("[bold yellow]All slices are shot, but there are problems:[/] see below.")
    else:
        console.print(
            f"[bold yellow]{outcome.state.value.capitalize()}.[/] {len(manifest['slices'])} "
            f"finished slice(s) are kept; continue with: macrorail resume {folder}"
        )
    if manifest["fused"] is not None:
        console.print(f"Picture: {folder / 'fused.jpg'}", markup=False)
    typer.echo(json.dumps(manifest) if as_json else str(folder))
    if outcome.error is not None:
        raise outcome.error


def finish_campaign(outcome: CampaignOutcome, as_json: bool) -> None:
    """Print the path of a campaign's folder or, as JSON, its totals.

    Raises
    ------
    MacrorailError
        The campaign was stopped, or stacks are in quarantine (``UnfinishedCampaign``).
    """
    typer.echo(json.dumps(outcome.totals) if as_json else str(outcome.folder))
    if outcome.error is not None:
        raise outcome.error
