"""Frames that are hard to align, or spoilt: aligned rightly, or left out with a reason."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from macrorail.errors import AlignError, StackError
from macrorail.stacking.look import look
from macrorail.stacking.stacker import Stacker
from tests.made_stack import MadeStack, make_stack
from tests.studies.known_transforms import Tally, error_px


@pytest.fixture(scope="module")
def made() -> MadeStack:
    return make_stack()


def _turned(
    frame: npt.NDArray[np.uint8], degrees: float
) -> tuple[npt.NDArray[np.uint8], np.ndarray]:
    height, width = frame.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    turned = cv2.warpAffine(
        frame, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(turned, np.uint8), np.vstack([turn, [0, 0, 1]])


@pytest.mark.parametrize("degrees", [1.5, -3.0, 5.0, 10.0, 180.0])
def test_frames_turned_against_those_before_are_aligned(made: MadeStack, degrees: float) -> None:
    stacker = Stacker(depth=False)
    for k, frame in enumerate(made.frames):
        given, turn = frame.astype(np.uint8), np.eye(3)
        if k >= 2:
            given, turn = _turned(given, degrees)
        report = stacker.add(given, k)
        true = np.vstack([made.transforms[k], [0, 0, 1]]) @ np.linalg.inv(turn)
        assert error_px(report.transform, true, 360, 240) < 0.5
        assert report.trust is not None
        assert report.trust > 0.6
        assert report.doubt is None


@pytest.mark.parametrize("ground", [0, 255])
def test_a_specimen_before_clipped_black_or_white_is_aligned(ground: int) -> None:
    """A box filter's rounding over black once gave NaN, which was read as "no change"."""
    made = make_stack(count=3, width=720, height=480)
    y, x = np.mgrid[:480, :720]
    stacker = Stacker(depth=False)
    for k, frame in enumerate(made.frames):
        to_first = made.transforms[k]
        inside = np.hypot(
            *(to_first[:, :2] @ [x.ravel(), y.ravel()] + to_first[:, 2:] - [[360], [240]])
        )
        inside = inside.reshape(x.shape) < 190
        picture = np.where(inside[..., None], frame, ground).astype(np.uint8)
        assert np.isfinite(look(k, k, picture, "").scales[0].even).all()
        report = stacker.add(picture, k)
        assert error_px(report.transform, made.transforms[k], 720, 480) < 0.6
        assert report.doubt is None


def _with_a_finger(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    covered = frame.copy()
    cv2.ellipse(covered, (300, 230), (75, 110), 0, 0, 360, (24, 26, 30), -1)
    return covered


def _dimmed(frame: npt.NDArray[np.uint8], stops: float) -> npt.NDArray[np.uint8]:
    light = (frame / 255) ** 2.2 / 2**stops
    return np.clip(np.rint(255 * light ** (1 / 2.2)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_with_a_finger, "as if something covered"),
        (lambda frame: _dimmed(frame, 6), "stops darker than the reference"),
        (lambda frame: _dimmed(frame, -5), "frame 2 is overexposed"),
        (lambda frame: np.full_like(frame, 3), "frame 2 "),
        (lambda frame: make_stack(count=1, seed=99).frames[0], "frame 2 cannot be aligned"),
    ],
)
def test_a_spoilt_frame_is_refused_and_the_others_are_stacked_as_without_it(
    made: MadeStack, spoil: object, reason: str
) -> None:
    assert callable(spoil)
    stacker, without = Stacker(depth=False), Stacker(depth=False)
    for k, frame in enumerate(made.frames):
        if k == 2:
            with pytest.raises(AlignError, match=reason):
                stacker.add(spoil(frame), k)
            continue
        stacker.add(frame, k)
        without.add(frame, k)
    fused = stacker.finish()
    assert [one.index for one in fused.left_out] == [2]
    assert fused.doubts == [f"left out: {fused.left_out[0].reason}"]
    assert np.array_equal(fused.image, without.finish().image)


def test_a_frame_some_stops_darker_is_used_and_doubted(made: MadeStack) -> None:
    stacker = Stacker(depth=False)
    stacker.add(made.frames[0])
    report = stacker.add(_dimmed(made.frames[1].astype(np.uint8), 2))
    assert report.doubt is not None
    assert "2.0 stops darker" in report.doubt


def test_a_spoilt_frame_among_the_first_does_not_spoil_the_look_ahead(made: MadeStack) -> None:
    stacker = Stacker(depth=False)
    frames = [*made.frames[:5], np.full_like(made.frames[0], 200)]
    for k, frame in enumerate(frames):
        stacker.look_ahead(frame, k, None)
    for k, frame in enumerate(frames[:5]):
        report = stacker.add(frame, k)
        assert error_px(report.transform, made.transforms[k], 360, 240) < 0.5
    with pytest.raises(AlignError):
        stacker.add(frames[5], 5)


def test_frames_below_sixteen_pixels_are_refused_plainly() -> None:
    frame = np.zeros((12, 20, 3), np.uint8)
    stacker = Stacker()
    stacker.look_ahead(frame, 0, None)
    with pytest.raises(StackError, match="20 x 12 px; a stack needs frames of at least 16 px"):
        stacker.add(frame)


@pytest.mark.slow
def test_generated_stacks_have_no_wrong_frame_unreported() -> None:
    tally = Tally()
    for seed in range(500, 508):
        tally.take(seed)
    assert tally.silent == []
    assert len(tally.missed) <= 1
    assert tally.false_doubts == []
