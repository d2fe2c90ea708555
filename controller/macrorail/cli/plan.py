"""``macrorail plan``: the slices of a protocol, with depth of field, overlap and time."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from macrorail.campaign.plan import is_campaign
from macrorail.cli.campaign_plan import plan_campaign
from macrorail.cli.messages import message_console
from macrorail.cli.rigs import RIG_HELP, choose_rig
from macrorail.cli.slice_bands import draw_bands
from macrorail.config.protocol import load_protocol
from macrorail.config.rig import load_rig
from macrorail.planning.aperture import (
    SMALLEST,
    WIDEST,
    ApertureAdvice,
    compare_apertures,
)
from macrorail.planning.plan import Plan, PlannedSlice, errors_with_lines, make_plan
from macrorail.planning.range_search.search import describe_search, make_search
from macrorail.quantity import format_duration, format_fraction, format_length, format_size

_MOST_ROWS = 30
_ROWS_AT_THE_END = 5


def plan(
    protocol: Annotated[
        Path,
        typer.Argument(help="what to shoot: a protocol or a campaign (YAML)", metavar="PROTOCOL"),
    ],
    rig: Annotated[Path | None, typer.Option(help=RIG_HELP)] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="print the plan as JSON, every slice")
    ] = False,
    advise_aperture: Annotated[
        bool, typer.Option("--advise", help="compare apertures and recommend one")
    ] = False,
    widest: Annotated[float, typer.Option(help="the lens's widest stop, for --advise")] = WIDEST,
    smallest: Annotated[
        float, typer.Option(help="the lens's smallest stop, for --advise")
    ] = SMALLEST,
) -> None:
    """Show the slices, their depth of field and overlap, and the time and disk space they need.

    No device is used. Exit code 4: the step is too large for the depth of field.

    Examples:

      macrorail plan configs/protocols/demo-rail.yaml

      macrorail plan beetle.yaml --rig lab.yaml --json

      macrorail plan beetle.yaml --rig lab.yaml --advise

      macrorail plan tray.yaml --rig lab.yaml
    """
    rig_path = choose_rig(rig, message_console())
    if is_campaign(protocol):
        plan_campaign(protocol, rig_path, as_json)
        return
    wanted, instrument = load_protocol(protocol), load_rig(rig_path)
    if advise_aperture:
        _print_advice(compare_apertures(wanted, instrument, widest, smallest), as_json)
        return
    if wanted.range.search is not None:
        search = make_search(wanted, instrument)
        described = describe_search(search, wanted, instrument)
        typer.echo(json.dumps({"search": search.to_dict()}, indent=2) if as_json else described)
        return
    with errors_with_lines(protocol):
        made = make_plan(wanted, instrument)
    if as_json:
        typer.echo(json.dumps(made.to_dict(), indent=2))
        return
    console = Console(highlight=False)
    console.print(_table(made))
    console.print()
    for line in draw_bands(made, min(console.width, 100)):
        console.print(line, markup=False, soft_wrap=True)
    console.print()
    for line in _summary(made):
        console.print(line, markup=False)


def _print_advice(advice: ApertureAdvice, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(advice), indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in (
        "",
        "aperture",
        "eff. f/",
        "Airy px",
        "detail",
        "DoF",
        "slices",
        "time",
        "disk",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for cost in advice.costs:
        row = [
            "→" if cost is advice.best else "",
            f"f/{cost.f_number:g}",
            f"{cost.effective_f_number:.3g}",
            f"{cost.airy_px:.2g}",
            format_length(cost.detail_um, 3),
        ]
        if cost.dof_um is None or cost.duration_s is None or cost.size_bytes is None:
            row += ["-", "-", "-", "-"]
        else:
            row += [
                format_length(cost.dof_um, 3),
                str(cost.slices),
                format_duration(cost.duration_s),
                format_size(cost.size_bytes),
            ]
        table.add_row(*row)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"\n{advice.reason}", markup=False)


def _table(made: Plan) -> Table:
    table = Table(title=None, box=None, pad_edge=False, header_style="bold")
    far = made.slices[0].distances is not None
    last = ("focus", "sharp from", "to") if far else ("m", "eff. f/", "µm/px")
    for heading in ("slice", "position mm", "DoF µm", "overlap", *last):
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
        *_optics(planned),
    )


def _optics(planned: PlannedSlice) -> tuple[str, ...]:
    if planned.distances is not None:
        distances = (planned.distances.focus_um, planned.distances.from_um, planned.distances.to_um)
        return tuple("infinity" if each is None else format_length(each, 3) for each in distances)
    assert planned.um_per_px is not None, "only at infinity a pixel has no object-side size"
    return (
        f"{planned.magnification:.3g}",
        f"{planned.effective_f_number:.3g}",
        f"{planned.um_per_px:.3g}",
    )


def _place(made: Plan, position_um: float) -> str:
    far = made.optics.axis.far_focus
    return format_length(position_um if far is None else far.distance_um(position_um), 6)


def _summary(made: Plan) -> list[str]:
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
        f"{len(made.slices)} slices from {_place(made, made.near_um)} to "
        f"{_place(made, made.far_um)}; at least {format_fraction(made.minimum_overlap)} "
        f"overlap must be proven.",
        f"Depth of field {format_length(first.limiting_um)} at the near end"
        f"{'' if made.optics.axis.far_focus is None else ' (in positions)'}, limited by {limit}; "
        f"{other}.",
        *_in_medium(made),
        *_perspective(made),
        f"About {format_duration(made.duration_s)} of the instrument's time and "
        f"{format_size(made.size_bytes)} of disk.",
    ]


def _in_medium(made: Plan) -> list[str]:
    if made.medium == 1:
        return []
    deep_um = made.medium * (made.far_um - made.near_um)
    dof_um = made.medium * made.slices[0].dof_um
    return [
        f"In the medium (n = {made.medium:g}) the plane in focus moves {made.medium:g} times as "
        f"far as the axis: in the specimen, the range is {format_length(deep_um)} and the depth "
        f"of field is {format_length(dof_um)}. The overlap is the same."
    ]


def _perspective(made: Plan) -> list[str]:
    scale = made.slices[-1].scale
    if scale is None or len(made.slices) < 2:
        return []
    return [
        f"The last frame has to be scaled by {scale:.4f} to match the first frame; alignment "
        f"starts from this scale."
    ]
