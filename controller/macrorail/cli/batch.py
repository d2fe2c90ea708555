"""``macrorail batch``: align and blend many stacks, on this machine or on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from macrorail.batch.finding import find_stacks
from macrorail.batch.frame_list import listed
from macrorail.batch.job import BatchSettings, StackJob
from macrorail.batch.progress import StackOutcome
from macrorail.batch.runner import BatchRunner
from macrorail.batch.watch import Folder
from macrorail.batch.watching import sort_once, watch_folders
from macrorail.cli.batch_display import BatchDisplay
from macrorail.cli.messages import message_console
from macrorail.cli.stack import QualityChoice
from macrorail.clock import WorldClock
from macrorail.quantity import parse_duration
from macrorail.session.signals import stopped_by_signals
from macrorail.stacking.register import Motion


def batch(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDERS...", help="runs, folders of photographs, or folders of these"
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="folder for the results, one subfolder per stack")
    ] = Path("stacks"),
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="tcp://HOST:PORT", help="stack on this dask.distributed cluster"),
    ] = None,
    processes: Annotated[
        int, typer.Option("--jobs", min=1, help="stacks made at the same time on this machine")
    ] = 1,
    reference: Annotated[
        str,
        typer.Option(help="frame that gives the geometry: first, middle, or a number from 1"),
    ] = "first",
    quality: Annotated[
        QualityChoice, typer.Option(help="fast: half the time, colour and grain a little softer")
    ] = QualityChoice.BEST,
    align: Annotated[
        Motion | None,
        typer.Option(
            help="transform between frames; when not given, a run's recorded alignment, and a "
            "similarity for other frames",
            show_default=False,
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="wait for photographs, and make each complete stack")
    ] = False,
    grouped: Annotated[
        bool, typer.Option("--group", help="group photographs into stacks by time and focus")
    ] = False,
    wait: Annotated[
        str,
        typer.Option(help="with --watch: a stack is complete after this long without a new frame"),
    ] = "30 s",
    again: Annotated[bool, typer.Option("--again", help="remake finished stacks")] = False,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="read every frame to check that it is unchanged")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print the outcome of each stack as JSON")
    ] = False,
) -> None:
    """Align and blend many stacks, and print the folders of the results.

    Each stack gets fused.tif, fused.jpg, depth.tif with its confidence, and stack.json, which names
    every frame with its hash. Finished stacks are skipped, so the same command continues a batch
    that was interrupted. A stack that fails does not stop the others and is named at the end.

    A folder of photographs is one stack. With --group, the photographs of a mixed folder are
    grouped into stacks by time, focus and camera. --watch repeats this until Ctrl-C. Missing frames
    of a stack are reported. Photographs that belong to no stack are listed and not changed.

    On a cluster, frames and results must have the same paths on every machine, and each worker
    must have one thread:

      dask scheduler

      dask worker tcp://HOST:8786 --nthreads 1 --nworkers 4

    Examples:

      macrorail batch runs/

      macrorail batch /photos/drawer-12 /photos/drawer-13 -o /fused --jobs 2

      macrorail batch /nas/runs -o /nas/fused --scheduler tcp://10.0.0.5:8786

      macrorail batch --group DCIM/ -o fused

      macrorail batch --watch ~/Pictures/exports -o fused
    """
    console = message_console()
    settings = BatchSettings(reference, quality.value, None if align is None else align.value)
    clock = WorldClock()
    runner = BatchRunner(out, clock, scheduler, processes, again, thorough)

    def message(text: str) -> None:
        console.print(text, markup=False)

    def make(jobs: list[StackJob]) -> list[StackJob]:
        with BatchDisplay(console, jobs) as display:
            runner.run(jobs, display)
        display.print_folders()
        return display.failed

    with stopped_by_signals(clock):
        if watch:
            wait_s = parse_duration(wait)
            watched = [Folder(one, out, settings, wait_s) for one in folders]
            watch_folders(watched, clock, make, message)
        refused: list[tuple[StackJob, str]] = []
        if grouped:
            jobs = sort_once([Folder(one, out, settings, 0.0) for one in folders], message)
        else:
            found = find_stacks(folders, out, settings)
            jobs, refused = found.jobs, found.refused
            for line in listed(found.passed_over):
                message(line)
        with BatchDisplay(console, jobs, len(refused)) as display:
            for job, reason in refused:
                display.on_outcome(StackOutcome(job, "failed", reason))
            runner.run(jobs, display)
    display.print_result(as_json)
