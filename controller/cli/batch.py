"""``macrorail batch``: align and blend many stacks, here or on a cluster."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from controller.batch.cluster import check_address, stack_on_cluster
from controller.batch.job import Settings, StackJob, find_jobs
from controller.batch.local import stack_here
from controller.batch.progress import Outcome
from controller.batch.work import is_finished
from controller.cli.messages import message_console
from controller.cli.signals import stopped_by_signals
from controller.cli.stack import QualityChoice
from controller.clock import WorldClock
from controller.errors import ConfigError, StackError
from controller.quantity import format_duration
from controller.stacking.register import Motion


def batch(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDERS...", help="runs, folders of photographs, or folders of these"
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="where results go, a folder for each stack")
    ] = Path("stacks"),
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="tcp://HOST:PORT", help="stack on this dask.distributed cluster"),
    ] = None,
    processes: Annotated[
        int, typer.Option("--jobs", min=1, help="stacks at a time on this machine")
    ] = 1,
    reference: Annotated[
        str, typer.Option(help="whose geometry a result has: first, middle, or a number from 1")
    ] = "first",
    quality: Annotated[
        QualityChoice, typer.Option(help="fast: half the time, colour and grain a little softer")
    ] = QualityChoice.BEST,
    align: Annotated[
        Motion, typer.Option(help="what may differ between frames besides their focus")
    ] = Motion.SIMILARITY,
    again: Annotated[bool, typer.Option("--again", help="also what is finished already")] = False,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="read all frames to see whether they have changed")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print what became of each stack as JSON")
    ] = False,
) -> None:
    """Align and blend many stacks; prints the folders of the results.

    Each stack gets fused.tif, fused.jpg, depth.tif and stack.json, which names every frame with
    its hash. What is finished is skipped, so the same command goes on after whatever stopped it. A
    stack that fails is named at the end and stops no other.

    On a cluster, frames and results must lie under the same paths on every machine, and workers
    are started with one thread each:

      dask scheduler

      dask worker tcp://HOST:8786 --nthreads 1 --nworkers 4

    Examples:

      macrorail batch runs/

      macrorail batch /photos/drawer-12 /photos/drawer-13 -o /fused --jobs 2

      macrorail batch /nas/runs -o /nas/fused --scheduler tcp://10.0.0.5:8786
    """
    console = message_console()
    settings = Settings(reference, quality.value, align.value)
    jobs = find_jobs(folders, out, settings)
    board = Board(console, jobs)
    clock = WorldClock()
    with stopped_by_signals(clock), board:
        left = []
        for job in jobs:
            clock.check()
            if not again and is_finished(job, thorough):
                board.tell(Outcome(job, "skipped"))
            else:
                left.append(job)
        stack_all(left, scheduler, board, clock, processes, out)
    board.close(as_json)


def stack_all(
    jobs: list[StackJob],
    scheduler: str | None,
    board: Board,
    clock: WorldClock,
    processes: int,
    out: Path,
) -> None:
    """Make these stacks where they are to be made."""
    if not jobs:
        return
    if scheduler is not None:
        check_address(scheduler)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{out} cannot be made: {error.strerror}") from error
    if scheduler is not None:
        stack_on_cluster(jobs, scheduler, board.tell, board.say, clock.check)
    else:
        log = out / "batch.log"
        stack_here(jobs, board.tell, board.say, clock.check, processes, log=log)


class Board:
    """Shows how far a batch is and what became of each stack."""

    def __init__(self, console: Console, jobs: list[StackJob]) -> None:
        self._console = console
        self._outcomes: list[Outcome] = []
        self._began_s = time.monotonic()
        self._frames = sum(len(job.frames) for job in jobs)
        self._count = len(jobs)
        self._made_frames = self._passed_frames = 0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f} of {task.total:.0f} frames"),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("stacking", total=self._frames)

    def __enter__(self) -> Board:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def add(self, jobs: list[StackJob]) -> None:
        """More has come up."""
        self._count += len(jobs)
        self._frames += sum(len(job.frames) for job in jobs)
        self._progress.update(self._task, total=self._frames)

    def say(self, sentence: str) -> None:
        """Tell people."""
        self._console.print(sentence, markup=False)

    def tell(self, outcome: Outcome) -> None:
        """Note what became of a stack."""
        self._outcomes.append(outcome)
        frames = len(outcome.job.frames)
        self._passed_frames += frames
        if outcome.state != "skipped":
            self._made_frames += frames
            said = f"failed: {outcome.reason}" if outcome.state == "failed" else _made(outcome)
            self.say(f"{len(self._outcomes)} of {self._count}  {outcome.job.name}  {said}")
            for note in outcome.job.notes:
                self.say(f"    {note}")
            self.say(f"    {self.time_left()}") if self.time_left() else None
        self._progress.update(self._task, completed=self._passed_frames)

    def time_left(self) -> str:
        """From the frames that were stacked so far, or nothing yet to say."""
        left = self._frames - self._passed_frames
        if not left or not self._made_frames:
            return ""
        per_frame_s = (time.monotonic() - self._began_s) / self._made_frames
        return f"about {format_duration(left * per_frame_s)} left"

    def close(self, as_json: bool) -> None:
        """Print the result.

        Raises
        ------
        StackError
            Stacks failed; names them.
        """
        counted = Counter(outcome.state for outcome in self._outcomes)
        self.say(", ".join(f"{number} {state}" for state, number in sorted(counted.items())))
        if as_json:
            typer.echo(json.dumps([_told(outcome) for outcome in self._outcomes]))
        else:
            for outcome in self._outcomes:
                if outcome.state != "failed":
                    typer.echo(outcome.job.out)
        failed = [outcome for outcome in self._outcomes if outcome.state == "failed"]
        if failed:
            lines = "\n".join(f"  {one.job.name}: {one.reason}" for one in failed)
            raise StackError(f"{len(failed)} of {self._count} stack(s) failed:\n{lines}")


def _made(outcome: Outcome) -> str:
    if outcome.record is None:
        return "done"
    return f"done in {format_duration(outcome.record['seconds'])}"


def _told(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.job.name,
        "state": outcome.state,
        "reason": outcome.reason,
        "folder": str(outcome.job.out),
        "frames": [str(frame.path) for frame in outcome.job.frames],
        "notes": list(outcome.job.notes),
    }
