"""``macrorail batch``: align and blend many stacks, here or on a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from macrorail.batch.cluster import check_address, stack_on_cluster
from macrorail.batch.finding import find_stacks
from macrorail.batch.frame_list import Passed, listed
from macrorail.batch.job import Settings, StackJob
from macrorail.batch.local import stack_here
from macrorail.batch.progress import Outcome
from macrorail.batch.watch import Folder, FolderAway, Sorted
from macrorail.batch.work import is_finished
from macrorail.cli.batch_board import Board
from macrorail.cli.messages import message_console
from macrorail.cli.stack import QualityChoice
from macrorail.clock import WorldClock
from macrorail.errors import ConfigError, StackError
from macrorail.quantity import parse_duration
from macrorail.session.signals import stopped_by_signals
from macrorail.stacking.register import Motion

#: How often a watched folder is looked at.
_LOOK_EVERY_S = 2.0


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
        Motion | None,
        typer.Option(
            help="what may differ between frames besides their focus; similarity unless given, "
            "and a run's frames then lie as the run has laid them",
            show_default=False,
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="wait for photographs; stack what is complete")
    ] = False,
    grouped: Annotated[
        bool, typer.Option("--group", help="sort photographs into stacks by time and focus")
    ] = False,
    wait: Annotated[
        str, typer.Option(help="with --watch: a stack is complete when nothing came for so long")
    ] = "30 s",
    again: Annotated[bool, typer.Option("--again", help="also what is finished already")] = False,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="read all frames to see whether they have changed")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print what became of each stack as JSON")
    ] = False,
) -> None:
    """Align and blend many stacks; prints the folders of the results.

    Each stack gets fused.tif, fused.jpg, depth.tif with its confidence, and stack.json, which names
    every frame with its hash. What is finished is skipped, so the same command goes on after
    whatever stopped it. A stack that fails is named at the end and stops no other.

    A folder of photographs is one stack. With --group, a mixed folder is sorted into stacks by the
    time, focus and camera that the photographs tell; --watch does so again and again until
    Ctrl-C. What is missing in a stack is told, what belongs to none is left alone.

    On a cluster, frames and results must lie under the same paths on every machine, and workers
    are started with one thread each:

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
    settings = Settings(reference, quality.value, None if align is None else align.value)
    if scheduler is not None:
        check_address(scheduler)
    clock = WorldClock()
    making = Making(out, scheduler, processes, again, thorough, clock)
    with stopped_by_signals(clock):
        if watch:
            wait_s = parse_duration(wait)
            watch_folders([Folder(one, out, settings, wait_s) for one in folders], making, console)
        if grouped:
            refused: list[tuple[StackJob, str]] = []
            jobs = sort_once([Folder(one, out, settings, 0.0) for one in folders], console)
        else:
            found = find_stacks(folders, out, settings)
            jobs, refused = found.jobs, found.refused
            _print_passed(found.passed_over, console)
        with Board(console, jobs, len(refused)) as board:
            for job, reason in refused:
                board.tell(Outcome(job, "failed", reason))
            making.make(jobs, board)
    board.close(as_json)


@dataclass(frozen=True)
class Making:
    """How and where stacks are made.

    Attributes
    ----------
    out, scheduler, processes, again, thorough
        As the options say.
    clock
        Asked whether to stop.
    """

    out: Path
    scheduler: str | None
    processes: int
    again: bool
    thorough: bool
    clock: WorldClock

    def make(self, jobs: list[StackJob], board: Board) -> None:
        """Make what is not finished yet."""
        left = []
        for job in jobs:
            self.clock.check()
            if not self.again and is_finished(job, self.thorough):
                board.tell(Outcome(job, "skipped"))
            else:
                left.append(job)
        if not left:
            return
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.out} cannot be made: {error.strerror}") from error
        if self.scheduler is not None:
            stack_on_cluster(left, self.scheduler, board.tell, board.say, self.clock.check)
        else:
            log = self.out / "batch.log"
            check = self.clock.check
            stack_here(left, board.tell, board.say, check, self.processes, log=log)


def _print_passed(passed_over: list[Passed], console: Console) -> None:
    for line in listed(passed_over):
        console.print(line, markup=False)


def sort_once(folders: list[Folder], console: Console) -> list[StackJob]:
    """The stacks in folders that nothing is added to."""
    jobs: list[StackJob] = []
    for folder in folders:
        found = folder.look()
        _tell_rest(found, set(), console)
        jobs += found.jobs
    if not jobs:
        raise ConfigError(
            f"no stack was found in {', '.join(str(one.folder) for one in folders)}; photographs "
            f"that carry no time are not sorted: give each stack a folder, without --group"
        )
    return jobs


def watch_folders(folders: list[Folder], making: Making, console: Console) -> NoReturn:
    """Stack whatever becomes complete, until the operator stops it.

    Raises
    ------
    OperatorStop
        By Ctrl-C or a signal.
    """
    for folder in folders:
        if not folder.folder.is_dir():
            raise ConfigError(f"{folder.folder} is not a folder")
    told: set[Path] = set()
    tried: set[Any] = set()
    failed: set[Any] = set()
    away: set[Path] = set()
    console.print("Watching; Ctrl-C ends it.", markup=False)
    while True:
        for folder in folders:
            try:
                found = folder.look()
            except FolderAway as error:
                if folder.folder not in away:
                    console.print(f"{error}; waiting for it to come back", markup=False)
                away.add(folder.folder)
                continue
            if folder.folder in away:
                away.remove(folder.folder)
                tried -= failed
                console.print(f"{folder.folder} is back", markup=False)
            _tell_rest(found, told, console)
            new = [job for job in found.jobs if folder.signature(job) not in tried]
            if new:
                try:
                    with Board(console, new) as board:
                        making.make(new, board)
                except (ConfigError, StackError, OSError) as error:
                    if folder.out not in away:
                        console.print(f"{error}; waiting until that is possible", markup=False)
                    away.add(folder.out)
                    continue
                away.discard(folder.out)
                board.print_done()
                # What failed because the share dropped out meanwhile is tried again.
                gone = [job for job in board.failed if not folder.is_there(job)]
                tried |= {folder.signature(job) for job in new if job not in gone}
                failed |= {folder.signature(job) for job in board.failed}
        making.clock.sleep(_LOOK_EVERY_S)


def _tell_rest(found: Sorted, told: set[Path], console: Console) -> None:
    """Name what is not stacked, each once."""
    rest = [(path, reason) for path, reason in found.strays]
    rest += [(path, "cannot be read as a picture") for path in found.unreadable]
    rest += [(one.path, f"is passed over: {one.reason}") for one in found.passed_over]
    for path, reason in rest:
        if path not in told:
            told.add(path)
            console.print(f"Left alone: {path} {reason}", markup=False)
