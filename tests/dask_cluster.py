"""A dask cluster on loopback for tests: ``python -m tests.dask_cluster PORT SCRATCH [WORKERS]``.

A LocalCluster of two worker processes, or as many as said, over TCP. Prints ``ready ADDRESS``; on
the line ``kill-busy`` it kills a worker in the middle of a stack and prints ``killed PID``; on
``freeze`` it stops all workers, waits until there is work for them and prints ``frozen PID PID``.
Ends with its input.
"""

from __future__ import annotations

import os
import signal
import sys
import time

import dask
from distributed import LocalCluster

_SETTLE_S = 0.4


def kill_busy(cluster: LocalCluster) -> int:
    """Kill a worker that is at a stack, and be sure that it was."""
    while True:
        pids = {nanny.worker_address: nanny.pid for nanny in cluster.workers.values()}
        for address, state in list(cluster.scheduler.workers.items()):
            keys = [task.key for task in list(state.processing)]
            pid = pids.get(address)
            if not keys or pid is None:
                continue
            os.kill(pid, signal.SIGSTOP)
            time.sleep(_SETTLE_S)
            # What it reported before it stood still has arrived by now.
            at_work = [task.key for task in list(state.processing) if task.key in keys]
            os.kill(pid, signal.SIGKILL if at_work else signal.SIGCONT)
            if at_work:
                return int(pid)
        time.sleep(0.02)


def freeze(cluster: LocalCluster) -> list[int]:
    """Stop all workers and wait for new work, which stays unfinished."""
    pids = [nanny.pid for nanny in cluster.workers.values()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    old = at_work(cluster)
    while not at_work(cluster) - old:
        time.sleep(0.02)
    return pids


def at_work(cluster: LocalCluster) -> set[str]:
    """Keys of what workers have been given."""
    states = list(cluster.scheduler.workers.values())
    return {str(task.key) for state in states for task in list(state.processing)}


def main() -> None:
    """Serve until the input ends."""
    port, scratch = int(sys.argv[1]), sys.argv[2]
    workers = int(sys.argv[3]) if len(sys.argv) > 3 else 2
    dask.config.set({"temporary-directory": scratch})
    with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        protocol="tcp://",
        scheduler_port=port,
        dashboard_address=None,
        worker_dashboard_address=None,
        memory_limit="2GiB",
    ) as cluster:
        cluster.wait_for_workers(workers)
        print("ready", cluster.scheduler_address, flush=True)
        for line in sys.stdin:
            if line.strip() == "kill-busy":
                print("killed", kill_busy(cluster), flush=True)
            if line.strip() == "freeze":
                print("frozen", *freeze(cluster), flush=True)


if __name__ == "__main__":
    main()
