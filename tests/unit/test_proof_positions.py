"""The search for the true positions: few short moves are found, many end it in bounded work."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from macrorail.proof import positions
from macrorail.proof.curves import EXPONENTS, SharpnessSamples, sample
from macrorail.proof.measure import Floats

STEP = 0.65
TILES = 60


def shot(true: Floats) -> SharpnessSamples:
    """Sharpness curves of tiles at random depths, shot at ``true`` (depths of field)."""
    rng = np.random.default_rng(5)
    reported = STEP * np.arange(len(true))
    peak = rng.uniform(reported[0], reported[-1], (TILES, 1, 1))
    width = np.exp(rng.normal(0, 0.1, (TILES, 1, 3))) * np.array([0.9, 1.2, 1.6])
    height = rng.normal(4, 0.5, (TILES, 1, 3))
    x = (true[None, :, None] - peak) / width
    level = height - EXPONENTS * np.log(1 + x * x) + rng.normal(0, 0.08, x.shape)
    return sample(level, (level > height - 4.5).astype(float), reported)


def located(true: Floats, monkeypatch: pytest.MonkeyPatch) -> tuple[positions.LocatedSlices, int]:
    """What is found, and how many explanations were evaluated."""
    evaluate, evaluated = positions._explanation, []

    def counted(*arguments: Any) -> Any:
        evaluated.append(1)
        return evaluate(*arguments)

    monkeypatch.setattr(positions, "_explanation", counted)
    found = positions.locate(shot(true), STEP * np.arange(len(true)))
    return found, len(evaluated)


def test_two_short_moves_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    true = STEP * np.arange(24)
    true[6:] -= 0.4
    true[15:] -= 0.5
    found, _ = located(true, monkeypatch)
    assert found.explained
    assert sorted((move.index, move.slices) for move in found.short_moves) == [
        (6, None),
        (15, None),
    ]
    assert np.abs(found.u - true - np.mean(found.u - true)).max() < 0.05


def test_an_axis_that_stops_anywhere_takes_bounded_work(monkeypatch: pytest.MonkeyPatch) -> None:
    slices = 20
    true = STEP * np.arange(slices) + np.random.default_rng(2).normal(0, 0.4, slices)
    found, evaluated = located(true, monkeypatch)
    assert not found.explained
    # Explanations with moves that turn out too small are evaluated once more without them.
    assert evaluated <= 3 * (60 + 3 * slices)
