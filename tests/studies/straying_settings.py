"""Runs whose camera strays at a random slice, judged by the world's own diary and by every frame.

``python -m tests.studies.straying_settings --runs 1000 --seed 1``: virtual runs in which dials are
turned, the body or its image size is exchanged, the shutter opens late, or the connection is lost
while a frame is downloaded; every fifth run is clean. A run may refuse, pause or shoot again. What
it counts must have been exposed where the journal says, with the settings that were asked for, by
one body and at one size; and a clean run must raise no doubt.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from macrorail.devices.frame_settings import read_frame_settings
from macrorail.running import scene_worker
from macrorail.running.supervision import RunSupervision
from macrorail.states import State
from macrorail_sims.bodies.base import Timing
from macrorail_sims.bodies.faults import Action, Fault
from tests.virtual import RAIL, VirtualRun, protocol_text

CABLE = RAIL.replace(
    "driver: virtual\n  port", "driver: cable\n  press: 0.1 s\n  KEYS\n  port", 1
).replace(
    "bench:\n  driver: virtual",
    'bench:\n  driver: virtual\n  set_by_hand: {aperture: f/8, shutter: 1/60, iso: "100"}',
)
_ASKED = {"aperture": 8.0, "shutter": 1 / 60, "iso": 100.0}
_OTHERS = {
    "aperture": ("f/4", "f/5.6", "f/11", "f/16"),
    "iso": ("200", "400", "800"),
    "shutter": ("1/30", "1/125"),
}
_SERIAL = "6001234"
_SIZE_PX = (96, 64)
_TOLERANCE_UM = 5.0
"""Of the place of an exposure; slices lie some 50 um apart, and a shutter lag of 40 ms moves it."""


@dataclass
class Study:
    """What came of the runs.

    Attributes
    ----------
    runs, done
        How many were shot, and how many of them to their end, by case.
    wrong
        Frames that were counted and are not what was asked, in words; empty is what is wanted.
    doubts
        Clean runs that raised a fault or did not end well, in words; empty is what is wanted.
    lost
        Runs that should have come to their end and did not, in words; empty is what is wanted.
    """

    runs: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


class InThisProcess:
    """The comparison of ``macrorail.running.scene_worker`` without its process."""

    def differences(
        self, held: Path, leaving: Path, away: Path, check: Callable[[], None]
    ) -> dict[str, float]:
        return scene_worker.differences(held, leaving, away)


class Situation:
    """One run, and what happens to its camera."""

    def __init__(self, name: str, seed: int, folder: Path) -> None:
        self.name = name
        self._rng = rng = random.Random(seed)
        self._at = rng.randint(1, 5)
        self._happened = False
        on_cable = name.startswith("cable")
        lag_s = rng.choice([0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 12.0])
        keys = ""
        if name in ("cable, known lag", "cable, hot shoe"):
            keys = f"shutter_lag: {lag_s} s"
        if name == "cable, hot shoe":
            keys += "\n  hot_shoe: true"
        text = (CABLE if on_cable else RAIL).replace("KEYS\n  " if not keys else "KEYS", keys)
        near_mm = round(rng.uniform(10.1, 11.2), 3)
        protocol = protocol_text(f"{near_mm} mm", f"{near_mm + rng.uniform(0.2, 0.4):.3f} mm")
        self.run = VirtualRun(
            folder,
            text.replace("seed: 7", f"seed: {seed % 9973}"),
            protocol,
            supervision=RunSupervision(lag=InThisProcess(), pause_at_most_s=1800.0),
            observe=self._observe,
        )
        self.body = self.run.bench.body
        self.body.world = replace(self.run.bench.world, diary=folder / "diary")
        self._lag_s = lag_s
        if name in ("cable, lag", "cable, known lag", "cable, hot shoe", "library, lag"):
            self.body.timing = Timing(shutter_lag_s=lag_s)
        if name == "size from the start":
            self.body.image_scale = rng.choice([0.5, 0.75])
        if name == "link lost":
            action = rng.choice([Action.DROP, Action.SWALLOW, Action.STALL])
            times = rng.randint(1, 3)
            self.body.faults.add(
                Fault("read", action, delay_s=4.0, after=self._at - 1, times=times)
            )

    def _observe(self, state: State) -> None:
        counted = len(self.run.said("counted"))
        if state is State.EXPOSING and counted >= self._at and not self._happened:
            self._happened = True
            self._stray()
        if state is State.PAUSED and self.name == "cable, dials turned back":
            self._set({"aperture": "f/8", "iso": "100", "shutter": "1/60"})
        if state is State.RECOVERING and self.name == "body exchanged" and self._happened:
            self.body.serial = "7009999"

    def _stray(self) -> None:
        rng = self._rng
        if "dials" in self.name:
            names = rng.sample(sorted(_OTHERS), rng.randint(1, 3))
            self._set({name: rng.choice(_OTHERS[name]) for name in names})
        elif self.name == "body exchanged":
            self.body.faults.add(Fault("read", Action.DROP))
        elif self.name == "cable, body exchanged":
            self.body.serial = "7009999"
        elif self.name == "size":
            self.body.image_scale = rng.choice([0.5, 0.75])
        elif self.name == "cable, self-timer switched on":
            self.body.timing = Timing(shutter_lag_s=max(1.0, self._lag_s))

    def _set(self, labels: dict[str, str]) -> None:
        for name, label in labels.items():
            setting = self.body.settings[name]
            setting.value = setting.choices[label]


#: Every situation, and whether its run has to come to its end.
SITUATIONS: dict[str, bool] = {
    "clean": True,
    "cable, clean": True,
    "dials": True,
    "cable, dials turned back": True,
    "cable, dials": False,
    "body exchanged": False,
    "cable, body exchanged": False,
    "size": False,
    "size from the start": False,
    "link lost": True,
    "library, lag": True,
    "cable, lag": False,
    "cable, known lag": True,
    "cable, hot shoe": True,
    "cable, self-timer switched on": False,
}


def study(runs: int, seed: int) -> Study:
    """Shoot ``runs`` runs; every fifth is clean."""
    found = Study()
    rng = random.Random(seed)
    clean = [name for name in SITUATIONS if "clean" in name]
    straying = [name for name in SITUATIONS if name not in clean]
    for count in range(runs):
        names = clean if count % 5 == 0 else straying
        name, one = names[count % len(names)], rng.randrange(1 << 30)
        with tempfile.TemporaryDirectory(prefix="macrorail-straying-") as folder:
            situation = Situation(name, one, Path(folder))
            try:
                judge(situation, found, f"{name}, seed {one}")
            finally:
                situation.run.bench.close()
    return found


def judge(situation: Situation, found: Study, which: str) -> None:
    """Shoot the run of a situation and judge it."""
    run, name = situation.run, situation.name
    end = run.run()
    is_done = end.state is State.DONE
    found.runs[name] += 1
    found.done[name] += is_done
    counted = run.said("counted")
    found.wrong += [f"{which}: {why}" for why in wrong_frames(run)]
    numbers = sorted(fields["slice"] for fields in counted)
    if is_done and numbers != [*range(1, len(numbers) + 1)]:
        found.wrong.append(f"{which}: slices {numbers} are counted")
    if "clean" in name and (not is_done or run.said("fault")):
        found.doubts.append(f"{which}: {end.message} {run.said('fault')}")
    if SITUATIONS[name] and not is_done:
        found.lost.append(f"{which}: {end.message}")


def wrong_frames(run: VirtualRun) -> list[str]:
    """What is wrong with the frames that count."""
    diary = run.folder / "diary"
    lines = diary.read_text().splitlines() if diary.exists() else []
    true_um = {int(number): float(um) for number, um in map(str.split, lines)}
    wrong = []
    for fields in run.said("counted"):
        frame = f"slice {fields['slice']}"
        off_um = true_um[int(fields["camera_name"][4:8])] - fields["achieved_um"]
        if abs(off_um) > _TOLERANCE_UM:
            wrong.append(f"{frame} was exposed {off_um:.1f} um off")
        said = read_frame_settings(run.folder / fields["frame"])
        for name, asked in _ASKED.items():
            if abs(said.values[name] - asked) > 0.05 * asked:
                wrong.append(f"{frame} has {name} {said.values[name]:g}")
        if (said.serial, said.size_px) != (_SERIAL, _SIZE_PX):
            wrong.append(f"{frame} is of body {said.serial} with {said.size_px} pixels")
    return wrong


def main() -> None:
    """Print what came of the runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    found = study(arguments.runs, arguments.seed)
    for name, runs in sorted(found.runs.items()):
        print(f"{name}: {runs} runs, {found.done[name]} came to their end")
    print(f"wrong frames counted: {len(found.wrong)}", *found.wrong[:20], sep="\n  ")
    print(f"doubts in clean runs: {len(found.doubts)}", *found.doubts[:20], sep="\n  ")
    print(f"runs that should have ended well: {len(found.lost)}", *found.lost[:20], sep="\n  ")


if __name__ == "__main__":
    main()
