"""Runs a batch: skips finished stacks and makes the others."""

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
        """Show a sentence to the operator."""
        ...

    def on_outcome(self, outcome: StackOutcome) -> None:
        """Receive the outcome of one stack."""
        ...


@dataclass(frozen=True)
class BatchRunner:
    """Makes the stacks of a batch on this machine or on a cluster.

    Attributes
    ----------
    out
        Folder for the results.
    clock
        Clock through which the operator can stop the batch.
    scheduler
        Address ``tcp://HOST:PORT`` of a dask scheduler; ``None`` for this machine.
    processes
        Number of stacks made at the same time on this machine.
    again
        Whether to remake finished stacks.
    thorough
        Whether to compare the hashes of all frames when checking that a stack is finished.

    Raises
    ------
    ConfigError
        ``scheduler`` does not have the form of a scheduler's address.
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
        """Make the stacks that are not finished; a stack that fails does not stop the others.

        Raises
        ------
        ConfigError
            The folder for the results cannot be created, or the cluster does not answer.
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
            raise ConfigError(f"{self.out} cannot be created: {error.strerror}") from error
        if self.scheduler is not None:
            stack_on_cluster(left, self.scheduler, observer.on_outcome, observer.message, check)
        else:
            log = self.out / "batch.log"
            stack_locally(
                left, observer.on_outcome, observer.message, check, self.processes, log=log
            )
