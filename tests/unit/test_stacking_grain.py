"""What a picture's user sees of grain: less of it, and no less of the detail."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from macrorail.stacking.blend import Blender
from tests.made_stack import make_stack
from tests.score import psnr_db

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Picture = npt.NDArray[np.uint16]


def soft_frames() -> tuple[list[Pixels], Picture]:
    """Frames whose finest detail is no stronger than their grain, and the truth."""
    made = make_stack(count=8, width=480, height=320, noise=0, moving=False)
    rng = np.random.default_rng(9)
    frames: list[Pixels] = []
    for frame in made.frames:
        soft = cv2.GaussianBlur(frame.astype(np.float32), (0, 0), 1.5)
        grainy = soft + 2 * rng.standard_normal(soft.shape)
        frames.append(np.clip(np.rint(grainy), 0, 255).astype(np.uint8))
    truth = np.asarray(cv2.GaussianBlur(made.truth.astype(np.uint16) * 257, (0, 0), 1.5), np.uint16)
    return frames, truth


def fused(frames: Sequence[Pixels]) -> Picture:
    blender = Blender(*frames[0].shape[:2])
    for frame in frames:
        blender.add(frame, np.eye(2, 3))
    return blender.finish()


def laplacian_rms(picture: Picture) -> float:
    inside = picture[20:-20, 20:-20].astype(np.float32) / 257
    return float(cv2.Laplacian(inside, cv2.CV_32F).std())


def leave_grain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("macrorail.stacking.blend.weakened", lambda picture, *_: picture)


def test_less_grain_is_left_and_the_picture_is_truer(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, truth = soft_frames()
    picture = fused(frames)
    leave_grain(monkeypatch)
    grainy = fused(frames)
    assert laplacian_rms(grainy) > 2.5 * laplacian_rms(truth)
    assert laplacian_rms(picture) < 1.8 * laplacian_rms(truth)
    assert psnr_db(picture, truth) > psnr_db(grainy, truth) + 0.2


def test_detail_that_is_stronger_than_grain_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    texture = cv2.GaussianBlur(rng.normal(120, 114, (240, 320)), (0, 0), 0.8)
    frames = []
    for k in range(8):
        seen = cv2.GaussianBlur(texture, (0, 0), 1.5 * k) if k else texture
        grainy = seen[:, :, np.newaxis] + rng.normal(0, 2, (240, 320, 3))
        frames.append(np.clip(np.rint(grainy), 0, 255).astype(np.uint8))
    picture = fused(frames)
    leave_grain(monkeypatch)
    assert laplacian_rms(picture) > 0.98 * laplacian_rms(fused(frames))


def test_few_frames_do_not_tell_grain_from_detail(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = soft_frames()[0][:3]
    picture = fused(frames)
    leave_grain(monkeypatch)
    assert np.array_equal(picture, fused(frames))
