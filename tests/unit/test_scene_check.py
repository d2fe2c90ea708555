"""Whether a frame shows what another one showed, through noise, displacement and other light."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from macrorail.errors import SceneMoved
from macrorail.running.scene_check import FrameComparison
from macrorail.running.scene_worker import compare

WIDTH, HEIGHT = 900, 600


def scene(seed: int, blur_px: float = 2.0) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).normal(size=(HEIGHT, WIDTH, 3)).astype(np.float32)
    coarse = cv2.GaussianBlur(noise, (0, 0), 8.0) * 8
    return cv2.GaussianBlur(coarse + noise * 0.3, (0, 0), blur_px) * 60 + 110


def shot(folder: Path, picture: NDArray[np.float32], seed: int, noise: float = 4.0) -> Path:
    rng = np.random.default_rng(seed)
    noisy = picture + rng.normal(scale=noise, size=picture.shape)
    path = folder / f"{seed}.png"
    cv2.imwrite(str(path), np.clip(noisy, 0, 255).astype(np.uint8))
    return path


def moved(picture: NDArray[np.float32], x: float, y: float) -> NDArray[np.float32]:
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
    return cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)


@pytest.mark.parametrize("blur_px", [1.0, 4.0, 20.0])
def test_the_same_scene_is_the_same_through_noise(tmp_path: Path, blur_px: float) -> None:
    picture = scene(1, blur_px)
    found = compare(shot(tmp_path, picture, 1), shot(tmp_path, picture, 2))
    assert found["correlation"] > 0.9
    assert found["shift_px"] < 1.0


@pytest.mark.parametrize(("x", "y"), [(15.0, 0.0), (-20.0, 12.0), (3.0, 60.0)])
def test_a_displacement_is_measured(tmp_path: Path, x: float, y: float) -> None:
    picture = scene(2)
    found = compare(shot(tmp_path, picture, 1), shot(tmp_path, moved(picture, x, y), 2))
    assert found["shift_px"] == pytest.approx(np.hypot(x, y), abs=1.5)
    assert found["correlation"] > 0.8


def test_another_lamp_is_not_another_scene(tmp_path: Path) -> None:
    picture = scene(3)
    found = compare(shot(tmp_path, picture, 1), shot(tmp_path, picture * 0.7, 2))
    assert found["correlation"] > 0.9
    assert found["brightness"] == pytest.approx(0.7, abs=0.02)


def test_another_specimen_is_another_scene(tmp_path: Path) -> None:
    found = compare(shot(tmp_path, scene(4), 1), shot(tmp_path, scene(5), 2))
    assert found["correlation"] < 0.5


def test_nothing_to_see_is_said(tmp_path: Path) -> None:
    empty = np.full((HEIGHT, WIDTH, 3), 120, np.float32)
    found = compare(shot(tmp_path, empty, 1), shot(tmp_path, empty, 2))
    assert found["correlation"] is None
    assert "too little" in found["why"]


def test_the_run_is_told_what_to_do(tmp_path: Path) -> None:
    check = FrameComparison(tmp_path / "log")
    picture = scene(6)
    before, same = shot(tmp_path, picture, 1), shot(tmp_path, picture, 2)
    assert check.compare(before, same, lambda: None)["correlation"] > 0.9
    aside, other = shot(tmp_path, moved(picture, 40, 0), 3), shot(tmp_path, scene(7), 4)
    with pytest.raises(SceneMoved, match=r"displaced by 4\d.* pixels .*--accept-scene"):
        check.compare(before, aside, lambda: None)
    with pytest.raises(SceneMoved, match=r"another one .*--accept-scene"):
        check.compare(before, other, lambda: None)


def test_a_comparison_that_dies_ends_no_run(tmp_path: Path) -> None:
    found = FrameComparison(tmp_path / "log").compare(
        tmp_path / "gone.png", tmp_path / "gone.png", lambda: None
    )
    assert found["correlation"] is None
