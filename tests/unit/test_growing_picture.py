"""The picture that grows during a run: it shows the sums, and never touches them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from macrorail.errors import StackError
from macrorail.stacking.stacker import Stacker
from macrorail.stacking.stream_worker import PREVIEW, StreamWorker


def frames(count: int, height: int = 192, width: int = 256) -> list[np.ndarray]:
    """One texture, each frame sharp in another stripe."""
    rng = np.random.default_rng(4)
    sharp = np.full((height, width, 3), 128.0)
    for cell in (2, 8, 32):  # small things to be sharp, large ones to align by
        coarse = rng.normal(0, 35, (height // cell, width // cell, 3))
        sharp += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    sharp = np.clip(sharp, 0, 255).astype(np.uint8)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 3)
    made = []
    for n in range(count):
        frame = blurred.copy()
        stripe = slice(n * width // count, (n + 1) * width // count)
        frame[:, stripe] = sharp[:, stripe]
        made.append(frame)
    return made


def test_at_full_size_the_preview_is_the_picture_and_changes_nothing() -> None:
    watched, alone = Stacker(), Stacker()
    for n, frame in enumerate(frames(4)):
        watched.add(frame, n)
        shown = watched.preview(1000)
        alone.add(frame, n)
    fused = watched.finish().image
    assert np.array_equal(fused, shown)
    assert np.array_equal(fused, alone.finish().image)


def test_a_small_preview_is_the_picture_seen_from_afar() -> None:
    stacker = Stacker()
    for n, frame in enumerate(frames(3)):
        stacker.add(frame, n)
    small = stacker.preview(130)
    assert small.shape == (96, 128, 3)
    fused = stacker.finish().image
    wanted = cv2.pyrDown(fused.astype(np.float32))
    assert np.abs(small.astype(np.float32) - wanted).mean() < 0.02 * 65535


def test_without_a_frame_there_is_nothing_to_show() -> None:
    with pytest.raises(StackError, match="no frame to show"):
        Stacker().preview(100)


def test_a_frame_counts_as_blended_though_its_preview_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / PREVIEW).mkdir()  # in the way
    path = tmp_path / "frames" / "0001.png"
    cv2.imwrite(str(path), frames(1)[0])
    worker = StreamWorker()
    assert worker.add(1, str(path), 0.0, None) == {"reports": []}, "held until more are there"
    (report,) = worker.take_held()["reports"]
    assert report["number"] == 1
    assert PREVIEW in capsys.readouterr().err
