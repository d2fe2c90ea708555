"""The compiled pass over all pixels gives the mean gradients of every tile, and nothing beyond."""

from __future__ import annotations

import numpy as np
import pytest

from macrorail.proof.gradients import add_gradients


@pytest.mark.parametrize("row_step", [1, 2])
def test_each_tile_has_the_mean_of_its_own_differences(row_step: int) -> None:
    rng = np.random.default_rng(3)
    luma = rng.integers(0, 256, (45, 61), dtype=np.uint8)
    means = np.empty((3, 5, 7))
    add_gradients(luma, 8, row_step, means)
    whole = luma[:40, :56].astype(float)
    right, down = np.diff(whole, axis=1), np.diff(whole, axis=0)
    for row in range(5):
        for column in range(7):
            gx = right[8 * row : min(8 * row + 8, 39) : row_step, 8 * column : 8 * column + 8]
            gy = down[8 * row : 8 * row + 8 : row_step, 8 * column : min(8 * column + 8, 55)]
            expected = [(gx * gx).mean(), (gy * gy).mean(), (gx * gy).mean()]
            assert means[:, row, column] == pytest.approx(expected)
