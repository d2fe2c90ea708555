"""``macrorail batch`` as a user types it, here and on a dask cluster whose parts die."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import pytest
import tifffile

from macrorail.batch.work import PICTURES
from tests.made_stack import make_stack

STACKS = 4
PATIENCE_S = 240


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "macrorail.cli", *map(str, arguments)]


def batch(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("batch", *arguments),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def states(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    return {one["name"]: one["state"] for one in json.loads(done.stdout)}


def pixels(out: Path) -> dict[str, bytes]:
    return {
        f"{folder.name}/{name}": (folder / name).read_bytes()
        for folder in sorted(out.iterdir())
        if folder.is_dir()
        for name in PICTURES
    }


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of photographs, one of them without a picture that can be read."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(STACKS):
        folder = root / f"beetle-{number}"
        folder.mkdir()
        for k, frame in enumerate(make_stack(5, 480, 320, seed=number + 1).frames):
            cv2.imwrite(str(folder / f"{k}.jpg"), frame)
    (root / "broken").mkdir()
    (root / "broken" / "0.jpg").write_bytes(b"no picture")
    return root


@pytest.fixture(scope="module")
def local(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a plain local batch."""
    out = tmp_path_factory.mktemp("local") / "out"
    done = batch(photos, "-o", out, "--json")
    assert done.returncode == 6, done.stderr
    assert states(done) == {f"beetle-{n}": "done" for n in range(STACKS)} | {"broken": "failed"}
    assert "broken" in done.stderr
    assert "left" in done.stderr
    assert "Traceback" not in done.stderr
    return out


def test_batch_gives_the_pixels_of_stack(photos: Path, local: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.tif"
    made = subprocess.run(
        command("stack", photos / "beetle-1", "-o", alone, "--depth", tmp_path / "depth.tif"),
        check=True,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    assert made.stdout.decode().strip() == str(alone)
    for ours, theirs in ((alone, "fused.tif"), (tmp_path / "depth.tif", "depth.tif")):
        assert np.array_equal(tifffile.imread(ours), tifffile.imread(local / "beetle-1" / theirs))


class Cluster:
    """A dask cluster of two workers in processes of its own."""

    def __init__(self, port: int, scratch: Path) -> None:
        with (scratch / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.dask_cluster", str(port), str(scratch)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        (self.address,) = self._answer()

    def kill_busy_worker(self) -> None:
        """Kill a worker in the middle of a stack."""
        self._ask("kill-busy")
        self._answer()

    def freeze(self) -> None:
        """Stop the workers; answers with :meth:`kill`."""
        self._ask("freeze")

    def kill(self) -> None:
        """Once the frozen workers have work: scheduler and workers go at once."""
        frozen = self._answer()
        self._process.kill()
        for pid in frozen:
            os.kill(int(pid), signal.SIGKILL)
        self._end()

    def _ask(self, what: str) -> None:
        self._pipe(self._process.stdin).write(f"{what}\n")
        self._pipe(self._process.stdin).flush()

    def close(self) -> None:
        self._pipe(self._process.stdin).close()
        self._end()

    def _end(self) -> None:
        self._process.wait(PATIENCE_S)
        self._pipe(self._process.stdout).close()
        if not self._pipe(self._process.stdin).closed:
            self._pipe(self._process.stdin).close()

    def _answer(self) -> list[str]:
        said = self._pipe(self._process.stdout).readline().split()
        assert said, "the cluster has ended"
        return said[1:]

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dask")


@contextmanager
def under_way(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A batch in the background."""
    with subprocess.Popen(
        command("batch", *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_first(process: subprocess.Popen[Any]) -> None:
    """Until one stack is done."""
    assert process.stderr is not None
    for line in process.stderr:
        if " done in " in line:
            return
    raise AssertionError("no stack was done")


@pytest.mark.timeout(900)  # eight processes start, and more again
def test_a_cluster_whose_parts_die_gives_the_same_pixels(
    photos: Path, local: Path, tmp_path: Path, port: int, scratch: Path
) -> None:
    cluster = Cluster(port, scratch)
    out = tmp_path / "out"
    arguments = (photos, "-o", out, "--json", "--scheduler", cluster.address)

    # A worker dies in the middle of a stack; then the client dies.
    with under_way(*arguments) as client:
        cluster.kill_busy_worker()
        wait_for_first(client)
        client.kill()
    assert list(out.glob("*/stack.json"))

    # The client comes back; then the scheduler dies with all workers, and another takes its place.
    cluster.freeze()
    with under_way(*arguments, "--again") as client:
        cluster.kill()
        cluster = Cluster(port, scratch)
        printed, said = client.communicate(timeout=PATIENCE_S)
    cluster.close()
    assert client.returncode == 6, said
    became = {one["name"]: one["state"] for one in json.loads(printed)}
    assert became == {f"beetle-{n}": "done" for n in range(STACKS)} | {"broken": "failed"}
    assert f"the scheduler at {cluster.address} does not answer" in said
    assert "Traceback" not in said

    assert pixels(out) == pixels(local)
    assert not list(out.glob(".*"))
