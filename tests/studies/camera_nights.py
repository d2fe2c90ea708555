"""A long run over the real libgphoto2 with faults strewn in, held against the world's own diary.

``python -m tests.studies.camera_nights --frames 2000 --every 25 --seed 1``: a rail run by the
runner and its policies, on the firmware behind a PTY and a body behind PTP/IP, with a fault for
about every 25th slice. Every slice must be counted once, from the right position, its file intact;
nothing may hang, and memory and file descriptors may not grow.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import re
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from macrorail.config.document import load_document
from macrorail.config.protocol import Protocol
from macrorail.config.rig import load_rig
from macrorail.devices.gphoto.camera import GphotoCamera
from macrorail.devices.interfaces import Context
from macrorail.devices.rail.axis import SerialRail
from macrorail.planning.plan import make_plan
from macrorail.run_folder.events import kind_of, values_of
from macrorail.run_folder.journal import Entry, Journal, read_journal
from macrorail.running.runner import Runner, RunTask
from macrorail.states import FinishReason
from macrorail_sims.bench import SimulatedBench

CONFIGS = Path(__file__).parents[2] / "configs"
_SMALL = {
    "image_width: 1200": "image_width: 96",
    "image_height: 800": "image_height: 64",
    "pixel_pitch: 4.5 um": "pixel_pitch: 56 um",
    "download: 0.6 s": "download: 0.6 s\n  frame_timeout: 3 s",
    "host_silence: 60 s": "host_silence: 300 s",
    "specimen: {near: 20 mm, far: 23 mm}": (
        "specimen: {near: 20 mm, far: 23 mm}\n  body: BODY\n  diary: DIARY"
    ),
}
_PROTOCOL = """
specimen: {{id: night}}
range: {{near: 2 mm, far: {far} mm}}
step: 20 um
settle: 0.1 s
exposure: {{aperture: f/5.6, shutter: 1/60 s, iso: 200}}
optics: {{coc: 9 um}}
max_slices: 5000
"""
_FAULTS: tuple[dict[str, object], ...] = (
    {"operation": "release", "action": "REFUSE", "reason": "GENERAL"},
    {"operation": "release", "action": "REFUSE", "reason": "BUSY", "times": 5},
    {"operation": "release", "action": "REFUSE", "reason": "STORE_FULL"},
    {"operation": "release", "action": "REFUSE", "reason": "OUT_OF_FOCUS"},
    {"operation": "release", "action": "DROP"},
    {"operation": "release", "action": "SWALLOW"},
    {"operation": "release", "action": "LOSE"},
    {"operation": "release", "action": "LATE", "delay_s": 20.0},
    {"operation": "release", "action": "STALE"},
    {"operation": "release", "action": "STRAY"},
    {"operation": "events", "action": "DROP", "after": 1},
    {"operation": "events", "action": "STALL", "delay_s": 20.0, "after": 1},
    {"operation": "read", "action": "REFUSE", "reason": "NO_SUCH_FILE"},
    {"operation": "read", "action": "DROP"},
    {"operation": "read", "action": "STALL", "delay_s": 20.0},
    {"operation": "delete", "action": "REFUSE", "reason": "GENERAL"},
)
_KILLED, _CRASHED, _UNPLUGGED = "worker killed", "worker crashed", "unplugged"
_BATTERY_LOW = "battery low"
_SIGNALS = {_KILLED: signal.SIGKILL, _CRASHED: signal.SIGSEGV}
#: How long an empty battery lasts before somebody exchanges it, seconds of wall time.
_EMPTY_S = 1.5
#: A microstep is 0.625 um; the carriage stands where the board counts it.
_TOLERANCE_UM = 1.0
#: The longest timeout of one request of the driver (release, frame and transfer), seconds.
LONGEST_WAIT_S = 80.0
_GROWTH_KB = 30_000
_WARM_FRAMES = 5


@dataclass
class Night:
    """What came of a campaign.

    Attributes
    ----------
    counted, exposures
        Slices counted, and how often the shutter opened for them.
    faults
        How often each fault was put in.
    longest_gap_s
        Longest wall time between two lines of the journal.
    seconds
        Wall time of the whole run.
    growth
        Of the controller and of the worker that grew most: kB of memory, open files.
    wrong
        What was wrong, in words; empty is what is wanted.
    """

    counted: int = 0
    exposures: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    longest_gap_s: float = 0.0
    seconds: float = 0.0
    growth: dict[str, tuple[int, int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def campaign(frames: int, every: float, seed: int, folder: Path, body: str = "nikon") -> Night:
    """Shoot one run of ``frames`` slices with a fault for about every ``every``-th of them."""
    night = Night()
    rng = random.Random(seed)
    diary = folder / "diary"
    text = (CONFIGS / "rigs/simulated-rail.yaml").read_text()
    for written, wanted in _SMALL.items():
        assert written in text, written
        text = text.replace(written, wanted)
    (folder / "rig.yaml").write_text(text.replace("BODY", body).replace("DIARY", str(diary)))
    (folder / "protocol.yaml").write_text(_PROTOCOL.format(far=2 + (frames - 1) * 0.02))
    (folder / "frames").mkdir()
    rig = load_rig(folder / "rig.yaml")
    wanted_run = load_document(folder / "protocol.yaml", Protocol)
    plan = make_plan(wanted_run, rig)
    assert len(plan.slices) == frames
    assert isinstance(rig.bench, SimulatedBench.Options)
    assert isinstance(rig.camera, GphotoCamera.Options)
    assert isinstance(rig.axis, SerialRail.Options)
    bench = SimulatedBench(rig.bench, rig)
    bench.start()
    context = Context(bench.clock, bench.ports)
    camera, axis = GphotoCamera(rig.camera, context), SerialRail(rig.axis, context)
    journal = Journal(folder / "journal.jsonl", bench.clock.now)
    battery = Battery(bench)
    sizes: list[tuple[int, int]] = []
    workers: dict[int, list[tuple[int, int]]] = {}
    last_line_s = time.monotonic()

    def heard(entry: Entry) -> None:
        nonlocal last_line_s
        now_s = time.monotonic()
        night.longest_gap_s = max(night.longest_gap_s, now_s - last_line_s)
        last_line_s = now_s
        battery.look()
        if (
            kind_of(entry.event) == "counted"
            and values_of(entry.event)["slice"] % max(10, frames // 20) == 0
        ):
            sizes.append(_size_of("self"))
        if kind_of(entry.event) == "counted" and camera.worker_pid is not None:
            with contextlib.suppress(FileNotFoundError):  # it has been killed just now
                size = _size_of(str(camera.worker_pid))
                workers.setdefault(camera.worker_pid, []).append(size)
        first_try = kind_of(entry.event) == "intent" and values_of(entry.event)["attempt"] == 1
        if first_try and rng.random() < 1 / every:
            _strike(rng, bench, camera, night, battery)

    journal.listen(heard)
    started_s = time.monotonic()
    try:
        end = Runner(
            RunTask(plan, wanted_run.camera_settings, wanted_run.settle_s(None)),
            axis,
            camera,
            bench.clock,
            journal,
        ).run()
    finally:
        journal.close()
        bench.close()
    night.seconds = time.monotonic() - started_s
    if end.reason is not FinishReason.COMPLETED:
        night.wrong.append(f"it ended as {end.reason.value}: {end.message}")
    _hold_against(read_journal(folder / "journal.jsonl"), diary, frames, folder, night)
    _check_growth("the controller", sizes, night)
    for pid, worker_sizes in workers.items():
        # The first frames make it fetch what it keeps.
        _check_growth(f"worker {pid}", worker_sizes[_WARM_FRAMES:], night)
    grown = {whose: growth for whose, growth in night.growth.items() if "worker" in whose}
    night.growth = {"controller": night.growth.get("the controller", (0, 0))}
    night.growth["worker"] = max(grown.values(), default=(0, 0))
    return night


class Battery:
    """Somebody who exchanges the camera's battery; a line of the journal gives the occasion."""

    def __init__(self, bench: SimulatedBench) -> None:
        self._bench = bench
        self._due_s: float | None = None

    def exchange_after_s(self, duration_s: float) -> None:
        """Do it when so much wall time has gone by."""
        self._due_s = time.monotonic() + duration_s

    def look(self) -> None:
        """Exchange it when it is time."""
        if self._due_s is not None and time.monotonic() > self._due_s:
            self._due_s = None
            self._bench.ask("camera_battery", percent=80)


