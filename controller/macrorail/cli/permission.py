"""Asks before anything moves, unless ``--yes`` is given; opens the axis for the verbs that move."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from macrorail.cli.rigs import choose_rig
from macrorail.devices.interfaces import AxisReport, FocusAxis
from macrorail.errors import OperatorStop
from macrorail.session.axis import Permit, opened_axis

YES_HELP = "move without asking; for scripts"


def asking(yes: bool, question: str = "Move now?", refused: str = "nothing has moved") -> Permit:
    """A function that says what will happen and asks for permission.

    Parameters
    ----------
    yes
        Permission is given already.
    question
        Follows what will happen.
    refused
        The message of the error when the answer is no.
    """

    def permit(what: str) -> None:
        if not yes and not typer.confirm(f"{what} {question}", err=True):
            raise OperatorStop(refused)

    return permit


@contextmanager
def axis_of(rig: Path | None, console: Console) -> Iterator[tuple[FocusAxis, AxisReport]]:
    """The axis of the rig, or of the simulated bench, open; its model is printed."""
    with opened_axis(choose_rig(rig, console)) as (axis, report):
        console.print(f"{report.model}, {report.version}", markup=False)
        yield axis, report
