"""Makes stacks on a dask.distributed cluster; dask schedules them.

Workers read frames and write results themselves, under the same paths as this machine: only jobs
and their outcomes go over the network.
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
    """Refuse what cannot be a scheduler's address.

    Raises
    ------
    ConfigError
        Not ``tcp://HOST:PORT`` or its like.
    """
    if not _ADDRESS.fullmatch(scheduler):
        raise ConfigError(f"--scheduler {scheduler}: must look like tcp://HOST:8786")


def stack_on_cluster(
    jobs: Iterable[StackJob],
    scheduler: str,
    on_outcome: OnOutcome,
    on_message: OnMessage,
    check: CheckStop,
    patience_s: float = 600.0,
) -> None:
    """Make all stacks; none that fails stops the others.

    A worker that dies loses only its stack, which dask gives to another one. A stack that was at
    work on several workers that died is tried once more by itself when all others are done: the
    fault may have been another's.

    Parameters
    ----------
    scheduler
        ``tcp://HOST:PORT``.
    patience_s
        How long a scheduler may be away or a cluster be without workers.

    Raises
    ------
    ConfigError
        dask.distributed is not installed, or there is no scheduler at the address.
    StackError
        The cluster was away for longer than ``patience_s``; what is finished stays.
    """
    with needs_extra("cluster", "--scheduler"):
        import distributed
        from distributed.comm import CommClosedError
    for name in ("distributed", "distributed.client"):
        # It logs lost connections with tracebacks; what there is to say is said below.
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
                    f"the scheduler at {scheduler} has been away for {patience_s:g} s; "
                    f"{batch.left} stack(s) are left; the same command continues with them"
                ) from error
            batch.message_once(f"the scheduler at {scheduler} is away; waiting for it")
            time.sleep(1)


def stack_on_worker(data: dict[str, Any]) -> dict[str, Any]:
    """On a worker: make one stack, or return why not.

    Returns
    -------
    dict
        The record, or ``{"failed": reason}``: an explained failure is no reason to try again.
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
    """While a stack is made, freed memory is kept for its next frame, and given back at the end.

    Dask starts its workers with MALLOC_TRIM_THRESHOLD_ = 64 kB, which fetches every array from the
    system anew: a frame then costs 80 % more processor time.
    """
    libc = None if os.name == "nt" else ctypes.CDLL(None)
    if libc is None or not hasattr(libc, "mallopt"):  # another C library than glibc
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
    except ValueError:  # not on a worker
        limit = None
    return float(limit) if limit else free_memory_bytes()


class _SchedulerGone(Exception):
    """The connection broke; the stacks in progress may or may not be finished."""


class _Batch:
    """The stacks that are left, across connections."""

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
        """After a lost connection: the stacks in progress come first, unless they are done."""
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
    """Submit stacks and collect outcomes until none is left.

    Raises
    ------
    _SchedulerGone
        The connection broke.
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
                        f"stack(s) are left; the same command continues with them"
                    )
            time.sleep(_POLL_S)
    except BaseException:
        if client.status == "running":
            client.cancel(list(batch.under_way), force=True)
        raise


def _key(job: StackJob) -> str:
    # A key of its own each time: a scheduler may still know an earlier try by the same name.
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
        batch.message_once(f"{job.name}: its workers died; it is tried by itself at the end")
        batch.suspects.append(job)
    elif isinstance(error, KilledWorker):
        batch.finished(
            StackOutcome(job, "failed", "every worker that tried it died; see the workers' logs")
        )
    else:
        batch.finished(StackOutcome(job, "failed", f"{type(error).__name__}: {error}"))