def _strike(
    rng: random.Random,
    bench: SimulatedBench,
    camera: GphotoCamera,
    night: Night,
    battery: Battery,
) -> None:
    fault = rng.choice([*_FAULTS, _KILLED, _CRASHED, _UNPLUGGED, _BATTERY_LOW])
    if isinstance(fault, str) and fault in _SIGNALS:
        if camera.worker_pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(camera.worker_pid, _SIGNALS[fault])
    elif fault == _BATTERY_LOW:
        # Noticed when the camera is opened, which the cut line makes happen now.
        bench.ask("camera_battery", percent=2)
        bench.ask("unplug_camera")
        battery.exchange_after_s(_EMPTY_S)
    elif fault == _UNPLUGGED:
        bench.ask("unplug_camera")
    else:
        assert isinstance(fault, dict)
        bench.ask("camera_fault", **fault)
        fault = " ".join(
            str(fault[key]) for key in ("operation", "action", "reason") if key in fault
        )
    night.faults[str(fault)] += 1


def _hold_against(
    entries: list[Entry], diary: Path, frames: int, folder: Path, night: Night
) -> None:
    """Journal and files against what the world knows of every exposure."""
    truth_um = {}
    for line in diary.read_text().splitlines():
        number, position_um = line.split()
        truth_um[int(number)] = float(position_um)
    night.exposures = len(truth_um)
    counted = [values_of(entry.event) for entry in entries if kind_of(entry.event) == "counted"]
    night.counted = len(counted)
    numbers = [fields["slice"] for fields in counted]
    if sorted(numbers) != list(range(1, frames + 1)):
        night.wrong.append(f"{len(numbers)} slices were counted, {len(set(numbers))} different")
    if len({fields["sha256"] for fields in counted}) != len(counted):
        night.wrong.append("two slices have the same frame")
    for fields in counted:
        data = (folder / fields["frame"]).read_bytes()
        if hashlib.sha256(data).hexdigest() != fields["sha256"]:
            night.wrong.append(f"slice {fields['slice']}: the frame on disk is another")
        found = re.search(r"(\d{4})\.", fields["camera_name"])
        assert found is not None
        true_um = truth_um[int(found[1])]
        if abs(true_um - fields["target_um"]) > _TOLERANCE_UM:
            night.wrong.append(
                f"slice {fields['slice']}: exposed at {true_um:.1f} um instead of "
                f"{fields['target_um']:.1f} um"
            )
    if night.longest_gap_s > LONGEST_WAIT_S:
        night.wrong.append(f"nothing happened for {night.longest_gap_s:.0f} s")


