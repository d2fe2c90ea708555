"""Whether coverage is proven from the images, over many simulated specimens with faulty axes.

``python -m tests.studies.coverage --count 100`` prints counts with one-sided 95 % bounds;
``--help`` says what can be chosen. The scorer knows the truth, the controller does not.

"Textured" is a pixel of the truth around which the luma of a 5 x 5 window has a standard deviation
of at least ``TEXTURE`` of 255.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from macrorail.devices.interfaces import AxisReport, FocusAxis, LostStepCheck
from macrorail.optics.overlap import Band, missing_positions, prove_coverage
from macrorail.states import FinishReason
from macrorail_sims.scene import Scene
from tests.studies.shares import told, told_rare
from tests.virtual import RAIL, VirtualRun

MOTION = ("reported", "held", "lost", "adrift")
KINDS = ("clean", *MOTION, "ends")
TEXTURE = 8.0
NEAR_UM, FAR_UM = 10_000.0, 11_000.0
F_NUMBER = 4.0
RIG = (
    RAIL.replace("image_width: 96", "image_width: 192")
    .replace("image_height: 64", "image_height: 128")
    .replace("{near: 10 mm, far: 12 mm}", "{near: 10 mm, far: 11 mm}")
)
PROTOCOL = """
specimen: {{id: beetle}}
range: {{near: {near} um, far: {far} um}}
overlap: 30 %
settle: 0.5 s
exposure: {{aperture: f/{f_number}, shutter: 1/20 s, iso: 100}}
"""


class ShortMoves:
    """An axis some of whose moves fall short.

    Parameters
    ----------
    kind
        ``reported``: it says so. ``held``: it does not, and catches up on the next move. ``lost``:
        it does not, and every later move starts from there, until the home switch is touched
        again. ``adrift``: the same on an axis without a switch to touch.
    """

    def __init__(
        self, axis: FocusAxis, kind: str, chance: float, step_um: float, rng: np.random.Generator
    ) -> None:
        self._axis, self._kind, self._chance, self._rng = axis, kind, chance, rng
        self._step_um = step_um
        self._farthest_um: float | None = None
        self._lost_um = self._short_um = 0.0
        self.faults = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._axis, name)

    @property
    def lost_step_check(self) -> LostStepCheck | None:
        check = self._axis.lost_step_check
        if self._kind == "adrift" or check is None:
            return None
        return replace(check, measure=self._touch)

    def _touch(self) -> float:
        check = self._axis.lost_step_check
        assert check is not None
        off_um, self._lost_um = self._lost_um, 0.0
        return check.measure() + off_um

    def open(self, closest_approach_um: float | None = None) -> AxisReport:
        return self._axis.open(closest_approach_um)

    def start_move(self, position_um: float) -> None:
        self._short_um = 0.0
        onwards = self._farthest_um is not None and position_um > self._farthest_um
        # Only moves of the sweep itself, so that what is missing can be counted from its slices.
        if onwards and self._rng.random() < self._chance:
            self._short_um = self._step_um * self._rng.uniform(0.15, 0.95)
            self.faults += 1
        if self._kind in ("lost", "adrift"):
            self._lost_um += self._short_um
            self._short_um = 0.0
        self._farthest_um = max(position_um, self._farthest_um or position_um)
        self._axis.start_move(position_um - self._short_um - self._lost_um)

    def finish_move(self) -> float:
        achieved_um = self._axis.finish_move()
        hidden_um = self._lost_um + (0.0 if self._kind == "reported" else self._short_um)
        return achieved_um + hidden_um


@dataclass
class Outcome:
    """One run, scored against the truth."""

    reason: FinishReason
    message: str
    planned: int
    fused: int
    least_extra: int
    textured: int
    uncovered: int
    false_alarms: int
    images: dict[str, Any]
    faults: int = 0
    again: int = 0
    extended: tuple[float, float] = (0.0, 0.0)


@dataclass
class Case:
    """What one run is like."""

    seed: int
    kind: str = "clean"
    chance: float = 0.0
    near_um: float = NEAR_UM
    far_um: float = FAR_UM
    outcome: Outcome | None = field(default=None, repr=False)


def shoot(case: Case, folder: Path) -> Outcome:
    """Carry out one run in virtual time and score it."""
    rng = np.random.default_rng([case.seed, 77])
    axes: list[ShortMoves] = []

    def faulty(axis: FocusAxis) -> FocusAxis:
        axes.append(ShortMoves(axis, case.kind, case.chance, 0.0, rng))
        return axes[0]

    run = VirtualRun(
        folder,
        RIG.replace("seed: 7", f"seed: {case.seed}").replace(
            "magnification: 2", "magnification: 1"
        ),
        PROTOCOL.format(near=case.near_um, far=case.far_um, f_number=F_NUMBER),
        wrap_axis=faulty,
        by_images=True,
    )
    axes[0]._step_um = 0.7 * run.plan.slices[0].dof_um
    scene = run.bench.world.scene
    places_um: list[float] = []
    release = run.bench.body.release

    def watched(*arguments: Any, **named: Any) -> Any:
        places_um.append(run.bench.carriage.position_um(run.clock.now()))
        return release(*arguments, **named)

    run.bench.body.release = watched
    end = run.run()
    exposed = {(e["slice"], e["attempt"]): e["exposure"] for e in run.said("exposed")}
    judged = run.said("judged")
    back = {(r["slice"], r["attempt"]) for r in run.said("rejected")}
    kept = {(v["slice"], v["attempt"]): None for v in judged if v["action"] == "fuse"}
    fused = [key for key in kept if key not in back]
    true_um = np.array([places_um[exposed[key] - 1] for key in fused])
    planned = len(run.plan.slices)
    first_um = true_um[[number <= planned for number, _ in fused]]
    dof_um = run.plan.slices[0].dof_um
    needed = _least_extra(first_um, dof_um, run)
    textured, uncovered = _uncovered(scene, true_um, dof_um, case)
    return Outcome(
        reason=end.reason,
        message=end.message,
        planned=planned,
        fused=len(fused),
        least_extra=needed,
        textured=textured,
        uncovered=uncovered,
        false_alarms=sum(bool(v["faults"]) for v in judged),
        images=run.said("coverage")[0]["images"] if run.said("coverage") else {},
        faults=axes[0].faults,
        again=len(exposed) - len(fused),
        extended=(case.near_um - float(true_um.min()), float(true_um.max()) - case.far_um),
    )


def _least_extra(true_um: np.ndarray[Any, Any], dof_um: float, run: VirtualRun) -> int:
    """How many slices the true places of the planned ones lack, by the protocol's own rule."""
    bands = [Band(float(um), dof_um) for um in true_um]
    plan = run.plan
    return len(
        missing_positions(prove_coverage(bands, plan.near_um, plan.far_um, plan.minimum_overlap))
    )


