"""The light that is blended: near sRGB's, and every value finds its way back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from macrorail.stacking.light import curve, curve_back, display_table, linear_table, to_display


def _light_of_all(bits: int) -> npt.NDArray[np.float32]:
    values = np.arange(1 << bits, dtype=np.float64)
    powers = np.arange(1, 1 + len(curve(bits)))
    return np.asarray(values[:, None] ** powers @ curve(bits).astype(np.float64), np.float32)


def test_light_for_blending_is_srgbs_within_half_a_step() -> None:
    light = _light_of_all(16)
    assert light[0] == 0
    assert np.all(np.diff(light) > 0)
    srgb = np.interp(light, linear_table(16), np.linspace(0, 255, 1 << 16))
    assert np.abs(srgb - np.linspace(0, 255, 1 << 16)).max() < 0.45


@pytest.mark.parametrize("bits", [8, 16])
def test_every_value_comes_back_from_light(bits: int) -> None:
    unit = 65535 // ((1 << bits) - 1)
    values = np.arange(1 << bits) * unit
    for light, back in (
        (linear_table(bits), display_table()),
        (_light_of_all(bits), curve_back()),
    ):
        plane = light[None]
        shown = to_display([plane, plane, plane], back)
        assert np.abs(shown[0, :, 0].astype(int) - values).max() <= (0 if bits == 16 else 1)
