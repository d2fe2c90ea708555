"""Reading a tilted ruling: place and scale to a fraction of a pixel, and what is no ruling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from macrorail.calibration.ruling import find_sharpest_column
from macrorail.errors import CalibrationError

PITCH_UM, PX_PER_UM = 100.0, 0.08
HEIGHT, WIDTH = 300, 400


def ruling(
    sharp_px: float, px_per_um: float, growth: float = 0.0, noise: float = 2.0
) -> np.ndarray:
    """Lines whose contrast fades with the distance from one column and whose scale changes."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    scale = px_per_um * (1 + growth * (columns - sharp_px))
    contrast = 0.7 * np.exp(-(((columns - sharp_px) / 20) ** 2))
    wave = np.sin(2 * np.pi * (rows - HEIGHT / 2) / (PITCH_UM * scale))
    grain = np.random.default_rng(1).normal(0, noise, rows.shape)
    return 120 * (1 + contrast * wave) + grain


@given(
    sharp_px=st.floats(60, WIDTH - 60),
    px_per_um=st.floats(0.065, 0.11),
    growth=st.floats(-2e-4, 2e-4),
)
def test_place_and_scale_are_found_to_a_fraction_of_a_pixel(
    sharp_px: float, px_per_um: float, growth: float
) -> None:
    found = find_sharpest_column(ruling(sharp_px, px_per_um, growth), PITCH_UM, PX_PER_UM)
    assert found is not None
    assert found.px_per_um == pytest.approx(px_per_um, rel=5e-4)
    assert found.across_um * px_per_um == pytest.approx(sharp_px - (WIDTH - 1) / 2, abs=0.5)


@pytest.mark.parametrize("sharp_px", [-50.0, 1.0, WIDTH - 2.0, WIDTH + 40.0])
def test_a_sharpest_place_outside_or_at_the_edge_is_none(sharp_px: float) -> None:
    assert find_sharpest_column(ruling(sharp_px, PX_PER_UM), PITCH_UM, PX_PER_UM) is None


def test_a_picture_without_lines_has_none() -> None:
    grain = np.random.default_rng(2).normal(120, 3, (HEIGHT, WIDTH))
    assert find_sharpest_column(grain, PITCH_UM, PX_PER_UM) is None
    assert find_sharpest_column(np.zeros((HEIGHT, WIDTH)), PITCH_UM, PX_PER_UM) is None


@pytest.mark.parametrize("pitch_um", [30.0, 1_000.0])
def test_lines_too_fine_or_too_coarse_are_refused(pitch_um: float) -> None:
    with pytest.raises(CalibrationError, match="pixels apart"):
        find_sharpest_column(ruling(200, PX_PER_UM), pitch_um, PX_PER_UM)
