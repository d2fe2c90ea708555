"""Makes stacks on a dask.distributed cluster; dask distributes the stacks to the workers.

Workers read frames and write results themselves, under the same paths as on this machine. Only
jobs and their outcomes are sent to and from the workers.
"""

from __future__ import annotations

import ctypes
import logging
import os
import re
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from macrorail.batch.job import StackJob
from macrorail.batch.local import free_memory_bytes, too_large
from macrorail.batch.progress import CheckStop, OnMessage, OnOutcome, StackOutcome
from macrorail.batch.work import is_finished, make_stack
from macrorail.errors import ConfigError, MacrorailError, StackError
from macrorail.extras import needs_extra

if TYPE_CHECKING:
    from distributed import Client, Future

_ADDRESS = re.compile(r"(tcp|tls|ws|wss)://\S+:\d+")
_POLL_S = 0.1
#: How often the scheduler is asked for its workers: each question costs it processor time.
_ASK_EVERY_S = 2.0
_CONNECT_S = 10.0
#: Stacks handed over for each thread of the cluster: one to work at, one to go on with. More
#: would only fill the scheduler's memory.
_AHEAD = 2
#: mallopt(3): its parameters, and the bounds that it reaches by default.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_KEPT_BYTES = 32 << 20
#: One stack at a time in each process: its memory limit is for one.
_ONE_AT_A_TIME = threading.Lock()


def check_address(scheduler: str) -> None:
    """Check the form of a scheduler's address.

    Raises
    ------
    ConfigError
        The address does not have the form ``tcp://HOST:PORT``.
    """
    if not _ADDRESS.fullmatch(scheduler):
        raise ConfigError(f"--scheduler {scheduler}: must have the form tcp://HOST:8786")


def stack_on_cluster(
    jobs: Iterable[StackJob],
    scheduler: str,
    on_outcome: OnOutcome,
    on_message: OnMessage,
    check: CheckStop,
    patience_s: float = 600.0,
) -> None:
    """Make all stacks; a stack that fails does not stop the others.

    If a worker dies, dask gives the worker's stack to another worker. A stack whose workers died
    several times is retried alone after all other stacks, because another stack may have caused
    the failures.

    Parameters
    ----------
    jobs
        The stacks.
    scheduler
        Address of the scheduler, ``tcp://HOST:PORT``.
    on_outcome
        Called with the outcome of each stack.
    on_message
        Called with messages for the operator.
    check
        Raises an error if the operator has stopped the batch.
    patience_s
        Longest wait in seconds for a lost scheduler or for the first worker.

    Raises
    ------
    ConfigError
        dask.distributed is not installed, or no scheduler answers at the address.
    StackError
        The scheduler or all workers were missing for longer than ``patience_s``; the results of
        finished stacks are kept.
    """
    with needs_extra("cluster", "--scheduler"):
        import distributed
        from distributed.comm import CommClosedError
    for name in ("distributed", "distributed.client"):
        # dask logs lost connections with tracebacks; messages for the operator are given below.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    batch = _Batch(deque(jobs), on_outcome, on_message, check)
    connected = False
    while batch.left:
        check()
        try:
            with distributed.Client(
                scheduler, timeout=_CONNECT_S, set_as_default=False, name="macrorail"
            ) as client:
                connected = True
                _stack_connected(client, batch, patience_s)
        except (OSError, TimeoutError, CommClosedError, _SchedulerGone) as error:
            if not connected:
                raise ConfigError(
                    f"no scheduler answers at {scheduler}: {error}; start one with 'dask scheduler'"
                ) from error
            if time.monotonic() - batch.heard_s > patience_s:
                raise StackError(
                    f"the scheduler at {scheduler} has not answered for {patience_s:g} s; "
                    f"{batch.left} stack(s) are left. Run the same command again to continue"
                ) from error
            batch.message_once(f"the scheduler at {scheduler} does not answer; waiting for it")
            time.sleep(1)


def stack_on_worker(data: dict[str, Any]) -> dict[str, Any]:
    """Make one stack; this function runs on a worker.

    Returns
    -------
    dict
        The stack's record. Or ``{"failed": reason}`` for a known failure, so that dask does not
        retry the stack.
    """
    job = StackJob.from_dict(data)
    with _ONE_AT_A_TIME, _memory_kept():
        try:
            needed, there = job.needed_bytes(), _worker_memory_bytes()
            if needed > there:
                return {"failed": too_large(needed, there, "a worker")}
            return make_stack(job)
        except MacrorailError as error:
            return {"failed": str(error)}


@contextmanager
def _memory_kept() -> Iterator[None]:
    """Keep freed memory for the next frame while a stack is made; release the memory at the end.

    Dask starts its workers with MALLOC_TRIM_THRESHOLD_ = 64 kB. With this setting, the memory of
    every array is requested from the system, and each frame needs 80 % more processor time.
    """
    libc = None if os.name == "nt" else ctypes.CDLL(None)
    if libc is None or not hasattr(libc, "mallopt"):  # the C library is not glibc
        yield
        return
    libc.mallopt(_M_TRIM_THRESHOLD, 2 * _LARGEST_KEPT_BYTES)
    libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
    try:
        yield
    finally:
        libc.malloc_trim(0)


