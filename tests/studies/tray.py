"""A tray of specimens of different heights, unattended, over serial lines and libgphoto2.

``python -m tests.studies.tray --count 96 --seed 1 --kills 4`` shoots one, with a fault in 2 % of
its stacks, kills the controller on the way and resumes it, and holds every picture against the
world's own diary of which specimen lay under the lens.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from macrorail.run_folder.events import kind_of, values_of
from macrorail.run_folder.journal import Entry, read_journal

_RIG = """
camera:
  driver: gphoto
  port: bench
  image_width: 144
  image_height: 96
  pixel_pitch: 37.5 um
  frame_size: 12 kB
  download: 0.6 s
axis:
  driver: rail
  port: bench
  travel: {{from: 1 mm, to: 60 mm}}
  closest_approach: 45 mm
  speed: 4 mm/s
  acceleration: 20 mm/s2
  host_silence: 180 s
stage:
  driver: grbl
  port: bench
  x: {{machine_axis: X, travel: {{from: 2 mm, to: 78 mm}}, speed: 30 mm/s}}
  y: {{machine_axis: Y, travel: {{from: 2 mm, to: 78 mm}}, speed: 30 mm/s}}
  turntable: {{machine_axis: A, from: 2 deg, to: 362 deg, full_turn: 12 s}}
optics: {{magnification: 2}}
unattended: {{park: start}}
bench:
  driver: simulated
  time_scale: {time_scale}
  linger: 600 s
  diary: {diary}
  seed: {seed}
  specimen: {{near: 20 mm, far: 21 mm}}
  tray:
{lying}
"""
_CAMPAIGN = """
campaign:
  id: tray
  stage_positions: {csv: tray.csv}
  views: [{name: dorsal, turn: 90 deg}]
  settle: 0.5 s
  come_back: COME_BACK
stack:
  step: 60 um
  settle: 0.4 s
  exposure: {aperture: f/5.6, shutter: 1/10 s, iso: 100}
  optics: {coc: 15 um}
  proof: {extend: 50 %, extra_slices: 0}
