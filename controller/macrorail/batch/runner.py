"""Runs a batch: skips the stacks that are finished and makes the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from macrorail.batch.cluster import check_address, stack_on_cluster
from macrorail.batch.job import StackJob
from macrorail.batch.local import stack_locally
from macrorail.batch.progress import StackOutcome
from macrorail.batch.work import is_finished
from macrorail.clock import Clock
from macrorail.errors import ConfigError


class BatchObserver(Protocol):
    """Follows a batch."""

    def message(self, text: str) -> None:
        """Take a sentence for the operator."""
        ...

    def on_outcome(self, outcome: StackOutcome) -> None:
        """Take the outcome of one stack."""
        ...


@dataclass(frozen=True)
class BatchRunner:
    """Where and how stacks are made.

    Attributes
    ----------
    out
        Folder of the results.
    clock
        Asked whether to stop.
    scheduler
        ``tcp://HOST:PORT`` of a dask cluster; ``None`` for this machine.
    processes
        Stacks at a time on this machine.
    again
        Also make stacks that are finished.
    thorough
        Compare the hashes of all frames to find out whether a stack is finished.

    Raises
    ------
    ConfigError
        Not an address of a scheduler.
    """

    out: Path
    clock: Clock
    scheduler: str | None = None
    processes: int = 1
    again: bool = False
    thorough: bool = False

    def __post_init__(self) -> None:
        if self.scheduler is not None:
            check_address(self.scheduler)

    def run(self, jobs: Sequence[StackJob], observer: BatchObserver) -> None:
        """Make the stacks that are not finished; one that fails does not stop the others.

        Raises
        ------
        ConfigError
            The folder of results cannot be made, or the cluster does not answer.
        OperatorStop
        """
        check = self.clock.check
        left = []
        for job in jobs:
            check()
            if not self.again and is_finished(job, self.thorough):
                observer.on_outcome(StackOutcome(job, "skipped"))
            else:
                left.append(job)
        if not left:
            return
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.out} cannot be made: {error.strerror}") from error
        if self.scheduler is not None:
            stack_on_cluster(left, self.scheduler, observer.on_outcome, observer.message, check)
        else:
            log = self.out / "batch.log"
            stack_locally(
                left, observer.on_outcome, observer.message, check, self.processes, log=log
            )
