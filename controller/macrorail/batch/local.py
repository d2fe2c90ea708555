"""Makes stacks on this machine in separate processes, so that a crash affects only one stack."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from macrorail.batch.job import StackJob
from macrorail.batch.progress import CheckStop, OnMessage, OnOutcome, StackOutcome
from macrorail.errors import MacrorailError, WorkerCrashed
from macrorail.workers import Worker

_POLL_S = 0.05
#: A stack whose process died is tried once more: the cause may have been another program.
_TRIES = 2
#: Of the memory that is free at the beginning, what stacks may need together.
_MEMORY_SHARE = 0.9


class _Slot:
    """A process, and the stack that it is making now."""

    def __init__(self, log: Path | None) -> None:
        self._log = log
        self._worker = Worker("macrorail.batch.worker", "stacking", log=log)
        self.job: StackJob | None = None
        self.tries = 0
        self.needed_bytes = 0.0
        self._request = 0

    def start(self, job: StackJob, needed_bytes: float, tries: int) -> None:
        self.job, self.needed_bytes, self.tries = job, needed_bytes, tries
        try:
            self._request = self._worker.send("stack", job=job.to_dict())
        except WorkerCrashed:
            self.renew()
            self._request = self._worker.send("stack", job=job.to_dict())

    def outcome(self, job: StackJob) -> StackOutcome | None:
        """Return the outcome of the stack; ``None`` while the stack is being made.

        Raises
        ------
        WorkerCrashed
            The process died.
        """
        if not self._worker.ready(self._request):
            return None
        try:
            record = self._worker.receive(self._request, 1.0)
        except WorkerCrashed:
            raise
        except MacrorailError as error:
            return StackOutcome(job, "failed", str(error))
        record.pop("id")
        return StackOutcome(job, "done", record=record)

    def renew(self) -> None:
        """Replace the process by a new process if it has died."""
        self.close()
        self._worker = Worker("macrorail.batch.worker", "stacking", log=self._log)

    def close(self) -> None:
        if self.job is not None:
            # An unfinished stack is not kept.
            self._worker.kill()
        self._worker.close()


def stack_locally(
    jobs: Iterable[StackJob],
    on_outcome: OnOutcome,
    on_message: OnMessage,
    check: CheckStop,
    processes: int = 1,
    memory_bytes: float | None = None,
    log: Path | None = None,
) -> None:
    """Make all stacks; a stack that fails does not stop the others.

    Parameters
    ----------
    jobs
        The stacks.
    on_outcome
        Called with the outcome of each stack.
    on_message
        Called with messages for the operator.
    check
        Raises an error if the operator has stopped the batch.
    processes
        Largest number of stacks made at the same time; fewer if memory is short.
    memory_bytes
        Memory for all processes together; 90 % of the free memory when not given.
    log
        File for the output of the processes.
    """
    budget = free_memory_bytes() * _MEMORY_SHARE if memory_bytes is None else memory_bytes
    waiting = deque((job, 0) for job in jobs)
    with ExitStack() as closers:
        slots: list[_Slot] = []
        while waiting or any(slot.job for slot in slots):
            check()
            _fill(slots, waiting, budget, processes, on_outcome, log, closers)
            for slot in slots:
                _collect(slot, waiting, on_outcome, on_message)
            time.sleep(_POLL_S)


def free_memory_bytes() -> float:
    """Return the memory in bytes that is available on this machine without swapping."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    return float("inf")


def _fill(
    slots: list[_Slot],
    waiting: deque[tuple[StackJob, int]],
    budget: float,
    processes: int,
    on_outcome: OnOutcome,
    log: Path | None,
    closers: ExitStack,
) -> None:
    """Start as many stacks as the number of processes and the memory allow."""
    while waiting:
        job, tries = waiting[0]
        try:
            needed = job.needed_bytes()
        except MacrorailError as error:
            waiting.popleft()
            on_outcome(StackOutcome(job, "failed", str(error)))
            continue
        under_way = sum(slot.needed_bytes for slot in slots if slot.job)
        if under_way and under_way + needed > budget:
            return
        if needed > budget:
            waiting.popleft()
            on_outcome(StackOutcome(job, "failed", too_large(needed, budget, "this machine")))
            continue
        slot = next((slot for slot in slots if slot.job is None), None)
        if slot is None:
            if len(slots) == processes:
                return
            slot = closers.enter_context(closing(_Slot(log)))
            slots.append(slot)
        waiting.popleft()
        slot.start(job, needed, tries + 1)


def _collect(
    slot: _Slot, waiting: deque[tuple[StackJob, int]], on_outcome: OnOutcome, on_message: OnMessage
) -> None:
    job = slot.job
    if job is None:
        return
    try:
        outcome = slot.outcome(job)
    except WorkerCrashed as death:
        slot.job = None
        slot.renew()
        if slot.tries < _TRIES:
            on_message(f"{job.name}: {death}; this stack is retried")
            waiting.appendleft((job, slot.tries))
            return
        outcome = StackOutcome(job, "failed", f"its process died {slot.tries} times: {death}")
    if outcome is not None:
        slot.job = None
        on_outcome(outcome)


def too_large(needed: float, there: float, where: str) -> str:
    """Return the message for a stack that needs too much memory."""
    return (
        f"needs about {needed / 1e9:.1f} GB of memory, but {where} has only "
        f"{there / 1e9:.1f} GB for it; use a machine with more memory"
    )
