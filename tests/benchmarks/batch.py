"""What a cluster costs per stack beside plain local stacking.

``python -m tests.benchmarks.batch``. The same stacks are made by ``macrorail batch`` here, one at a
time, and by a dask cluster of one worker, also one at a time. Each way is run with few and with
many stacks, and the difference counts: what starting up costs is kept apart from what a stack
costs. Processor time is that of all processes together, so that it tells something on a busy
machine, too.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2

from tests.made_stack import make_stack

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Cost:
    """Seconds of the wall and of the processor."""

    wall_s: float
    cpu_s: float

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.wall_s - other.wall_s, self.cpu_s - other.cpu_s)

    def __truediv__(self, count: int) -> Cost:
        return Cost(self.wall_s / count, self.cpu_s / count)


def cpu_s() -> float:
    """Of all children that have ended, and theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def batch(folder: Path, out: Path, *options: str) -> float:
    """Make all stacks; returns the wall time."""
    began_s = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "macrorail.cli", "batch", folder, "-o", out, *options],
        check=True,
        capture_output=True,
        cwd=ROOT,
    )
    return time.monotonic() - began_s


def local(folder: Path, out: Path) -> Cost:
    """Plain local stacking."""
    before_s = cpu_s()
    return Cost(batch(folder, out), cpu_s() - before_s)


def clustered(folder: Path, out: Path) -> Cost:
    """On a cluster of one worker: client, scheduler and worker together."""
    before_s = cpu_s()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as scratch:
        cluster = subprocess.Popen(
            [sys.executable, "-m", "tests.dask_cluster", str(port), scratch, "1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        assert cluster.stdin is not None and cluster.stdout is not None
        _, address = cluster.stdout.readline().split()
        wall_s = batch(folder, out, "--scheduler", address)
        cluster.stdin.close()
        cluster.wait()
        cluster.stdout.close()
    return Cost(wall_s, cpu_s() - before_s)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.batch", description=__doc__)
    parser.add_argument("--few", type=int, default=1)
    parser.add_argument("--many", type=int, default=6)
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--width", type=int, default=3000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="macrorail-batch-") as folder:
        work = Path(folder)
        made = make_stack(arguments.frames, arguments.width, arguments.width * 2 // 3)
        for name, count in (("few", arguments.few), ("many", arguments.many)):
            for n in range(count):
                (work / name / f"s{n}").mkdir(parents=True)
                for k, frame in enumerate(made.frames):
                    cv2.imwrite(str(work / name / f"s{n}" / f"{k}.jpg"), frame)
        local(work / "few", work / "warm-up")  # compiles what is not compiled yet
        per_stack = {}
        for way in (local, clustered):
            costs = {
                name: way(work / name, work / f"{way.__name__}-{name}") for name in ("few", "many")
            }
            per_stack[way] = (costs["many"] - costs["few"]) / (arguments.many - arguments.few)
        same = all(
            (work / f"local-many/s{n}/fused.tif").read_bytes()
            == (work / f"clustered-many/s{n}/fused.tif").read_bytes()
            for n in range(arguments.many)
        )
        record = json.loads((work / "local-many/s0/stack.json").read_text())
        shutil.rmtree(work / "many")
    here, there = per_stack[local], per_stack[clustered]
    print(
        f"stacks of {arguments.frames} frames of {arguments.width} x {arguments.width * 2 // 3}; "
        f"pixels {'the same' if same else 'NOT THE SAME'}; peak {record['peak_rss_mb']} MB\n"
        f"local      {here.cpu_s:.2f} CPU s, {here.wall_s:.2f} s a stack\n"
        f"dask       {there.cpu_s:.2f} CPU s, {there.wall_s:.2f} s a stack\n"
        f"overhead   {there.cpu_s / here.cpu_s - 1:+.1%} CPU, "
        f"{there.wall_s / here.wall_s - 1:+.1%} wall"
    )


if __name__ == "__main__":
    main()
