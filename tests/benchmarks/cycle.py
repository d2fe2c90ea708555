"""How long a slice takes: ``python -m tests.benchmarks.cycle`` shoots at life's own pace.

A cycle is the time from one exposure's end to the next one's, from the journal. It cannot be
shorter than the longer one of move and settle and of the frame before on its way, and then the
exposure. What the camera library needs for a capture by itself is measured beside it, with its own
blocking call, on the same body.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from macrorail.config.rig import load_rig
from macrorail.run_folder.events import kind_of, values_of
from macrorail.run_folder.journal import JOURNAL, Entry, read_journal
from macrorail_sims.bench import SimulatedBench

RIG = Path(__file__).parents[2] / "configs/rigs/simulated-rail.yaml"
PROTOCOL = """
specimen: {id: cycle}
range: {near: 20 mm, far: FAR mm}
step: 60 um
settle: 0.4 s
exposure: {aperture: f/5.6, shutter: 1/8 s, iso: 100}
optics: {coc: 9 um}
proof: {extend: 0 %}
"""
_CAPTURES = 12
#: Small pictures: rendering them must not take the simulated camera longer than its readout.
_SMALL = {
    "image_width: 1200": "image_width: 300",
    "image_height: 800": "image_height: 200",
    "pixel_pitch: 4.5 um": "pixel_pitch: 18 um",
    "host_silence: 60 s": "host_silence: 3 s",
}


@dataclass(frozen=True)
class Cycle:
    """One slice's times, seconds."""

    whole_s: float
    move_settle_s: float
    download_s: float

    def bound_s(self, capture_s: float) -> float:
        """What it may take: 5 % more than its parts, the parallel ones counted once."""
        return 1.05 * (max(self.move_settle_s, self.download_s) + capture_s)


def cycles_of(entries: list[Entry], settle_s: float) -> list[Cycle]:
    """Every cycle of a run but the first, from its journal."""
    at = {(kind_of(entry.event), values_of(entry.event).get("slice")): entry for entry in entries}
    last = max(number for event, number in at if event == "exposed")
    cycles = []
    for number in range(2, last + 1):
        before, here = at["exposed", number - 1], at["exposed", number]
        ended_s = values_of(before.event)["ended_s"]
        cycles.append(
            Cycle(
                whole_s=values_of(here.event)["ended_s"] - ended_s,
                move_settle_s=at["moved", number].world_s - before.world_s + settle_s,
                download_s=at["counted", number - 1].world_s - before.world_s,
            )
        )
    return cycles


def capture_alone_s(rig_path: Path) -> list[float]:
    """The library's own capture call on that body, nothing else going on."""
    rig = load_rig(rig_path)
    assert isinstance(rig.bench, SimulatedBench.Options)
    bench = SimulatedBench(rig.bench, rig)
    bench.start()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.capture_alone", str(bench.ports["camera"])],
            input=str(_CAPTURES),
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        bench.close()
    times_s: list[float] = json.loads(done.stdout)
    return times_s


def measure(body: str, slices: int, folder: Path) -> str:
    """One row of the table."""
    rig = folder / f"{body}.yaml"
    text = RIG.read_text().replace("time_scale: 20", f"time_scale: 1\n  body: {body}")
    for written, wanted in _SMALL.items():
        assert written in text, written
        text = text.replace(written, wanted)
    rig.write_text(text)
    protocol = folder / "protocol.yaml"
    protocol.write_text(PROTOCOL.replace("FAR", f"{20 + (slices - 1) * 0.06:g}"))
    capture_s = statistics.median(capture_alone_s(rig))
    arguments = ["run", protocol, "--rig", rig, "--out", folder / body]
    done = subprocess.run(
        [sys.executable, "-m", "macrorail.cli", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
    )
    (run,) = (folder / body).iterdir()
    if done.returncode not in (0, 4):  # a picture that lacks something has cycles all the same
        raise RuntimeError(done.stderr)
    cycles = cycles_of(read_journal(run / JOURNAL), settle_s=0.4)
    within = sum(cycle.whole_s <= cycle.bound_s(capture_s) for cycle in cycles)
    whole_s = statistics.median(cycle.whole_s for cycle in cycles)
    parts = (
        statistics.median(cycle.move_settle_s for cycle in cycles),
        statistics.median(cycle.download_s for cycle in cycles),
        capture_s,
        statistics.median(cycle.bound_s(capture_s) for cycle in cycles),
    )
    told = " | ".join(f"{part_s:.3f} s" for part_s in parts)
    verdict = "yes" if whole_s <= parts[-1] else "NO"
    return f"| {body} | {whole_s:.3f} s | {told} | {verdict} | {within} of {len(cycles)} |"


def main() -> None:
    """Measure both bodies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=25)
    parser.add_argument("--body", choices=["nikon", "canon"], action="append")
    wanted = parser.parse_args()
    slices: int = wanted.slices
    print("| body | cycle | move + settle | download | capture alone | bound | holds | each |")
    print("|---|---|---|---|---|---|---|---|")
    for body in wanted.body or ("nikon", "canon"):
        with tempfile.TemporaryDirectory(prefix="macrorail-cycle-") as folder:
            print(measure(body, slices, Path(folder)), flush=True)
            time.sleep(1)


if __name__ == "__main__":
    main()