def _worker_memory_bytes() -> float:
    import distributed

    try:
        limit = distributed.get_worker().memory_manager.memory_limit
    except ValueError:  # this process is not a dask worker
        limit = None
    return float(limit) if limit else free_memory_bytes()


class _SchedulerGone(Exception):
    """The connection to the scheduler was lost; stacks in progress may or may not be finished."""


class _Batch:
    """The stacks still to be made; the list survives a lost connection."""

    def __init__(
        self, jobs: deque[StackJob], on_outcome: OnOutcome, on_message: OnMessage, check: CheckStop
    ) -> None:
        self.waiting = jobs
        self.suspects: deque[StackJob] = deque()
        self.under_way: dict[Any, StackJob] = {}
        self.alone = False
        self.check = check
        self.heard_s = time.monotonic()
        self._on_outcome, self._on_message = on_outcome, on_message
        self._last_message = ""

    @property
    def left(self) -> int:
        return len(self.waiting) + len(self.suspects) + len(self.under_way)

    def message_once(self, text: str) -> None:
        if text != self._last_message:
            self._last_message = text
            self._on_message(text)

    def finished(self, outcome: StackOutcome) -> None:
        self.heard_s, self._last_message = time.monotonic(), ""
        self._on_outcome(outcome)

    def take_back(self) -> None:
        """After a lost connection, queue the stacks in progress first, unless they are finished."""
        for job in reversed(self.under_way.values()):
            if is_finished(job):
                self.finished(StackOutcome(job, "done"))
            elif self.alone:
                self.suspects.appendleft(job)
            else:
                self.waiting.appendleft(job)
        self.under_way = {}

    def next_job(self) -> StackJob | None:
        if self.waiting:
            return self.waiting.popleft()
        if self.suspects and not self.under_way:
            self.alone = True
            return self.suspects.popleft()
        return None


def _stack_connected(client: Client, batch: _Batch, patience_s: float) -> None:
    """Submit stacks and collect outcomes until all stacks are finished.

    Raises
    ------
    _SchedulerGone
        The connection to the scheduler was lost.
    """
    batch.take_back()
    warned = False
    asked_s = -_ASK_EVERY_S
    workers: dict[str, int] = {}
    try:
        while batch.left:
            batch.check()
            if time.monotonic() - asked_s >= (_ASK_EVERY_S if workers else _POLL_S):
                workers, asked_s = client.nthreads(), time.monotonic()
            threads = sum(workers.values())
            if threads > len(workers) and not warned:
                warned = True
                batch.message_once(
                    "a worker process makes one stack at a time: start workers with --nthreads 1"
                )
            while len(batch.under_way) < max(1, _AHEAD * threads):
                job = batch.next_job()
                if job is None:
                    break
                future = client.submit(
                    stack_on_worker, job.to_dict(), key=_key(job), pure=False, retries=0
                )
                batch.under_way[future] = job
            _collect(client, batch)
            if workers:
                batch.heard_s = time.monotonic()
            else:
                batch.message_once("the cluster has no worker; waiting for one")
                if time.monotonic() - batch.heard_s > patience_s:
                    raise StackError(
                        f"the cluster has had no worker for {patience_s:g} s; {batch.left} "
                        f"stack(s) are left. Run the same command again to continue"
                    )
            time.sleep(_POLL_S)
    except BaseException:
        if client.status == "running":
            client.cancel(list(batch.under_way), force=True)
        raise


def _key(job: StackJob) -> str:
    # Each attempt has its own key: a scheduler may still know the key of an earlier attempt.
    return f"stack-{job.name}-{time.monotonic_ns()}"


def _collect(client: Client, batch: _Batch) -> None:
    if client.status != "running":
        raise _SchedulerGone(f"the connection is {client.status}")
    for future in [one for one in batch.under_way if one.done()]:
        job = batch.under_way[future]
        if future.status not in {"finished", "error"}:
            raise _SchedulerGone(f"a stack's future is {future.status}")
        del batch.under_way[future]
        _take(future, job, batch)


def _take(future: Future, job: StackJob, batch: _Batch) -> None:
    from distributed import KilledWorker

    if future.status == "finished":
        record = future.result()
        if "failed" in record:
            batch.finished(StackOutcome(job, "failed", record["failed"]))
        else:
            batch.finished(StackOutcome(job, "done", record=record))
        return
    error = future.exception()
    if isinstance(error, KilledWorker) and not batch.alone:
        batch.message_once(f"{job.name}: its workers died; this stack is retried alone at the end")
        batch.suspects.append(job)
    elif isinstance(error, KilledWorker):
        batch.finished(
            StackOutcome(
                job, "failed", "every worker that made this stack died; see the workers' logs"
            )
        )
    else:
        batch.finished(StackOutcome(job, "failed", f"{type(error).__name__}: {error}"))
