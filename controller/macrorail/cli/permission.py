"""Asks for permission before anything moves; opens the axis for the commands that move it."""

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
    """Return a function that describes an action to the user and asks for permission.

    Parameters
    ----------
    yes
        Whether permission was given already, with ``--yes``.
    question
        Question that follows the description of the action.
    refused
        Text of the error that is raised when permission is refused.
    """

    def permit(what: str) -> None:
        if not yes and not typer.confirm(f"{what} {question}", err=True):
            raise OperatorStop(refused)

    return permit


@contextmanager
def axis_of(rig: Path | None, console: Console) -> Iterator[tuple[FocusAxis, AxisReport]]:
    """Open the axis of the chosen rig, print its model, and yield the axis and its report."""
    with opened_axis(choose_rig(rig, console)) as (axis, report):
        console.print(f"{report.model}, {report.version}", markup=False)
        yield axis, report
