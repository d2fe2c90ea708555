"""Live view shows what a photograph would, smaller and noisier anew at each look."""

from __future__ import annotations

import cv2
import numpy as np

from macrorail_sims.live_view import LiveViewScene, live_view_scene
from macrorail_sims.scene import Scene, SceneOptions
from tests.score import psnr_db

WIDE = SceneOptions(width_px=960, height_px=192, pixel_pitch_um=4.0)


def picture(jpeg: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))


def test_live_view_is_the_photograph_made_smaller() -> None:
    scene = Scene(WIDE)
    screen = LiveViewScene(scene)
    for position_um in (3000.0, 4200.0):
        photograph = picture(scene.render(position_um, 5.6, 100, 0.1, 1))
        seen = picture(screen.render(position_um, 5.6, 100, 0.1))
        assert seen.shape == (96, 480, 3)
        smaller = cv2.resize(photograph, (480, 96), interpolation=cv2.INTER_AREA)
        assert psnr_db(smaller, seen) > 32
        shift, _ = cv2.phaseCorrelate(
            smaller[..., 1].astype(np.float64), seen[..., 1].astype(np.float64)
        )
        assert np.hypot(*shift) < 0.25


def test_what_is_small_enough_stays_as_it_is() -> None:
    scene = Scene(SceneOptions(width_px=300, height_px=200))
    assert live_view_scene(scene) is scene


def test_each_look_has_its_own_noise_and_sees_what_moves() -> None:
    screen = LiveViewScene(Scene(SceneOptions(width_px=160, height_px=120)))
    first = screen.render(3000.0, 5.6, 100, 0.1)
    assert screen.render(3000.0, 5.6, 100, 0.1) != first
    moved = picture(screen.render(4000.0, 5.6, 100, 0.1))
    assert psnr_db(picture(first), moved) < 35
    darker = picture(screen.render(3000.0, 5.6, 100, 0.025))
    assert darker.mean() < 0.8 * picture(first).mean()
