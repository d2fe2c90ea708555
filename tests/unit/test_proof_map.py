"""The coverage map: red where a slice is missing and only there, grey where nothing tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from macrorail.proof import positions
from macrorail.proof.defocus import ClaimedOptics
from macrorail.proof.image_proof import ImageProof
from macrorail.proof.settings import FUSE, ProofSettings

ROWS, COLUMNS, TILE_PX = 16, 24, 8
DOF_UM, STEP_UM = 141.0, 99.0
SLICES = 12
LAST_UM = (SLICES - 1) * STEP_UM
SETTINGS = ProofSettings(
    near_um=0,
    far_um=LAST_UM,
    minimum_overlap=0.1,
    planned_overlap=0.3,
    lowest_um=-5_000,
    highest_um=5_000,
    extra_slices=20,
    extend_um=500,
    reshoots=0,
    optics=ClaimedOptics(1, 8, 4.5, 0.55, DOF_UM),
    policy=dict.fromkeys(("damaged", "frozen", "exposure", "blur", "shift", "missed_move"), FUSE),
)


def proof_of(
    folder: Path,
    settings: ProofSettings,
    peak_um: NDArray[np.float64],
    left_out: tuple[int, ...],
    off_um: NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    """What is proven of noise whose contrast peaks at ``peak_um`` in each tile; NaN: never. The
    slices were shot ``off_um`` beyond where the axis reported them."""
    off_um = np.zeros(SLICES) if off_um is None else off_um
    rng = np.random.default_rng(4)
    noise = rng.normal(0, 1, (ROWS * TILE_PX, COLUMNS * TILE_PX))
    evidence = ImageProof(settings, folder)
    for number in range(SLICES):
        if number in left_out:
            continue
        away = np.nan_to_num((number * STEP_UM + off_um[number] - peak_um) / DOF_UM, nan=np.inf)
        contrast = 40 / (1 + away**2) ** 0.6
        spread = np.kron(contrast.reshape(ROWS, COLUMNS), np.ones((TILE_PX, TILE_PX)))
        picture = 120 + spread * noise + rng.normal(0, 0.7, noise.shape)
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), np.clip(picture.round(), 0, 255).astype(np.uint8))
        evidence.add(number, 1, path, number * STEP_UM, DOF_UM)
    evidence.last_verdicts(lambda: None)
    return evidence.finish(lambda: None)


def depths(beyond: int = 0) -> NDArray[np.float64]:
    peak_um = np.random.default_rng(3).uniform(150, LAST_UM - 150, ROWS * COLUMNS)
    peak_um[:beyond] = LAST_UM + 150
    peak_um[-20:] = np.nan
    return peak_um


def test_a_few_peaks_guessed_beyond_the_end_leave_tiles_grey_and_the_run_proven(
    tmp_path: Path,
) -> None:
    report = proof_of(tmp_path, SETTINGS, depths(beyond=2), ())
    assert report["proven"] is True, report["reason"]
    assert report["tiles"]["uncovered"] == 0
    assert report["tiles"]["not_provable"] == 22


def test_many_that_get_sharper_beyond_the_end_are_red_and_nothing_is_proven(tmp_path: Path) -> None:
    report = proof_of(tmp_path, SETTINGS, depths(beyond=30), ())
    assert report["proven"] is False
    assert report["far_tiles_rising"] == report["tiles"]["uncovered"] == 30


def test_an_end_that_is_meant_is_proven_without_red(tmp_path: Path) -> None:
    report = proof_of(tmp_path, replace(SETTINGS, extend_um=0), depths(beyond=30), ())
    assert report["proven"] is True
    assert report["tiles"]["uncovered"] == 0
    assert report["tiles"]["not_provable"] == 50


def test_what_gets_sharper_up_to_infinity_is_covered(tmp_path: Path) -> None:
    settings = replace(SETTINGS, nothing_beyond_um=LAST_UM)
    report = proof_of(tmp_path, settings, depths(beyond=30), ())
    assert report["proven"] is True
    assert report["tiles"] == {"covered": 364, "uncovered": 0, "not_provable": 20}


def test_tiles_between_slices_that_are_missing_are_red_and_nothing_is_proven(
    tmp_path: Path,
) -> None:
    report = proof_of(tmp_path, SETTINGS, depths(), (5, 6))
    assert report["proven"] is False
    assert report["tiles"]["uncovered"] > 10
    assert len(report["gaps"]) == 1


def test_an_axis_that_stops_anywhere_is_not_verified_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No explanation is found within the search's budget: neither proven nor disproven."""
    monkeypatch.setattr(positions, "_TRIALS_AT_LEAST", 3)
    monkeypatch.setattr(positions, "_TRIALS_PER_SLICE", 0)
    off_um = np.random.default_rng(8).uniform(-70, 70, SLICES)
    report = proof_of(tmp_path, SETTINGS, depths(), (), off_um)
    assert report["proven"] is None
    assert "too many irregular moves to explain" in report["reason"]
    assert (tmp_path / "coverage.png").exists()


def test_old_pictures_are_not_kept_and_the_map_shows_the_middle_frame(tmp_path: Path) -> None:
    """What is kept of a frame is a few numbers for each tile."""
    proof_of(tmp_path, SETTINGS, depths(), ())
    evidence = ImageProof(SETTINGS, tmp_path)
    for number in range(SLICES):
        evidence.add(number, 1, tmp_path / f"{number}.png", number * STEP_UM, DOF_UM)
    evidence.last_verdicts(lambda: None)
    kept = [frame.measurement for frame in evidence._checker.accepted.values()]
    assert len(kept) == SLICES
    assert [measured.small.size > 0 for measured in kept] == [False] * (SLICES - 1) + [True]
    a_tile = 8 * (3 + 3 + 3 + 1)
    for measured in kept[:-1]:
        arrays = (measured.energy, measured.coarse, measured.tensor, measured.light)
        assert sum(array.nbytes for array in arrays) <= a_tile * ROWS * COLUMNS
    shown = cv2.imread(str(tmp_path / "coverage.png"))
    for number in range(SLICES):
        (tmp_path / f"{number}.png").unlink()
    evidence.finish(lambda: None)
    without = cv2.imread(str(tmp_path / "coverage.png"))
    assert shown is not None and without is not None and shown.std() > without.std()