def _check_growth(whose: str, sizes: list[tuple[int, int]], night: Night) -> None:
    if len(sizes) < 2:
        return
    (first_kb, first_open), (last_kb, last_open) = sizes[0], sizes[-1]
    night.growth[whose] = last_kb - first_kb, last_open - first_open
    if last_kb > first_kb + _GROWTH_KB:
        night.wrong.append(f"memory of {whose} grew from {first_kb} kB to {last_kb} kB")
    if last_open > first_open + 2:
        night.wrong.append(f"open files of {whose} grew from {first_open} to {last_open}")


def _size_of(pid: str) -> tuple[int, int]:
    """Resident memory in kB and open files of a process."""
    found = re.search(r"VmRSS:\s+(\d+) kB", (Path("/proc") / pid / "status").read_text())
    if found is None:  # it has ended, and its parent has not yet noticed
        raise FileNotFoundError(pid)
    return int(found[1]), len(list((Path("/proc") / pid / "fd").iterdir()))


def main() -> None:
    """Run one campaign and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--every", type=float, default=25.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--body", choices=["nikon", "canon", "fuji", "sony"], default="nikon")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="macrorail-night-") as folder:
        night = campaign(wanted.frames, wanted.every, wanted.seed, Path(folder), wanted.body)
    print(night)
    raise SystemExit(bool(night.wrong))


if __name__ == "__main__":
    main()