def _uncovered(
    scene: Scene, true_um: np.ndarray[Any, Any], dof_um: float, case: Case
) -> tuple[int, int]:
    """Textured pixels within the range, and those farther than half a DoF from every slice."""
    picture, depth_um = scene.truth((NEAR_UM + FAR_UM) / 2, F_NUMBER)
    luma = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
    mean = cv2.blur(luma, (5, 5))
    contrast = np.sqrt(np.maximum(cv2.blur(luma * luma, (5, 5)) - mean * mean, 0))
    textured = contrast >= TEXTURE
    away_um = np.abs(depth_um[..., None] - true_um).min(axis=2)
    return int(textured.sum()), int((textured & (away_um > dof_um / 2)).sum())


def _each(count: int, make: Callable[[int], Case], seed: int) -> list[tuple[Case, Outcome]]:
    done = []
    for number in range(count):
        case = make(seed + number)
        with tempfile.TemporaryDirectory() as folder:
            done.append((case, shoot(case, Path(folder) / "run")))
    return done


def clean(count: int, seed: int) -> dict[str, Any]:
    """Runs in which nothing is wrong: nothing may be said, added or shot again."""
    runs = [outcome for _, outcome in _each(count, lambda s: Case(s), seed)]
    alarms = sum(
        o.false_alarms > 0 or o.reason is not FinishReason.COMPLETED or o.fused != o.planned
        for o in runs
    )
    frames, bad = sum(o.fused for o in runs), sum(o.false_alarms for o in runs)
    warned = sum(bool((o.images.get("dof") or {}).get("warning")) for o in runs)
    print(f"clean runs with any alarm        {told_rare(alarms, count)}")
    print(f"  frames wrongly found faulty    {told_rare(bad, frames)}")
    print(f"  optics wrongly doubted         {told_rare(warned, count)}")
    print(f"  textured pixels not covered    {sum(o.uncovered for o in runs)}")
    return {"alarms": alarms, "warned": warned}


