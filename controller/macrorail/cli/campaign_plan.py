"""``macrorail plan`` for a campaign: all stacks, and total time, disk space and wear."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from macrorail.campaign.forecast import CampaignForecast, StackForecast, forecast
from macrorail.campaign.plan import load_campaign
from macrorail.config.rig import load_rig
from macrorail.quantity import format_duration, format_length, format_size

_MOST_ROWS = 40
_ROWS_AT_THE_END = 5


def plan_campaign(path: Path, rig_path: Path, as_json: bool) -> None:
    """Print the stacks of a campaign and their totals, without connecting to any device.

    Raises
    ------
    ConfigError, PlanError
    """
    campaign = load_campaign(path)
    expected = forecast(campaign, load_rig(rig_path))
    if as_json:
        data = {"campaign": campaign.id, **expected.to_dict()}
        typer.echo(json.dumps(data, indent=2))
        return
    console = Console(highlight=False)
    console.print(_table(expected))
    console.print()
    places = len(campaign.places)
    console.print(
        f"{len(expected.stacks)} stacks at {places} positions, {expected.shutter} slices.",
        markup=False,
    )
    for line in _summary(expected, campaign.places_without_id):
        console.print(line, markup=False, soft_wrap=True)


def _summary(expected: CampaignForecast, without_id: list[str]) -> list[str]:
    lines = [
        f"About {format_duration(expected.duration_s)} of the instrument's time and "
        f"{format_size(expected.size_bytes)} of disk.",
        f"Wear: {expected.shutter} shutter actuations, {format_length(expected.rail_um)} of rail "
        f"travel.",
    ]
    if expected.searched:
        lines.append(
            f"{expected.searched} range(s) are searched for during the campaign: their slices, "
            f"time and disk space are not included in these totals."
        )
    if expected.by_hand:
        lines.append(
            f"The operator is asked {expected.by_hand} times to change the specimen, its view or "
            f"the light; that time is not included."
        )
    if without_id:
        lines.append(f"{len(without_id)} specimen(s) are identified before their first shot.")
    return lines


def _table(expected: CampaignForecast) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stack", no_wrap=True)
    table.add_column("specimen", no_wrap=True)
    for heading in ("x mm", "y mm", "turn", "near mm", "far mm", "slices", "time", "disk"):
        table.add_column(heading, justify="right", no_wrap=True)
    stacks = expected.stacks
    head, tail = stacks, stacks[:0]
    if len(stacks) > _MOST_ROWS:
        head, tail = stacks[: _MOST_ROWS - _ROWS_AT_THE_END], stacks[-_ROWS_AT_THE_END:]
    for one in head:
        table.add_row(*_row(one))
    if tail:
        table.add_row("…", f"{len(stacks) - _MOST_ROWS} more", *["…"] * 8)
    for one in tail:
        table.add_row(*_row(one))
    return table


def _row(one: StackForecast) -> tuple[str, ...]:
    def mm(length_um: float | None) -> str:
        return "-" if length_um is None else f"{length_um / 1e3:g}"

    searched = not one.slices
    return (
        one.key,
        one.specimen or "?",
        mm(one.x_um),
        mm(one.y_um),
        "-" if one.turn_deg is None else f"{one.turn_deg:g}°",
        "?" if searched else f"{one.near_um / 1e3:.4f}",
        "?" if searched else f"{one.far_um / 1e3:.4f}",
        "?" if searched else str(one.slices),
        "?" if searched else format_duration(one.stack_s + one.between_s),
        "?" if searched else format_size(one.size_bytes),
    )