"""
_VIEW = "dorsal"
_TOO_TALL = "it goes on far beyond the range that its list tells"
_BEYOND_UM = 800.0
#: What goes wrong, in the order in which faults are dealt out.
_FAULTS = {
    _TOO_TALL: "",
    "the stage stops with an alarm on its way there": ", stage_alarms: 1",
    "the camera refuses to shoot it, once": (
        ", faults: [{operation: release, action: REFUSE, times: 3}]"
    ),
}
_SHARE = 0.02
_STEP_UM = 60.0
_PATIENCE_S = 1800.0


@dataclass
class Tally:
    """What a campaign found.

    Attributes
    ----------
    totals
        Of the campaign's own report.
    kills
        How often the controller was killed.
    faults
        What was injected, by specimen.
    quarantined
        Reasons, by specimen.
    wrong
        What went wrong, in words; empty is what is wanted.
    """

    totals: dict[str, int] = field(default_factory=dict)
    kills: int = 0
    faults: dict[str, str] = field(default_factory=dict)
    quarantined: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def campaign(
    folder: Path,
    count: int,
    seed: int,
    kills: int,
    slices: int = 5,
    time_scale: float = 60,
    come_back: int = 1,
) -> Tally:
    """Shoot a tray in ``folder``, killing the controller so often, and look at what it left."""
    rng = random.Random(seed)
    tally = Tally(faults=_write(folder, count, rng, slices, time_scale, seed))
    text = _CAMPAIGN.replace("COME_BACK", str(come_back))
    (folder / "campaign.yaml").write_text(text)
    for number in range(kills):
        after = round((number + 1) * count / (kills + 1))
        tally.kills += _killed(folder, after, rng.uniform(0.2, 2.5))
    done = subprocess.run(
        _command(folder),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    here = _campaign_folder(folder)
    if here is None:
        tally.wrong.append(f"no campaign was begun: {done.stderr}")
        return tally
    _examine(folder, here, done, tally)
    return tally


def _write(
    folder: Path, count: int, rng: random.Random, slices: int, time_scale: float, seed: int
) -> dict[str, str]:
    """Write rig, campaign and positions; returns the faults by specimen."""
    columns = math.ceil(math.sqrt(count))
    kinds = list(_FAULTS)
    faulty = sorted(rng.sample(range(count), max(1, math.ceil(count * _SHARE))))
    kind_of = {number: kinds[n % len(kinds)] for n, number in enumerate(faulty)}
    lying, rows = [], ["name,id,x,y,near,far,scientific_name"]
    for number in range(count):
        row, column = divmod(number, columns)
        pitch_mm = 70 / max(columns, 2)
        x_mm, y_mm = 4 + column * pitch_mm, 4 + row * pitch_mm
        near_um = 18_000 + 20 * rng.randrange(0, 250)
        far_um = near_um + (slices - 1) * _STEP_UM
        extra, beyond_um = "", 0.0
        if kind_of.get(number) == _TOO_TALL:
            beyond_um = _BEYOND_UM
        if number in kind_of:
            extra = _FAULTS[kind_of[number]]
        lying.append(
            f"    - {{x: {x_mm:.3f} mm, y: {y_mm:.3f} mm, near: {near_um} um, "
            f"far: {far_um + beyond_um:g} um{extra}}}"
        )
        rows.append(
            f"{_place(number)},{_id(number)},{x_mm:.3f} mm,{y_mm:.3f} mm,{near_um} um,"
            f"{far_um:g} um,Carabus granulatus"
        )
    rig = _RIG.format(
        time_scale=time_scale, diary=folder / "diary", seed=seed, lying="\n".join(lying)
    )
    (folder / "rig.yaml").write_text(rig)
    (folder / "tray.csv").write_text("\n".join(rows) + "\n")
    return {_id(number): kind for number, kind in kind_of.items()}


def _place(number: int) -> str:
    return f"P{number + 1:03d}"


def _id(number: int) -> str:
    return f"NHM-{7000 + number}"


def _command(folder: Path) -> list[str]:
    here = _campaign_folder(folder)
    verb = (
        ["run", "campaign.yaml", "--rig", "rig.yaml", "--out", "runs"]
        if here is None
        else ["resume", str(here)]
    )
    return [sys.executable, "-m", "macrorail.cli", *verb]


def _campaign_folder(folder: Path) -> Path | None:
    return next(iter(sorted((folder / "runs").glob("*-tray"))), None)


def _shot(folder: Path) -> int:
    here = _campaign_folder(folder)
    if here is None or not (here / "journal.jsonl").exists():
        return 0
    return sum(kind_of(entry.event) == "shot" for entry in read_journal(here / "journal.jsonl"))


def _killed(folder: Path, after: int, then_s: float) -> bool:
    """Kill the controller a while after so many stacks; False if it ended before."""
    deadline = time.monotonic() + _PATIENCE_S
    with subprocess.Popen(
        _command(folder),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        while process.poll() is None and time.monotonic() < deadline:
            if _shot(folder) >= after:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(then_s)
                break
            time.sleep(0.05)
        if process.poll() is not None:
            return False
        os.killpg(process.pid, signal.SIGKILL)
        return True


def _examine(
    folder: Path, here: Path, done: subprocess.CompletedProcess[str], tally: Tally
) -> None:
    """Hold what the campaign says against what the world knows."""
    entries = read_journal(here / "journal.jsonl")
    fields = values_of(entries[-1].event)
    tally.totals = {name: fields[name] for name in ("stacks", "done", "quarantined", "left")}
    tally.quarantined = {
        values_of(entry.event)["item"].removesuffix(f"-{_VIEW}"): values_of(entry.event)["why"]
        for entry in entries
        if kind_of(entry.event) == "quarantined"
    }
    # Stacks of so few slices give the images little to verify the overlap with.
    if done.returncode not in ({4} if tally.quarantined else {0, 7}):
        tally.wrong.append(f"it ended with {done.returncode}: {done.stderr[-2000:]}")
    turned = {
        values_of(entry.event)["turn_deg"] for entry in entries if kind_of(entry.event) == "staged"
    }
    if turned != {90.0}:
        tally.wrong.append(f"the turntable stood at {turned} deg")
    if tally.totals["left"]:
        tally.wrong.append(f"{tally.totals['left']} stacks are left")
    truth = {}
    for line in (folder / "diary").read_text().splitlines():
        exposure, position_um, specimen = line.split()
        truth[int(exposure)] = (float(position_um), int(specimen))
    numbers = range(tally.totals["stacks"])
    for number in numbers:
        place, name = _place(number), _id(number)
        if place in tally.quarantined:
            if tally.faults.get(name) != _TOO_TALL:
                tally.wrong.append(f"{name} is in quarantine: {tally.quarantined[place]}")
            if not list((here / "quarantine").glob(f"{name}*/reason.txt")):
                tally.wrong.append(f"{name} is in quarantine without a reason on disk")
            continue
        if tally.faults.get(name) == _TOO_TALL:
            tally.wrong.append(f"{name} cannot have been shot")
        runs = sorted((here / "runs").glob(f"{name}-{_VIEW}*"))
        if len(runs) != 1:
            tally.wrong.append(f"{name} has {len(runs)} run folders")
            continue
        tally.wrong += [f"{name}: {what}" for what in _faults_of(runs[0], name, number, truth)]


def _faults_of(run: Path, name: str, number: int, truth: dict[int, tuple[float, int]]) -> list[str]:
    """What is wrong with one specimen's run."""
    manifest: dict[str, Any] = json.loads((run / "manifest.json").read_text())
    wrong = []
    shot = manifest["finish_reason"] in {"completed", "not_verified"}
    if manifest["state"] != "done" or not shot:
        wrong.append(f"it is {manifest['state']} ({manifest['finish_reason']})")
    if manifest["specimen"]["id"] != name:
        wrong.append(f"its manifest says {manifest['specimen']['id']}")
    if manifest["specimen"]["orientation"] != _VIEW:
        wrong.append("the view is lost")
    if manifest["specimen"]["scientific_name"] != "Carabus granulatus":
        wrong.append("the name of its species is lost")
    counted = _counted(read_journal(run / "journal.jsonl"))
    if len(counted) < manifest["coverage"].get("slices", 1):
        wrong.append("slices are missing")
    for fields in counted.values():
        digits = "".join(c for c in str(fields["camera_name"]) if c.isdigit())
        if fields["adopted"] or not digits:
            continue
        position_um, specimen = truth[int(digits)]
        if specimen != number:
            wrong.append(f"slice {fields['slice']} shows {_id(specimen)}")
        if abs(position_um - fields["achieved_um"]) > 1.0:
            wrong.append(f"slice {fields['slice']} was shot {position_um:.1f} um")
    return wrong


