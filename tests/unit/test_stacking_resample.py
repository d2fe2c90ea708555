"""Laying a frame on the reference, beside OpenCV's own resampling."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from macrorail.stacking.resample import lay
from tests.made_stack import make_stack


@pytest.mark.parametrize(
    ("scale", "turn_deg", "shift"),
    [
        (1.0, 0.0, (0.0, 0.0)),
        (1.0, 0.0, (0.5, -0.25)),
        (1.004, 0.02, (3.3, -2.7)),
        (0.97, -0.3, (-11.4, 8.2)),
        (1.03, 2.0, (0.5, 0.5)),
        (1.0, 20.0, (0.0, 0.0)),
    ],
)
@pytest.mark.parametrize("bits", [8, 16])
def test_pixels_come_from_where_the_transform_says(
    scale: float, turn_deg: float, shift: tuple[float, float], bits: int
) -> None:
    picture = make_stack(count=1, width=361, height=239, bits=bits, moving=False).frames[0]
    to_frame = cv2.getRotationMatrix2D((180, 119), turn_deg, scale)
    to_frame[:, 2] += shift
    laid = np.empty_like(picture)
    lay(picture, to_frame, laid)
    beside = cv2.warpAffine(
        picture,
        to_frame,
        (361, 239),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # OpenCV's cubic is a little sharper and takes places in steps of 1/32 pixel.
    away = np.abs(laid.astype(float) - beside) / (1 if bits == 8 else 257)
    assert away.mean() < 0.6
    assert np.percentile(away, 99.9) < 8


def test_a_ramp_is_moved_exactly() -> None:
    across, down = np.meshgrid(np.arange(200.0), np.arange(120.0))
    ramp = np.repeat((100 * across + 37 * down)[:, :, np.newaxis], 3, axis=2).astype(np.uint16)
    to_frame = np.array([[1.002, 0.001, 1.3], [-0.001, 0.998, -0.6]])
    laid = np.empty_like(ramp)
    lay(ramp, to_frame, laid)
    u = to_frame[0, 0] * across + to_frame[0, 1] * down + to_frame[0, 2]
    v = to_frame[1, 0] * across + to_frame[1, 1] * down + to_frame[1, 2]
    inside = (u > 2) & (u < 196) & (v > 2) & (v < 116)
    away = np.abs(laid[:, :, 1] - (100 * u + 37 * v))[inside]
    # Two passes: the value between is exact, the place of a turned row is linear, too.
    assert away.max() < 1
