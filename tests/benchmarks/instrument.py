"""A scene that the benchmarks' own maker has no part in: the simulated instrument's specimen."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from macrorail.optics.dof import depth_of_field, effective_f_number
from macrorail_sims.scene import Scene, SceneOptions

_F_NUMBER = 5.6
_STEP_UM = 70.0


def make_instrument_scene(folder: Path, seed: int) -> None:
    """Frames as a rail takes them, perspective and all, in the form of ``scene.make_scene``.

    The truth is the simulator's own, with every depth as sharp as diffraction allows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = SceneOptions(seed=seed)
    scene = Scene(options)
    near_um, far_um = options.specimen_near_um, options.specimen_far_um
    count = int((far_um - near_um) / _STEP_UM) + 1
    last_um = near_um + (count - 1) * _STEP_UM
    for k in range(count):
        path = folder / f"f_{k:03d}.jpg"
        position_um = near_um + k * _STEP_UM
        if not path.exists():
            path.write_bytes(scene.render(position_um, _F_NUMBER, 100, 1 / 8, k))
        if k in (0, count // 2):
            truth, depth_um = scene.truth(position_um, _F_NUMBER)
            cv2.imwrite(str(folder / f"truth_{k:03d}.png"), truth)
            share = np.clip((depth_um - near_um) / (last_um - near_um), 0, 1)
            cv2.imwrite(str(folder / f"depth_{k:03d}.png"), (share * 65535).astype(np.uint16))
    facts = {
        "options": {"frames": count, "width": options.width_px, "height": options.height_px},
        "dof_per_step": _STEP_UM / _dof_um(options),
    }
    (folder / "truth.json").write_text(json.dumps(facts))


def _dof_um(options: SceneOptions) -> float:
    blur_um = 2 * options.pixel_pitch_um
    f_number = effective_f_number(_F_NUMBER, options.magnification, options.pupil_ratio)
    return depth_of_field(f_number, options.magnification, blur_um).limiting_um