def _counted(entries: list[Entry]) -> dict[int, dict[str, Any]]:
    counted: dict[int, dict[str, Any]] = {}
    for entry in entries:
        if kind_of(entry.event) == "counted":
            counted[values_of(entry.event)["slice"]] = values_of(entry.event)
        elif kind_of(entry.event) == "rejected":
            counted.pop(values_of(entry.event)["slice"], None)
    return counted


def main() -> None:
    """Run a campaign from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=96)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--time-scale", type=float, default=60)
    parser.add_argument("--folder", type=Path, help="keep everything here")
    asked = parser.parse_args()
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="macrorail-tray-") as passing:
        folder = asked.folder or Path(passing)
        folder.mkdir(parents=True, exist_ok=True)
        tally = campaign(folder, asked.count, asked.seed, asked.kills, time_scale=asked.time_scale)
    print(
        f"{tally.totals} after {tally.kills} kills (seed {asked.seed}, "
        f"{time.monotonic() - began_s:.0f} s)"
    )
    for name, fault in tally.faults.items():
        print(f"injected: {name}: {fault}")
    for name, why in tally.quarantined.items():
        print(f"quarantine: {name}: {why}")
    print("\n".join(tally.wrong) or "nothing wrong")
    sys.exit(bool(tally.wrong))


if __name__ == "__main__":
    main()
