"""How surely faulty frames are found, and how rarely good ones are taken for faulty.

``python -m tests.studies.frames --count 300`` prints a table with one-sided 95 % bounds: whole
runs in virtual time, a fault on every third or so of their slices, until that many frames of each
kind were faulty.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from macrorail.devices.interfaces import AxisReport, FocusAxis
from macrorail.run_folder.events import kind_of, values_of
from macrorail.run_folder.journal import Entry
from macrorail_sims.bodies.exposure import SimulatedExposure
from tests.studies.coverage import F_NUMBER, FAR_UM, NEAR_UM, PROTOCOL, RIG
from tests.studies.shares import told, told_rare
from tests.virtual import VirtualRun

KINDS = ("blur", "vibration", "shift", "exposure", "frozen", "damaged", "missed_move")
CALLED = {"vibration": "blur"}
_APART = 3


class Spoiler:
    """Spoils chosen exposures of a run: its camera's picture or the move before it."""

    def __init__(self, kind: str, rng: np.random.Generator) -> None:
        self.kind, self._rng = kind, rng
        self.slices: set[int] = set()
        self._now = (0, 0)
        self._before = b""
        self._world: Any = None
        self._render: Callable[[SimulatedExposure], bytes] = lambda light: b""

    def choose(self, run: VirtualRun) -> None:
        """Choose slices, and stand between the camera and its world."""
        first = int(self._rng.integers(2, 2 + _APART))
        # Before the last one: a missed move there is the far end not reached, another matter.
        self.slices = set(range(first, len(run.plan.slices) - 1, _APART))
        self._world = run.bench.world
        self._render = self._world.render
        object.__setattr__(self._world, "render", self.render)

    def hear(self, entry: Entry) -> None:
        """Know which slice is shot."""
        if kind_of(entry.event) == "intent":
            self._now = (values_of(entry.event)["slice"], values_of(entry.event)["attempt"])

    @property
    def due(self) -> bool:
        return self._now[0] in self.slices and self._now[1] == 1

    def render(self, light: SimulatedExposure) -> bytes:
        picture = self._picture(light) if self.due else self._render(light)
        if not self.due:
            self._before = picture
        return picture

    def _picture(self, light: SimulatedExposure) -> bytes:
        rng = self._rng
        angle = rng.uniform(0, 2 * np.pi)
        if self.kind == "frozen":
            return self._before
        if self.kind == "damaged":
            whole = self._render(light)
            return whole[: int(len(whole) * rng.uniform(0.3, 0.95))] + b"\xff\xd9"
        if self.kind == "blur":
            reach_um = rng.uniform(3, 8) * 4.5
            path = np.linspace(-0.5, 0.5, 7) * reach_um
            return self._seen(light, [(x * np.cos(angle), x * np.sin(angle), 0.0) for x in path])
        if self.kind == "vibration":
            return self._seen(light, self._shaken(angle))
        if self.kind == "shift":
            reach_um = rng.uniform(4, 20) * 4.5
            return self._seen(light, [(reach_um * np.cos(angle), reach_um * np.sin(angle), 0.0)])
        if self.kind == "exposure":
            return self._seen(light, [], 2.0 ** float(rng.choice([-6, -1, -0.3, 0.3, 1])))
        return self._render(light)

    def _shaken(self, angle: float) -> list[tuple[float, float, float]]:
        """Once around an ellipse, from a line to a circle, 3 to 8 pixels long."""
        turn = np.arange(16) * np.pi / 8
        long_um = self._rng.uniform(3, 8) * 4.5
        x = np.cos(turn) * long_um / 2
        y = np.sin(turn) * long_um / 2 * self._rng.uniform(0, 1)
        right, down = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
        return [(r, d, 0.0) for r, d in zip(right.tolist(), down.tolist(), strict=True)]

    def _seen(
        self,
        light: SimulatedExposure,
        path_um: list[tuple[float, float, float]],
        times: float = 1.0,
    ) -> bytes:
        picture: bytes = self._world.scene.render(
            self._world.carriage.position_um(light.start_s),
            f_number=light.f_number,
            iso=light.iso,
            shutter_s=(light.end_s - light.start_s) * times,
            exposure_number=light.number,
            offsets_um=path_um,
            quality=light.jpeg_quality,
        )
        return picture


class MissedMoves:
    """An axis that now and then stays where it is, says otherwise, and catches up."""

    def __init__(self, axis: FocusAxis, spoiler: Spoiler) -> None:
        self._axis, self._spoiler = axis, spoiler
        self._moves = 0
        self._at_um = self._told_um = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._axis, name)

    def open(self, closest_approach_um: float | None = None) -> AxisReport:
        return self._axis.open(closest_approach_um)

    def start_move(self, position_um: float) -> None:
        self._moves += 1
        self._told_um = position_um
        stays = self._spoiler.kind == "missed_move" and self._moves in self._spoiler.slices
        if not stays:
            self._at_um = position_um
        self._axis.start_move(self._at_um)

    def finish_move(self) -> float:
        return self._axis.finish_move() - self._at_um + self._told_um


def one_run(kind: str, seed: int, folder: Path) -> tuple[int, int, int, int]:
    """Faulty frames, those found, good frames, those rejected or called by this fault's name."""
    spoiler = Spoiler(kind, np.random.default_rng([seed, 5]))
    run = VirtualRun(
        folder,
        RIG.replace("seed: 7", f"seed: {seed}").replace("magnification: 2", "magnification: 1"),
        PROTOCOL.format(near=NEAR_UM, far=FAR_UM, f_number=F_NUMBER),
        wrap_axis=lambda axis: MissedMoves(axis, spoiler),
        listen=spoiler.hear,
        by_images=True,
    )
    spoiler.choose(run)
    run.run()
    count: Counter[str] = Counter()
    for verdict in run.said("judged"):
        bad = verdict["slice"] in spoiler.slices and verdict["attempt"] == 1
        if bad:
            count["faulty"] += 1
            count["found"] += CALLED.get(kind, kind) in verdict["faults"]
        else:
            count["good"] += 1
            count["alarms"] += bool(verdict["faults"])
    return count["faulty"], count["found"], count["good"], count["alarms"]


def table(count: int, seed: int, kinds: tuple[str, ...] = KINDS) -> dict[str, Counter[str]]:
    """Run until ``count`` frames of each kind were faulty, and print how it went."""
    print(f"{'fault':12s} {'found':40s} false alarms on good frames of the same runs")
    totals: dict[str, Counter[str]] = {}
    for kind in kinds:
        total: Counter[str] = Counter()
        number = seed
        while total["faulty"] < count:
            with tempfile.TemporaryDirectory() as folder:
                faulty, found, good, alarms = one_run(kind, number, Path(folder) / "run")
            total.update(faulty=faulty, found=found, good=good, alarms=alarms)
            number += 1
        totals[kind] = total
        print(
            f"{kind:12s} {told(total['found'], total['faulty']):40s} "
            f"{told_rare(total['alarms'], total['good'])}",
            flush=True,
        )
    return totals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60, help="faulty frames of each kind")
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--only", choices=KINDS, default=None)
    chosen = parser.parse_args()
    table(chosen.count, chosen.seed, KINDS if chosen.only is None else (chosen.only,))


if __name__ == "__main__":
    main()
