"""Brightness, white and borders: what all frames agree on stays as it is."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from macrorail.stacking.alignment import Alignment, FrameTransform
from macrorail.stacking.light import linear_table
from macrorail.stacking.smooth import Method
from macrorail.stacking.stacker import Stacker
from tests.made_stack import make_stack


def _lit(frame: npt.NDArray[np.uint8], gains: tuple[float, float, float]) -> npt.NDArray[np.uint8]:
    """The frame under light times ``gains``, clipped as a sensor does."""
    light = np.clip(linear_table(8)[frame] * gains, 0, 1)
    display = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(display * 255).astype(np.uint8)


@pytest.mark.parametrize("gain", [0.8, 1.25])
@pytest.mark.parametrize("method", [Method.PYRAMID, Method.DEPTH_MAP])
def test_what_is_clipped_in_every_frame_stays_white(method: Method, gain: float) -> None:
    made = make_stack(4, 720, 480, moving=False)
    stacker = Stacker(method=method, depth=False)
    for k, frame in enumerate(made.frames):
        picture = _lit(frame.astype(np.uint8), (1.0,) * 3 if k == 0 else (gain,) * 3)
        picture[100:220, 300:460] = 255
        report = stacker.add(picture, k)
        assert report.gains == pytest.approx([1.0 if k == 0 else 1 / gain] * 3, abs=0.02)
        assert report.doubt is None
    assert (stacker.finish().image[130:190, 330:430] == 65535).all()


def test_a_colour_that_is_nearly_absent_gets_no_gain_of_its_own() -> None:
    """Yellow all over: its blue is noise, and says nothing about the white balance."""
    rng = np.random.default_rng(3)
    made = make_stack(3, 720, 480)
    stacker = Stacker(depth=False)
    for k, frame in enumerate(made.frames):
        picture = frame.copy()
        blue = np.clip(rng.normal(4 + 6 * k, 3, frame.shape[:2]), 0, 255)
        picture[:, :480, 0] = blue[:, :480]
        report = stacker.add(picture, k)
        assert len(set(report.gains)) == 1
        assert report.gains == pytest.approx([1, 1, 1], abs=0.03)


def test_another_white_balance_is_matched_and_reported() -> None:
    made = make_stack(3, 720, 480)
    stacker = Stacker(depth=False)
    for k, frame in enumerate(made.frames):
        gains = (0.8, 1.0, 1.2) if k == 1 else (1.0, 1.0, 1.0)
        report = stacker.add(_lit(frame.astype(np.uint8), gains), k)
        if k == 1:
            assert report.gains == pytest.approx([1 / 0.8, 1, 1 / 1.2], abs=0.03)
            assert report.doubt is not None
            assert "another white balance" in report.doubt
        else:
            assert report.doubt is None


@pytest.mark.parametrize("method", [Method.PYRAMID, Method.DEPTH_MAP, Method.AUTO])
def test_no_step_is_seen_where_a_frame_ends(method: Method) -> None:
    made = make_stack(2, 720, 480, moving=False)
    smooth = [cv2.GaussianBlur(frame, (0, 0), 20) for frame in made.frames]
    frames = [smooth[0], np.clip(smooth[1].astype(int) + 12, 0, 255).astype(np.uint8)]
    ends = {}
    for shift in (0, 40):
        # A frame that is brighter and ends 40 px before the picture does.
        known = Alignment(
            {
                0: FrameTransform(np.eye(2, 3), 1.0, False),
                1: FrameTransform(np.array([[1, 0, shift], [0, 1, 0]], float), 1.0, False),
            }
        )
        stacker = Stacker(alignment=known, equalise=False, method=method)
        for k, frame in enumerate(frames):
            stacker.add(np.roll(frame, -shift * k, axis=1), k)
        image = stacker.finish().image.astype(float) / 257
        ends[shift] = np.abs(np.diff(image, axis=1)).max(axis=(0, 2))
    around = slice(30, 60)
    assert ends[40][around].max() < ends[0][around].max() + 0.8
