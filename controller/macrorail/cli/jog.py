"""``macrorail jog``: move the axis by hand, within its limits."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from macrorail.cli.messages import message_console
from macrorail.cli.permission import YES_HELP, asking, axis_of
from macrorail.cli.rigs import RIG_HELP
from macrorail.devices.interfaces import FocusAxis
from macrorail.errors import ConfigError, LimitError
from macrorail.quantity import format_length, parse_length
from macrorail.session.axis import reach_of

_INVITATION = "Where to? 12mm, +100um, -0.5mm, home; an empty line ends."


def jog(
    moves: Annotated[
        list[str] | None,
        typer.Argument(help="positions (12mm) and distances (+100um), in order"),
    ] = None,
    rig: Annotated[Path | None, typer.Option(help=RIG_HELP)] = None,
    yes: Annotated[bool, typer.Option("--yes", help=YES_HELP)] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print the position after each move as JSON")
    ] = False,
) -> None:
    """Move the axis to positions or by distances, which are asked for when none are given.

    Positions increase towards the specimen. An axis whose position is not known is homed first,
    away from the specimen. Limits and closest approach apply as in a run. Permission is asked for
    before anything moves.

    Examples:

      macrorail jog 12mm --rig lab.yaml

      macrorail jog 12mm +100um -50um --rig lab.yaml --yes

      macrorail jog --rig lab.yaml
    """
    console = message_console()
    for move in moves or []:
        _parsed(move)
    rests_um: list[float] = []
    with axis_of(rig, console) as (axis, report):
        homes = "" if report.position_um is not None else "homes the axis first, then "
        where = ", ".join(moves) if moves else "where you say"
        asking(yes)(f"This {homes}moves it: {where}. {reach_of(report)}")
        here_um = axis.home() if report.position_um is None else report.position_um
        console.print(f"at {format_length(here_um, 6)}", markup=False)
        for move in moves or _typed_moves(console):
            try:
                here_um = _move(axis, here_um, move)
            except (ConfigError, LimitError) as refusal:
                if moves:
                    raise
                console.print(str(refusal), markup=False)
                continue
            rests_um.append(here_um)
            console.print(f"at {format_length(here_um, 6)}", markup=False)
    typer.echo(json.dumps({"positions_um": rests_um}) if as_json else format_length(here_um, 6))


def _move(axis: FocusAxis, here_um: float, move: str) -> float:
    if move == "home":
        return axis.home()
    length_um, relative = _parsed(move)
    axis.start_move(here_um + length_um if relative else length_um)
    return axis.finish_move()


def _parsed(move: str) -> tuple[float, bool]:
    """Return a length, and whether the length is a distance from the present position.

    Raises
    ------
    ConfigError
        The text is neither a position nor a distance.
    """
    if move == "home":
        return 0.0, False
    try:
        return parse_length(move), move[:1] in ("+", "-")
    except ValueError as error:
        raise ConfigError(
            f"'{move}' {error}; write a position (12mm), a distance (+100um) or 'home'"
        ) from error


def _typed_moves(console: Console) -> Iterator[str]:
    console.print(_INVITATION, markup=False)
    for line in sys.stdin:
        if not line.strip():
            return
        yield line.strip()
