"""What watching costs: ``python -m tests.benchmarks.viewers`` shoots with and without ten viewers.

At life's own pace, in turns of a few slices: nobody looks; ten pages follow the run as the page
does, with every change, every thumbnail, each growing picture and each last frame, large. Beside
it: how many frames of live view one viewer and ten get on loopback while setting up.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from macrorail.run_folder.journal import JOURNAL, read_journal
from tests.benchmarks.cycle import RIG, cycles_of
from tests.page import Server, wait_for

PROTOCOL: dict[str, Any] = {
    "specimen": {"id": "viewers"},
    "range": {"near": "20 mm", "far": "22.9 mm"},
    "step": "60 um",
    "settle": "0.4 s",
    "exposure": {"aperture": "f/5.6", "shutter": "1/8 s", "iso": "100"},
    "optics": {"coc": "9 um"},
    "proof": {"extend": "0 %"},
}
VIEWERS = 10
WINDOW = 6
_LIVE_S = 4.0
#: Thumbnails that a page loads when it is opened: those that it has room for.
_IN_SIGHT = 8


class Viewer:
    """Follows a run as a page does, until it is told to stop."""

    def __init__(self, server: Server, run: str) -> None:
        self._server, self._run = server, run
        self._cookie = server.ask("GET", "/")[1]["set-cookie"].partition(";")[0]
        self.ended = threading.Event()
        self.bytes = 0
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def join(self) -> None:
        """Wait until it has left."""
        self._thread.join()

    def _follow(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._server.port, timeout=30)
        connection.request("GET", f"/api/events?run={self._run}", headers={"Cookie": self._cookie})
        answer = connection.getresponse()
        shown: dict[str, str] = {}
        while not self.ended.is_set():
            line = answer.readline()
            if not line.startswith(b'data: {"head"'):
                continue
            told = json.loads(line[6:])
            for path in self._pictures(told):
                address, _, version = path.partition("&v=")
                if shown.get(address) != version:
                    shown[address] = version
                    self._fetch(path)
        connection.close()

    def _pictures(self, told: dict[str, Any]) -> list[str]:
        head = told["head"]
        counted = [piece for piece in told["slices"] if piece["frame"]]
        paths = [f"frames/{piece['number']}.jpg?width=320&v=1" for piece in counted[-_IN_SIGHT:]]
        if counted:
            paths.append(f"frames/{counted[-1]['number']}.jpg?width=1600&v=1")
        if head["picture"]:
            growing = str(head["picture"]["name"] != "fused.jpg").lower()
            paths.append(f"picture.jpg?growing={growing}&v={head['picture']['version']}")
        return paths

    def _fetch(self, path: str) -> None:
        self.bytes += len(self._server.ask("GET", f"/api/runs/{self._run}/{path}")[2])


def leave(viewers: list[Viewer]) -> None:
    """Let them go, all at once."""
    for viewer in viewers:
        viewer.ended.set()
    for viewer in viewers:
        viewer.join()


@contextmanager
def serving(rig: str) -> Iterator[Server]:
    """A server on a rig, with everything it needs in a folder that goes."""
    with tempfile.TemporaryDirectory(
        prefix="macrorail-viewers-", ignore_cleanup_errors=True
    ) as folder:
        server = Server(Path(folder))
        (Path(folder) / "small-rig.yaml").write_text(rig)
        server.start()
        try:
            yield server
        finally:
            server.close()


def post(server: Server, path: str, body: dict[str, Any]) -> dict[str, Any]:
    status, _, answer = server.ask("POST", path, body, {"Cookie": server.cookie()})
    if status != 200:
        raise RuntimeError(f"{path}: {answer.decode()}")
    found: dict[str, Any] = json.loads(answer)
    return found


def cpu_s(process: int) -> float:
    """Processor time that a process has taken so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Shot:
    """Cycles and the server's processor time, seconds, with nobody and with the viewers there."""

    alone_s: list[float] = field(default_factory=list)
    watched_s: list[float] = field(default_factory=list)
    server_alone_s: float = 0.0
    server_watched_s: float = 0.0
    sent_mb: float = 0.0


