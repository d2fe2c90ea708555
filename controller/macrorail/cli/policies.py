"""``macrorail policies``: show the remedies that a run applies for each fault."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from macrorail.quantity import format_duration
from macrorail.run_folder.wording import REMEDIES
from macrorail.running.policies import LONGEST_ROW_LEFT_OUT, LONGEST_SERIES, TABLE, Policy, Step


def policies(
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """Show the remedies that a run applies for each fault.

    Remedies are tried from left to right until a slice succeeds. The run waits for the given time
    before the first attempt, and twice as long before each further attempt.

    Examples:

      macrorail policies
    """
    if as_json:
        typer.echo(json.dumps([_as_dict(policy) for policy in TABLE], indent=2))
        return
    table = Table()
    for heading in ("part", "fault", "while", "remedies", "then"):
        table.add_column(heading, overflow="fold")
    for policy in TABLE:
        table.add_row(
            policy.part.value,
            _fault(policy),
            ", ".join(sorted(state.value for state in policy.states)) or "any state",
            ", ".join(map(_step, policy.steps)) or "-",
            policy.last.value,
        )
    console = Console(highlight=False)
    console.print(table)
    for remedy, words in REMEDIES.items():
        console.print(f"{remedy}: {words.meaning}")
    console.print(
        f"{LONGEST_SERIES} faults without a finished slice in between stop a run. If "
        f"{LONGEST_ROW_LEFT_OUT} slices in a row would be left out, or the run folder is missing, "
        f"the run pauses, and stops if the pause does not help."
    )


def _fault(policy: Policy) -> str:
    codes = f" ({', '.join(sorted(policy.codes))})" if policy.codes else ""
    return policy.fault.__name__ + codes


def _step(step: Step) -> str:
    after = f" after {format_duration(step.back_off_s)}" if step.back_off_s else ""
    return f"{step.remedy.value} {step.times}x{after}"


def _as_dict(policy: Policy) -> dict[str, Any]:
    return {
        "part": policy.part.value,
        "fault": policy.fault.__name__,
        "codes": sorted(policy.codes),
        "states": sorted(state.value for state in policy.states),
        "steps": [
            {"remedy": step.remedy.value, "times": step.times, "back_off_s": step.back_off_s}
            for step in policy.steps
        ],
        "last": policy.last.value,
    }