def short_moves(kind: str, count: int, seed: int) -> dict[str, Any]:
    """Moves that fall short, in one of three ways."""
    chance = 0.05 if kind in ("lost", "adrift") else 0.12
    runs = [o for _, o in _each(count, lambda s: Case(s, kind, chance), seed)]
    runs = [o for o in runs if o.faults]
    honest = [o for o in runs if o.reason is FinishReason.COVERAGE_NOT_PROVEN]
    good = sum(o.uncovered == 0 or o in honest for o in runs)
    extra = sum(o.fused - o.planned for o in runs)
    least = sum(o.least_extra for o in runs)
    print(f"moves short, {kind}: {sum(o.faults for o in runs)} faults in {len(runs)} runs")
    print(f"  covered, or exit 4             {told(good, len(runs))}; exit 4: {len(honest)}")
    print(
        f"  textured pixels not covered    {sum(o.uncovered for o in runs)} "
        f"of {sum(o.textured for o in runs)}"
    )
    ratio = f"{extra / least:.2f}" if least else "-"
    print(f"  slices added / least needed    {extra}/{least} = {ratio}")
    print(f"  slices shot again              {sum(o.again for o in runs)}")
    return {"good": good, "runs": len(runs), "extra": extra, "least": least}


def ends(count: int, seed: int) -> dict[str, Any]:
    """A specimen that goes on beyond the range by up to 30 % of it, at one end."""

    def make(number: int) -> Case:
        rng = np.random.default_rng([number, 3])
        # What is left is 10/13 of the specimen at least, so that 30 % of it lie outside.
        cut_um = rng.uniform(0.05, 0.3 / 1.3) * (FAR_UM - NEAR_UM)
        if rng.random() < 0.5:
            # Nearer than this the specimen has single bristles only.
            return Case(number, near_um=NEAR_UM + 200 + cut_um)
        return Case(number, far_um=FAR_UM - 120 - cut_um)

    found: Counter[str] = Counter()
    total: Counter[str] = Counter()
    covered = 0
    for case, outcome in _each(count, make, seed):
        end = "near" if case.near_um > NEAR_UM else "far"
        if not _has_texture_outside(case):
            continue
        total[end] += 1
        found[end] += outcome.extended[end == "far"] > 10.0
        covered += outcome.uncovered == 0 or outcome.reason is FinishReason.COVERAGE_NOT_PROVEN
    for end in ("near", "far"):
        print(f"{end} end outside, extended        {told(found[end], total[end])}")
    print(f"  then covered, or exit 4        {told(covered, total.total())}")
    return {"found": found.total(), "total": total.total(), "covered": covered}


def _has_texture_outside(case: Case) -> bool:
    """Whether a visible part of the frame, 1 in 200 pixels, has texture beyond the end's band."""
    scene = Scene(
        options=_options(case.seed),
    )
    picture, depth_um = scene.truth((NEAR_UM + FAR_UM) / 2, F_NUMBER)
    luma = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
    mean = cv2.blur(luma, (5, 5))
    contrast = np.sqrt(np.maximum(cv2.blur(luma * luma, (5, 5)) - mean * mean, 0))
    half_um = 0.5 * 141
    outside = (depth_um < case.near_um - half_um) | (depth_um > case.far_um + half_um)
    return bool(((contrast >= TEXTURE) & outside).mean() > 1 / 200)


def _options(seed: int) -> Any:
    from macrorail_sims.scene import SceneOptions

    return SceneOptions(
        seed=seed,
        width_px=192,
        height_px=128,
        pixel_pitch_um=4.5,
        magnification=1.0,
        specimen_near_um=NEAR_UM,
        specimen_far_um=FAR_UM,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60, help="runs of each kind")
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--only", choices=KINDS, default=None)
    chosen = parser.parse_args()
    for kind in KINDS:
        if chosen.only not in (None, kind):
            continue
        if kind in MOTION:
            short_moves(kind, chosen.count, chosen.seed)
        else:
            {"clean": clean, "ends": ends}[kind](chosen.count, chosen.seed)


if __name__ == "__main__":
    main()