def shoot(server: Server, into: Shot) -> None:
    """One run, to which the viewers come and from which they go again every few slices.

    In turns within one run, because what else the machine does changes from run to run.
    """
    assert server.process is not None
    run = post(server, "/api/runs", {"protocol": PROTOCOL})["run"]
    folder = server.runs / run
    wait_for(lambda: server.at_work(folder) is not None, "the run to begin", 60)
    watching: list[Viewer] = []
    turns, then_s = 0, cpu_s(server.process.pid)
    while server.at_work(folder) is not None:
        if len(list((folder / "frames").glob("*.jpg"))) < (turns + 1) * WINDOW:
            time.sleep(0.02)
            continue
        now_s = cpu_s(server.process.pid)
        if watching:
            into.server_watched_s += now_s - then_s
        else:
            into.server_alone_s += now_s - then_s
        turns, then_s = turns + 1, now_s
        into.sent_mb += sum(viewer.bytes for viewer in watching) / 1e6
        leave(watching)
        watching = [] if watching else [Viewer(server, run) for _ in range(VIEWERS)]
    leave(watching)
    wait_for((folder / "report.html").exists, "the report", 120)
    for place, cycle in enumerate(cycles_of(read_journal(folder / JOURNAL), settle_s=0.4), 1):
        window, inside = divmod(place, WINDOW)
        # The slice at which they come and go belongs to neither, nor does an unfinished window.
        if inside >= 1 and window < turns:
            (into.watched_s if window % 2 else into.alone_s).append(cycle.whole_s)


def live_view(server: Server, viewers: int) -> float:
    """Frames of live view that each of so many viewers got in a second."""

    def look() -> float:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
        frames, after, began_s = 0, 0, time.monotonic()
        while time.monotonic() - began_s < _LIVE_S:
            connection.request("GET", f"/api/instrument/live.jpg?after={after}")
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                frames, after = frames + 1, int(answer.getheader("x-frame") or 0)
        return frames / (time.monotonic() - began_s)

    with ThreadPoolExecutor(viewers) as looking:
        return min(looking.map(lambda _: look(), range(viewers)))


def measure_live_view(rig: str, told: Callable[[str], None]) -> None:
    with serving(rig) as server:
        post(server, "/api/instrument/connect", {})
        post(server, "/api/instrument/home", {})
        post(server, "/api/instrument/move", {"to_um": 21_000.0})
        for viewers in (1, VIEWERS):
            told(f"live view, {viewers} viewer(s): {live_view(server, viewers):.0f} frames/s each")
        post(server, "/api/instrument/disconnect", {})


def main() -> None:
    """Measure in turns and print what is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    rig = RIG.read_text()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores when begun", flush=True)
    measure_live_view(rig, lambda text: print(text, flush=True))
    # Life's own pace: on a faster world the same work would be a larger part of a cycle.
    slow = re.sub(r"time_scale: \S+", "time_scale: 1", rig)
    slow = slow.replace("host_silence: 60 s", "host_silence: 3 s")
    all_ = Shot()
    with serving(slow) as server:
        for _ in range(turns):
            shoot(server, all_)
    before, after = statistics.median(all_.alone_s), statistics.median(all_.watched_s)
    print(
        f"a cycle takes {before:.3f} s alone (median of {len(all_.alone_s)}), {after:.3f} s with "
        f"{VIEWERS} viewers (of {len(all_.watched_s)}; {all_.sent_mb:.0f} MB sent)"
    )
    print(f"ten viewers change the cycle by {100 * (after / before - 1):+.2f} %")
    idle = all_.server_alone_s / max(1, len(all_.alone_s))
    busy = all_.server_watched_s / max(1, len(all_.watched_s))
    print(f"the server takes {idle:.3f} s of processor time a cycle alone, {busy:.3f} s with them")
    print(f"load {os.getloadavg()[0]:.1f} when done")


if __name__ == "__main__":
    main()
