"""Whether wrong optics in the rig are named and right ones believed, over simulated specimens.

``python -m tests.studies.optics --count 60`` prints counts with one-sided 95 % bounds: whole runs
in virtual time, each specimen shot with the right optics in the YAML and with each wrong number.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from macrorail_sims.scene import Scene
from tests.studies.shares import told, told_rare
from tests.virtual import RAIL, VirtualRun

PROTOCOL = """
specimen: {{id: beetle}}
range: {{near: 10 mm, far: {far} um}}
overlap: 30 %
settle: 0.5 s
exposure: {{{aperture}shutter: 1/20 s, iso: 100}}
"""
_NEAR_UM = 10_000.0
_LIT_F_NUMBER = 4.0
_STOPS = (2.8, 4.0, 5.6, 8.0)


@dataclass(frozen=True)
class Setup:
    """Optics as they are, or as the YAML says.

    Attributes
    ----------
    f_number
        As set; of an objective what ``na`` and ``magnification`` make of it.
    na
        Of an objective, else 0.
    depth_um
        Of the specimen.
    """

    magnification: float
    f_number: float
    width_px: int
    depth_um: float
    na: float = 0.0

    @property
    def stop(self) -> float:
        """The f-number of the simulated lens (pupil ratio 1)."""
        if not self.na:
            return self.f_number
        return self.magnification / (2 * self.na) / (1 + self.magnification)


SETUPS = {
    "1:1 f/4": Setup(1.0, 4.0, 192, 1000.0),
    "1:1 f/4 large": Setup(1.0, 4.0, 400, 1000.0),
    "2:1 f/5.6": Setup(2.0, 5.6, 192, 600.0),
    "5:1 f/4": Setup(5.0, 4.0, 192, 150.0),
    "5:1 f/4 large": Setup(5.0, 4.0, 400, 150.0),
    "5:1 f/5.6": Setup(5.0, 5.6, 192, 220.0),
    "10x 0.25": Setup(10.0, 0.0, 192, 40.0, na=0.25),
}
WRONGS = {
    "right": (1.0, 1.0),
    "aperture a stop too large": (2**0.5, 1.0),
    "aperture a stop too small": (2**-0.5, 1.0),
    "magnification 20 % too large": (1.0, 1.2),
    "magnification 20 % too small": (1.0, 0.8),
}
"""By how much the YAML's aperture and magnification are too large."""


class Lens:
    """What the instrument truly looks through, whatever the camera believes."""

    def __init__(self, scene: Scene, f_number: float) -> None:
        self._scene, self._f_number = scene, f_number

    def render(self, position_um: float, **how: Any) -> bytes:
        how["f_number"] = self._f_number
        how["shutter_s"] *= (self._f_number / _LIT_F_NUMBER) ** 2
        return self._scene.render(position_um, **how)


def wrong(setup: Setup, name: str) -> Setup:
    """What the YAML says of a setup when it is wrong in that way."""
    aperture, magnification = WRONGS[name]
    return replace(
        setup,
        f_number=min(_STOPS, key=lambda stop: abs(stop - setup.f_number / aperture)),
        na=setup.na * aperture,
        magnification=setup.magnification * magnification,
    )


def run_of(true: Setup, said: Setup, seed: int, folder: Path) -> VirtualRun:
    """A run with one setup whose YAML says another."""
    far_um = _NEAR_UM + true.depth_um
    optics = f"magnification: {said.magnification:g}"
    rig = (
        RAIL.replace("seed: 7", f"seed: {seed}")
        .replace("image_width: 96", f"image_width: {true.width_px}")
        .replace("image_height: 64", f"image_height: {true.width_px * 2 // 3}")
        .replace("far: 12 mm}", f"far: {far_um / 1000} mm}}")
        .replace("magnification: 2", optics + (f", na: {said.na:.4f}" if said.na else ""))
    )
    aperture = "" if said.na else f"aperture: f/{said.f_number:g}, "
    run = VirtualRun(folder, rig, PROTOCOL.format(far=far_um, aperture=aperture), by_images=True)
    options = replace(run.bench.world.scene.options, magnification=true.magnification)
    object.__setattr__(run.bench.world, "scene", Lens(Scene(options), true.stop))
    return run


def doubted(true: Setup, said: Setup, seed: int, folder: Path) -> tuple[float, str]:
    """Measured over computed depth of field in a whole run, ``nan`` if unknown, and the warning."""
    run = run_of(true, said, seed, folder)
    run.run()
    dof = run.said("coverage")[0]["images"]["dof"]
    return (float("nan"), "") if dof is None else (dof["ratio"], dof["warning"])


def table(name: str, count: int, seed: int) -> dict[str, int]:
    """Shoot ``count`` specimens in every way, and print how often the optics were doubted."""
    true = SETUPS[name]
    print(f"{name}, {true.width_px} pixels wide: measured over computed depth of field")
    hits = {}
    for kind in WRONGS:
        ratios, hits[kind] = [], 0
        for number in range(seed, seed + count):
            with tempfile.TemporaryDirectory() as folder:
                ratio, warning = doubted(true, wrong(true, kind), number, Path(folder) / "run")
            ratios.append(ratio)
            hits[kind] += bool(warning)
        share = (told_rare if kind == "right" else told)(hits[kind], count)
        low, middle, high = np.nanquantile(ratios, (0, 0.5, 1))
        print(f"  {kind:30s} {low:.2f} {middle:.2f} {high:.2f}  doubted {share}", flush=True)
    return hits


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.studies.optics", description=__doc__)
    parser.add_argument("--count", type=int, default=60, help="specimens")
    parser.add_argument("--seed", type=int, default=20_000)
    parser.add_argument("--only", choices=tuple(SETUPS), default=None)
    chosen = parser.parse_args()
    for name in SETUPS if chosen.only is None else (chosen.only,):
        table(name, chosen.count, chosen.seed)


if __name__ == "__main__":
    main()
