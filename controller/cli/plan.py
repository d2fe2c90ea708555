"""``macrorail plan``: the slices a protocol asks for, shown before anything moves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from controller.cli.bands import draw_bands
from controller.cli.messages import message_console
from controller.cli.rigs import RIG_HELP, choose_rig
from controller.instrument import load_rig
from controller.plan import Plan, PlannedSlice, make_plan
from controller.protocol import load_protocol
from controller.quantity import format_duration, format_fraction, format_length, format_size

_MOST_ROWS = 30
_ROWS_AT_THE_END = 5


def plan(
    protocol: Annotated[Path, typer.Argument(help="what to shoot (YAML)", metavar="PROTOCOL")],
    rig: Annotated[Path | None, typer.Option(help=RIG_HELP)] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="print the plan as JSON, every slice")
    ] = False,
) -> None:
    """Show the slices, their depth of field and overlap, and the time and disk they take.

    Touches no device. Exit code 4: the step is too large for the depth of field.

    Examples:

      macrorail plan configs/protocols/demo-rail.yaml

      macrorail plan beetle.yaml --rig lab.yaml --json
    """
    rig_path = choose_rig(rig, message_console())
    made = make_plan(load_protocol(protocol), load_rig(rig_path))
    if as_json:
        typer.echo(json.dumps(made.to_dict(), indent=2))
        return
    console = Console(highlight=False)
    console.print(_table(made))
    console.print()
    for line in draw_bands(made, min(console.width, 100)):
        console.print(line, markup=False, soft_wrap=True)
    console.print()
    for line in _words(made):
        console.print(line, markup=False)


def _table(made: Plan) -> Table:
    table = Table(title=None, box=None, pad_edge=False, header_style="bold")
    for heading in ("slice", "position mm", "DoF µm", "overlap", "m", "eff. f/", "µm/px"):
        table.add_column(heading, justify="right", no_wrap=True)
    head, tail = made.slices, made.slices[:0]
    if len(made.slices) > _MOST_ROWS:
        head = made.slices[: _MOST_ROWS - _ROWS_AT_THE_END]
        tail = made.slices[-_ROWS_AT_THE_END:]
    for planned in head:
        table.add_row(*_row(planned))
    if tail:
        table.add_row("…", f"{len(made.slices) - _MOST_ROWS} more", *["…"] * 5)
    for planned in tail:
        table.add_row(*_row(planned))
    return table


def _row(planned: PlannedSlice) -> tuple[str, ...]:
    return (
        str(planned.index),
        f"{planned.target_um / 1e3:.4f}",
        f"{planned.dof_um:.1f}",
        "-" if planned.overlap is None else format_fraction(planned.overlap),
        f"{planned.magnification:.3g}",
        f"{planned.effective_f_number:.3g}",
        f"{planned.um_per_px:.3g}",
    )


def _words(made: Plan) -> list[str]:
    first = made.optics.at(made.slices[0].target_um)
    limit = {
        "geometric": f"the blur disc (circle of confusion {format_length(made.optics.coc_um)})",
        "wave": f"diffraction (quarter wave at {format_length(made.optics.wavelength_um)})",
    }[first.criterion]
    other = {
        "geometric": f"diffraction alone would allow {format_length(first.wave_um)}",
        "wave": f"the blur disc alone would allow {format_length(first.geometric_um)}",
    }[first.criterion]
    return [
        f"{len(made.slices)} slices from {format_length(made.near_um, 6)} to "
        f"{format_length(made.far_um, 6)}; at least {format_fraction(made.minimum_overlap)} "
        f"overlap must be proven.",
        f"Depth of field {format_length(first.limiting_um)} at the near end, limited by {limit}; "
        f"{other}.",
        f"About {format_duration(made.duration_s)} of the instrument's time and "
        f"{format_size(made.size_bytes)} of disk.",
    ]
