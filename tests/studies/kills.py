"""Kills the controller at random instants and resumes it, on real serial port and libgphoto2.

``python -m tests.studies.kills --kills 300 --seed 1`` runs until so many kills have happened;
every run is then finished and held against the world's own diary.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from macrorail.batch.frames import load_frames, look_ahead
from macrorail.run_folder.events import kind_of, values_of
from macrorail.run_folder.journal import Entry, read_journal
from macrorail.stacking.stacker import Stacker

CONFIGS = Path(__file__).parents[2] / "configs"
_SMALL = {
    "image_width: 1200": "image_width: 192",
    "image_height: 800": "image_height: 128",
    "pixel_pitch: 4.5 um": "pixel_pitch: 28 um",
    "time_scale: 20": "time_scale: 60",
    "host_silence: 60 s": "host_silence: 180 s",
}
_PROTOCOL = """
specimen: {{id: kill-test}}
range: {{near: {near}, far: {far}}}
step: {step}
settle: {settle}
exposure: {{aperture: f/5.6, shutter: 1/10 s, iso: 100}}
optics: {{coc: 9 um}}
proof: {{extend: 0 %}}
"""
_RANGES = {
    "rail": ("20.5 mm", "21.1 mm", "60 um"),
    "lens": ("3 mm", "4.8 mm", "150 um"),
}
#: The axis' resolution plus, for a lens, what its file promises; micrometres.
_TOLERANCE_UM = {"rail": 1.0, "lens": 12.0}
_PATIENCE_S = 240.0


@dataclass
class Tally:
    """What a campaign found.

    Attributes
    ----------
    runs, kills
        Finished runs, and how often a controller was killed in them.
    adopted
        Frames that were on their way when a controller died and were adopted.
    wrong
        What went wrong, in words; empty is what is wanted.
    """

    runs: int
    kills: int
    adopted: int
    wrong: list[str]


def campaign(kills: int, seed: int) -> Tally:
    """Run until ``kills`` controllers have been killed, then finish the last run."""
    rng = random.Random(seed)
    tally = Tally(0, 0, 0, [])
    while tally.kills < kills:
        kind = rng.choice(["rail", "lens"])
        with tempfile.TemporaryDirectory(prefix="macrorail-kills-") as folder:
            _one_run(Path(folder), kind, rng, kills, tally)
        tally.runs += 1
    return tally


def _one_run(folder: Path, kind: str, rng: random.Random, kills: int, tally: Tally) -> None:
    # While a carriage settles for long its frame lies on disk and is not counted yet.
    write_job(folder, kind, settle=rng.choice(["0.4 s", "30 s"]))
    start = ["run", "protocol.yaml", "--rig", "rig.yaml", "--out", "runs"]
    wanted_kills = min(rng.randrange(1, 5), kills - tally.kills)
    for _ in range(wanted_kills):
        run = next((folder / "runs").glob("*"), None) if (folder / "runs").exists() else None
        arguments = start if run is None else ["resume", str(run)]
        # Most kills strike a run that is under way, however long a busy machine takes to start.
        under_way = rng.random() < 0.8
        if _killed(arguments, folder, under_way, rng.uniform(0.0, 4.0)):
            tally.kills += 1
    run = next((folder / "runs").glob("*"), None) if (folder / "runs").exists() else None
    done = subprocess.run(
        command(start if run is None else ["resume", str(run)]),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    run = next((folder / "runs").glob("*"))
    name = f"run {tally.runs + 1} ({kind})"
    if done.returncode != 0:
        tally.wrong.append(f"{name}: resume ended with {done.returncode}: {done.stderr.strip()}")
        return
    entries = read_journal(run / "journal.jsonl")
    tally.adopted += sum(
        kind_of(e.event) == "counted" and values_of(e.event)["adopted"] for e in entries
    )
    tally.wrong += [f"{name}: {fault}" for fault in _faults(run, entries, folder / "diary", kind)]


def write_job(folder: Path, kind: str, settle: str = "0.4 s") -> None:
    """Write a small ``rig.yaml`` and ``protocol.yaml`` for a ``rail`` or a ``lens``."""
    rig = (CONFIGS / "rigs" / f"simulated-{kind}.yaml").read_text()
    for large, small in _SMALL.items():
        rig = rig.replace(large, small)
    (folder / "rig.yaml").write_text(f"{rig.rstrip()}\n  diary: {folder / 'diary'}\n")
    near, far, step = _RANGES[kind]
    (folder / "protocol.yaml").write_text(
        _PROTOCOL.format(near=near, far=far, step=step, settle=settle)
    )


def command(arguments: list[str]) -> list[str]:
    """macrorail as a process of its own."""
    return [sys.executable, "-m", "macrorail.cli", *arguments]


def _killed(arguments: list[str], folder: Path, under_way: bool, after_s: float) -> bool:
    """Start macrorail in a process group of its own and kill the group; False if it was done.

    With ``under_way`` the time counts from the first word that it adds to a journal.
    """
    said = _journal_bytes(folder)
    deadline = time.monotonic() + _PATIENCE_S
    with subprocess.Popen(
        command(arguments),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        while under_way and _journal_bytes(folder) == said:
            if process.poll() is not None or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return True
        return False


def _journal_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("runs/*/journal.jsonl"))


def _faults(run: Path, entries: list[Entry], diary: Path, kind: str) -> list[str]:
    """What a finished run did wrong, held against what the world knows."""
    faults = []
    counted = [values_of(e.event) for e in entries if kind_of(e.event) == "counted"]
    numbers = [fields["slice"] for fields in counted]
    planned = next(
        values_of(e.event)["slices"] for e in entries if kind_of(e.event) in {"started", "resumed"}
    )
    if len(set(numbers)) != len(numbers):
        faults.append(f"slices counted twice: {numbers}")
    if not set(range(1, planned + 1)) <= set(numbers):
        faults.append(f"slices lost: {sorted(set(range(1, planned + 1)) - set(numbers))}")
    truth = {}
    for line in diary.read_text().splitlines():
        exposure, position_um = line.split()
        truth[int(exposure)] = float(position_um)
    by_hash: dict[str, int] = {}
    for fields in counted:
        digest = hashlib.sha256((run / fields["frame"]).read_bytes()).hexdigest()
        if digest != fields["sha256"]:
            faults.append(f"slice {fields['slice']} differs from its hash")
        if digest in by_hash:
            faults.append(f"slices {by_hash[digest]} and {fields['slice']} are one frame")
        by_hash[digest] = fields["slice"]
        exposure = _exposure_of(fields, entries)
        if (
            exposure is not None
            and abs(truth[exposure] - fields["achieved_um"]) > (_TOLERANCE_UM[kind])
        ):
            faults.append(
                f"slice {fields['slice']} was shot at {truth[exposure]:.1f} um, the journal says "
                f"{fields['achieved_um']:.1f} um"
            )
    faults += _pixel_faults(run)
    return faults


def _exposure_of(fields: dict[str, object], entries: list[Entry]) -> int | None:
    """The camera's own count for a slice's frame, from the name it gave (``DSC_0012.JPG``); an
    adopted frame has lost that name."""
    digits = "".join(c for c in str(fields["camera_name"]) if c.isdigit())
    return None if fields["adopted"] else int(digits)


def _pixel_faults(run: Path) -> list[str]:
    stacker = Stacker()
    frames = load_frames([run]).frames
    look_ahead(stacker, frames)
    for frame in frames:
        stacker.add(frame.path, frame.index, frame.z_um, scale=frame.scale)
    streamed = cv2.imread(str(run / "fused.tif"), cv2.IMREAD_UNCHANGED)
    if not np.array_equal(streamed, stacker.finish().image):
        return ["the fused picture differs from stacking its frames offline"]
    return []


def main() -> None:
    """Run a campaign from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started_s = time.monotonic()
    tally = campaign(arguments.kills, arguments.seed)
    print(
        f"{tally.kills} kills over {tally.runs} runs (seed {arguments.seed}, "
        f"{time.monotonic() - started_s:.0f} s): {len(tally.wrong)} faults, "
        f"{tally.adopted} frames adopted"
    )
    print("\n".join(tally.wrong))
    sys.exit(bool(tally.wrong))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
