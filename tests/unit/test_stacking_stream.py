"""A run's stream into align/blend: same pixels as offline, whatever happens to its process."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from macrorail.batch.frames import Source, add_frames, look_ahead
from macrorail.errors import OperatorStop, StackError
from macrorail.stacking.stacker import AHEAD, Stacker
from macrorail.stacking.stream import RunStream
from tests.made_stack import make_stack

_STEP_UM = 50.0
#: More than are held until it is clear how they lie.
_FRAMES = AHEAD + 2


def _scale_at(position_um: float) -> float:
    """As the made stack grows, roughly."""
    return float(1.004 ** -(position_um / _STEP_UM))


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Frames of one stack on disk."""
    folder = tmp_path_factory.mktemp("frames")
    paths = [folder / f"{k + 1:04d}.png" for k in range(_FRAMES)]
    for path, pixels in zip(paths, make_stack(_FRAMES).frames, strict=True):
        assert cv2.imwrite(str(path), pixels)
    return paths


@pytest.fixture(scope="module")
def offline(frames: list[Path]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    stacker = Stacker()
    order = [
        Source(number, path, number * _STEP_UM, _scale_at(number * _STEP_UM))
        for number, path in enumerate(frames, 1)
    ]
    look_ahead(stacker, order)
    for _ in add_frames(stacker, order):
        pass
    return stacker.finish().image


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[RunStream]:
    with closing(RunStream(tmp_path, 2.0, _scale_at)) as opened:
        yield opened


def fused_in(folder: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    picture = cv2.imread(str(folder / "fused.tif"), cv2.IMREAD_UNCHANGED)
    assert picture.dtype == np.uint16
    return picture


def never() -> None:
    """A check that has nothing to say."""


def hand_over(stream: RunStream, frames: list[Path]) -> None:
    for number, path in enumerate(frames, 1):
        stream.add(number, path, number * _STEP_UM)


def process_of(stream: RunStream) -> int:
    return stream._worker.pid


@pytest.mark.slow
def test_streamed_is_offline_to_the_pixel(
    stream: RunStream, frames: list[Path], offline: np.ndarray, tmp_path: Path
) -> None:
    reports = []
    for number, path in enumerate(frames, 1):
        stream.add(number, path, number * _STEP_UM)
        reports += stream.reports()
    fused = stream.finish(never)
    reports += stream.reports()
    assert np.array_equal(fused_in(tmp_path), offline)
    assert [report["number"] for report in reports] == list(range(1, _FRAMES + 1))
    assert [report["scale"] for report in reports] == [
        _scale_at(number * _STEP_UM) for number in range(1, _FRAMES + 1)
    ]
    assert all(np.shape(report["transform"]) == (2, 3) for report in reports)
    assert fused["left_out"] == []
    assert fused["sha256"] == hashlib.sha256((tmp_path / "fused.tif").read_bytes()).hexdigest()
    assert {"fused.jpg", "depth.tif"} <= {path.name for path in tmp_path.iterdir()}
    assert not list(tmp_path.glob("*.part*"))


@pytest.mark.slow
def test_killed_in_the_middle_it_is_built_again_to_the_same_pixels(
    stream: RunStream, frames: list[Path], offline: np.ndarray, tmp_path: Path
) -> None:
    hand_over(stream, frames[:AHEAD])
    while not stream.reports():
        time.sleep(0.02)
    os.kill(process_of(stream), signal.SIGKILL)
    for number, path in enumerate(frames[AHEAD:], AHEAD + 1):
        stream.add(number, path, number * _STEP_UM)
        stream.reports()
    assert stream.finish(never)["left_out"] == []
    assert np.array_equal(fused_in(tmp_path), offline)


@pytest.mark.slow
def test_a_frame_that_was_away_for_a_while_is_in_the_picture(
    stream: RunStream, frames: list[Path], offline: np.ndarray, tmp_path: Path
) -> None:
    away = frames[2].rename(tmp_path / "away")
    hand_over(stream, frames[:AHEAD])
    told: list[dict[str, object]] = []
    while len(told) < AHEAD:
        told += stream.reports()
        time.sleep(0.02)
    assert "error" in told[2]
    away.rename(frames[2])
    for number, path in enumerate(frames[AHEAD:], AHEAD + 1):
        stream.add(number, path, number * _STEP_UM)
    assert stream.finish(never)["left_out"] == []
    assert np.array_equal(fused_in(tmp_path), offline)


@pytest.mark.slow
def test_a_frame_taken_back_leaves_no_trace(
    stream: RunStream, frames: list[Path], offline: np.ndarray, tmp_path: Path
) -> None:
    """Here all frames but the first are shot again, two of them because they were of elsewhere."""
    wrong = [frames[0], frames[4], frames[5], *frames[3:AHEAD]]
    hand_over(stream, wrong)
    while not stream.reports():
        time.sleep(0.02)
    stream.withdraw(set(range(2, AHEAD + 1)))
    for number, path in enumerate(frames[1:], 2):
        stream.add(number, path, number * _STEP_UM)
    assert stream.finish(never)["left_out"] == []


@pytest.mark.slow
def test_frames_that_were_elsewhere_are_stacked_as_if_that_had_been_known(
    stream: RunStream, frames: list[Path], offline: np.ndarray, tmp_path: Path
) -> None:
    for number, path in enumerate(frames, 1):
        off_um = 100.0 if number > 3 else 0.0
        stream.add(number, path, number * _STEP_UM + off_um)
    stream.relocate({number: number * _STEP_UM for number in range(4, _FRAMES + 1)})
    assert stream.finish(never)["left_out"] == []
    assert np.array_equal(fused_in(tmp_path), offline)
    depth_um = cv2.imread(str(tmp_path / "depth.tif"), cv2.IMREAD_UNCHANGED)
    assert depth_um.max() == pytest.approx(_FRAMES * _STEP_UM, abs=1.0)


@pytest.mark.slow
def test_a_frame_that_does_not_belong_is_left_out_and_named(
    stream: RunStream, frames: list[Path], offline: np.ndarray, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger.png"
    cv2.imwrite(str(stranger), make_stack(count=1, seed=99).frames[0])
    hand_over(stream, frames)
    stream.add(99, stranger, (_FRAMES + 1) * _STEP_UM)
    fused = stream.finish(never)
    errors = {r["number"]: r["error"] for r in stream.reports() if "error" in r}
    assert fused["left_out"] == [99]
    assert "stranger.png" in errors[99]
    assert np.array_equal(fused_in(tmp_path), offline)


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, _FRAMES])
def test_a_stranger_among_the_first_frames_is_left_out_too(
    stream: RunStream, frames: list[Path], tmp_path: Path, count: int
) -> None:
    """It comes while frames are held, and may be the last one that is looked at beforehand."""
    stranger = tmp_path / "stranger.png"
    cv2.imwrite(str(stranger), make_stack(count=1, seed=99).frames[0])
    hand_over(stream, frames[: min(count, AHEAD - 1)])
    stream.add(99, stranger, 3.5 * _STEP_UM)
    for number, path in enumerate(frames[AHEAD - 1 : count], AHEAD):
        stream.add(number, path, number * _STEP_UM)
    assert stream.finish(never)["left_out"] == [99]
    reports = {report["number"]: report for report in stream.reports()}
    assert "stranger.png" in reports.pop(99)["error"]
    assert sorted(reports) == list(range(1, count + 1))
    true = make_stack(_FRAMES).transforms
    for number, report in reports.items():
        assert np.abs(report["transform"] - true[number - 1])[:, 2].max() < 0.8


@pytest.mark.slow
def test_a_stop_while_waiting_for_the_picture_comes_through(
    stream: RunStream, frames: list[Path]
) -> None:
    def stop() -> None:
        raise OperatorStop("stopped")

    hand_over(stream, frames)
    with pytest.raises(OperatorStop):
        stream.finish(stop)


def test_nothing_to_stack_is_said(stream: RunStream) -> None:
    with pytest.raises(StackError, match="no frame"):
        stream.finish(never)


def test_handing_over_never_waits(stream: RunStream, frames: list[Path]) -> None:
    os.kill(process_of(stream), signal.SIGSTOP)
    started_s = time.monotonic()
    for repeat in range(50):
        hand_over(stream, frames)
        stream.reports()
        assert time.monotonic() - started_s < 5, f"after {repeat} rounds"
    os.kill(process_of(stream), signal.SIGKILL)
