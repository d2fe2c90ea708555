"""Shows a batch on the terminal: each outcome, the time left, and the result at the end."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from macrorail.batch.frame_list import listed
from macrorail.batch.job import StackJob
from macrorail.batch.progress import StackOutcome
from macrorail.cli.messages import can_redraw
from macrorail.errors import StackError
from macrorail.quantity import format_duration


class BatchDisplay:
    """Shows the progress of a batch; see ``BatchObserver``."""

    def __init__(self, console: Console, jobs: list[StackJob], refused: int = 0) -> None:
        self._console = console
        self._outcomes: list[StackOutcome] = []
        self._began_s = time.monotonic()
        self._frames = sum(len(job.frames) for job in jobs)
        self._count = len(jobs) + refused
        self._stacked_frames = self._passed_frames = 0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f} of {task.total:.0f} frames"),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not can_redraw(console),
        )
        self._task = self._progress.add_task("stacking", total=self._frames)

    def __enter__(self) -> BatchDisplay:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @property
    def failed(self) -> list[StackJob]:
        """Stacks that have failed so far."""
        return [outcome.job for outcome in self._outcomes if outcome.state == "failed"]

    def message(self, text: str) -> None:
        """Print a line of text."""
        self._console.print(text, markup=False)

    def on_outcome(self, outcome: StackOutcome) -> None:
        """Show the outcome of a stack."""
        self._outcomes.append(outcome)
        frames = len(outcome.job.frames)
        self._passed_frames += frames
        if outcome.state != "skipped":
            self._stacked_frames += frames
            ended = f"failed: {outcome.reason}" if outcome.state == "failed" else _done(outcome)
            self.message(f"{len(self._outcomes)} of {self._count}  {outcome.job.name}  {ended}")
            for note in (*outcome.job.notes, *listed(outcome.job.passed_over)):
                self.message(f"    {note}")
            if left := self._time_left():
                self.message(f"    {left}")
        self._progress.update(self._task, completed=self._passed_frames)

    def _time_left(self) -> str:
        """Return the estimated time left as text; empty if it is unknown or no frames remain."""
        left = self._frames - self._passed_frames
        if not left or not self._stacked_frames:
            return ""
        per_frame_s = (time.monotonic() - self._began_s) / self._stacked_frames
        return f"about {format_duration(left * per_frame_s)} left"

    def print_folders(self) -> None:
        """Print the folders of the stacks that are done."""
        for outcome in self._outcomes:
            if outcome.state != "failed":
                typer.echo(outcome.job.out)

    def print_result(self, as_json: bool) -> None:
        """Print the result of the complete batch.

        Raises
        ------
        StackError
            Stacks failed; the message names them.
        """
        counted = Counter(outcome.state for outcome in self._outcomes)
        self.message(", ".join(f"{number} {state}" for state, number in sorted(counted.items())))
        if as_json:
            typer.echo(json.dumps([_as_dict(outcome) for outcome in self._outcomes]))
        else:
            self.print_folders()
        failed = [outcome for outcome in self._outcomes if outcome.state == "failed"]
        if failed:
            lines = "\n".join(f"  {one.job.name}: {one.reason}" for one in failed)
            raise StackError(f"{len(failed)} of {self._count} stack(s) failed:\n{lines}")


def _done(outcome: StackOutcome) -> str:
    if outcome.record is None:
        return "done"
    return f"done in {format_duration(outcome.record['seconds'])}"


def _as_dict(outcome: StackOutcome) -> dict[str, Any]:
    return {
        "name": outcome.job.name,
        "state": outcome.state,
        "reason": outcome.reason,
        "folder": str(outcome.job.out),
        "frames": [str(frame.path) for frame in outcome.job.frames],
        "notes": list(outcome.job.notes),
        "passed_over": [one.to_dict() for one in outcome.job.passed_over],
    }
