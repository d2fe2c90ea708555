"""A server with the operator's page on a small simulated instrument, for tests."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]

RIG = """\
camera:
  driver: gphoto
  port: bench
  image_width: 360
  image_height: 240
  pixel_pitch: 4.5 um
  frame_size: 60 kB
  download: 0.6 s
axis:
  driver: rail
  port: bench
  travel: {from: 1 mm, to: 60 mm}
  closest_approach: 45 mm
  speed: 4 mm/s
  acceleration: 20 mm/s2
  host_silence: 60 s
optics: {magnification: 2, pupil_ratio: 1}
bench:
  driver: simulated
  time_scale: 10
  seed: 7
  specimen: {near: 20 mm, far: 23 mm}
"""

PROTOCOL: dict[str, Any] = {
    "specimen": {"id": "beetle"},
    "range": {"near": "20 mm", "far": "21 mm"},
    "overlap": "30 %",
    "settle": "0.4 s",
    # The range ends within the specimen, and is meant to.
    "proof": {"extend": "0 %"},
    "exposure": {"aperture": "f/5.6", "shutter": "1/10 s", "iso": "100"},
}


@dataclass
class Server:
    """``macrorail serve`` as a process of its own.

    Attributes
    ----------
    folder
        Takes the rig, the protocols and the runs.
    more
        Further options of the verb.
    """

    folder: Path
    more: tuple[str, ...] = ()
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(init=False)
    _cookie: str = ""

    def __post_init__(self) -> None:
        self.log = self.folder / "server.log"
        (self.folder / "small-rig.yaml").write_text(RIG)
        (self.folder / "protocols").mkdir(exist_ok=True)
        (self.folder / "protocols" / "small-beetle.yaml").write_text(yaml.safe_dump(PROTOCOL))

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        if self.port == 0:
            with socket.socket() as found:
                found.bind(("127.0.0.1", 0))
                self.port = found.getsockname()[1]
        command = [sys.executable, "-m", "macrorail.cli", "serve", "--port", str(self.port)]
        command += ["--rig", str(self.folder / "small-rig.yaml"), "--runs", str(self.runs)]
        command += ["--protocols", str(self.folder / "protocols"), *self.more]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        raise AssertionError(f"the server did not come up: {self.log.read_text()}")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End the server, and the runs that were started through it."""
        for run in self.run_folders():
            pid = self.at_work(run)
            if pid is not None:
                os.kill(pid, signal.SIGTERM)
                wait_for(lambda run=run: self.at_work(run) is None, "the run to end", 60)
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(90)

    def run_folders(self) -> list[Path]:
        return sorted(self.runs.iterdir()) if self.runs.is_dir() else []

    @staticmethod
    def at_work(run: Path) -> int | None:
        """The process whose command line or journal lock belongs to the run."""
        from macrorail.dashboard.runs import running_process

        return running_process(run)

    def cookie(self) -> str:
        """The cookie of one browser, the same at every call."""
        if not self._cookie:
            self._cookie = self.ask("GET", "/")[1]["set-cookie"].partition(";")[0]
        return self._cookie

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request as the page makes it, ``headers`` on top (``None`` values are left out)."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent: dict[str, str | None] = {}
        if method != "GET":
            sent = {"Origin": self.url, "Content-Type": "application/json"}
        sent.update(headers or {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(
                method,
                path,
                None if method == "GET" else raw,
                {name: value for name, value in sent.items() if value is not None},
            )
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()


def wait_for(done: Any, what: str, timeout_s: float) -> Any:
    """Wait until ``done()`` is true and return it."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = done()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {timeout_s:g} s in vain for {what}")
