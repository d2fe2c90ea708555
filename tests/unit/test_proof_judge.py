"""Verdicts on single frames, with the whole scene at hand and no run around it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from macrorail.proof.defocus import ClaimedOptics
from macrorail.proof.frame_checker import FrameChecker
from macrorail.proof.frame_faults import shift_px
from macrorail.proof.image_proof import ImageProof
from macrorail.proof.measure import measure, tile_size_px
from macrorail.proof.settings import ProofSettings
from macrorail_sims.scene import Scene, SceneOptions

SETTINGS = ProofSettings(
    near_um=10_000,
    far_um=11_000,
    minimum_overlap=0.1,
    planned_overlap=0.3,
    lowest_um=0,
    highest_um=50_000,
    extra_slices=20,
    extend_um=500,
    reshoots=2,
    optics=ClaimedOptics(1, 8, 4.5, 0.55, 141),
)
SCENE = Scene(
    SceneOptions(
        seed=3,
        width_px=192,
        height_px=128,
        pixel_pitch_um=4.5,
        magnification=1,
        specimen_near_um=10_000,
        specimen_far_um=11_000,
    )
)


def shoot(folder: Path, number: int, shift_um: float = 0.0, ev: float = 0.0) -> Path:
    path = folder / f"{number}-{shift_um:g}-{ev:g}.jpg"
    offsets = [(shift_um, 0.0, 0.0)] if shift_um else []
    position_um = 10_200 + 99 * number
    path.write_bytes(SCENE.render(position_um, 4.0, 100, 0.05 * 2**ev, number, offsets))
    return path


def judged(frames: list[Path]) -> dict[int, list[str]]:
    judge = FrameChecker(SETTINGS)
    verdicts = []
    for number, frame in enumerate(frames, 1):
        verdicts += judge.add(number, 1, frame, 10_200 + 99 * number, 141)
    verdicts += judge.flush()
    assert len(verdicts) == len(frames), "one verdict each"
    return {verdict["slice"]: verdict["faults"] for verdict in verdicts}


@pytest.mark.slow
@pytest.mark.parametrize("bad", [1, 2, 4])
@pytest.mark.parametrize(("kind", "spoilt"), [("shift", {"shift_um": 60}), ("exposure", {"ev": 1})])
def test_the_faulty_frame_is_blamed_and_no_other(
    tmp_path: Path, bad: int, kind: str, spoilt: dict[str, float]
) -> None:
    frames = [shoot(tmp_path, n, **(spoilt if n == bad else {})) for n in range(1, 7)]
    faults = judged(frames)
    assert faults.pop(bad) == [kind]
    assert not any(faults.values())


@pytest.mark.slow
@pytest.mark.parametrize("angle", [0.0, 0.6, 2.4])
@pytest.mark.parametrize("bad", [2, 9])
def test_a_smear_of_four_pixels_is_found_where_all_texture_comes_into_focus(
    tmp_path: Path, bad: int, angle: float
) -> None:
    reach_um = np.linspace(-0.5, 0.5, 7) * 4 * 4.5
    path = [(x * np.cos(angle), x * np.sin(angle), 0.0) for x in reach_um]
    frames = []
    for number in range(1, 11):
        frames.append(tmp_path / f"{number}.jpg")
        offsets = path if number == bad else []
        picture = SCENE.render(9_901 + 99 * number, 4.0, 100, 0.05, number, offsets)
        frames[-1].write_bytes(picture)
    faults = judged(frames)
    assert faults.pop(bad) == ["blur"]
    assert not any(faults.values())


@pytest.mark.parametrize(("bad", "radius_um"), [(3, 7.0), (8, 11.0)])
def test_vibration_in_a_circle_is_told_from_defocus(
    tmp_path: Path, bad: int, radius_um: float
) -> None:
    turn = np.arange(16) * np.pi / 8
    circle = [(radius_um * np.cos(at), radius_um * np.sin(at), 0.0) for at in turn]
    frames = []
    for number in range(1, 11):
        frames.append(tmp_path / f"{number}.jpg")
        offsets = circle if number == bad else []
        picture = SCENE.render(9_901 + 99 * number, 4.0, 100, 0.05, number, offsets)
        frames[-1].write_bytes(picture)
    faults = judged(frames)
    assert faults.pop(bad) == ["blur"]
    assert not any(faults.values())


def test_a_shift_is_measured_to_the_pixel_and_leaves_the_measurement_as_it_was(
    tmp_path: Path,
) -> None:
    before = measure(shoot(tmp_path, 1))
    after = measure(shoot(tmp_path, 1, shift_um=45.0))
    first = shift_px(after, before)
    assert first == pytest.approx((-10.0, 0.0), abs=0.6)
    assert shift_px(after, before) == first


def test_a_frame_cut_short_is_damaged_even_with_an_end_marker(tmp_path: Path) -> None:
    whole = shoot(tmp_path, 3).read_bytes()
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(whole[: len(whole) * 2 // 3] + b"\xff\xd9")
    assert judged([shoot(tmp_path, 1), shoot(tmp_path, 2), cut, shoot(tmp_path, 4)])[3] == [
        "damaged"
    ]


def test_tiles_are_many_and_even_on_every_sensor() -> None:
    for width in (192, 1200, 6000, 14_000):
        tile = tile_size_px(width)
        assert tile % 8 == 0
        assert 20 <= width // tile <= 60


def test_a_frame_without_texture_proves_nothing_and_harms_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    evidence = ImageProof(SETTINGS, tmp_path)
    for number in range(1, 8):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), rng.normal(90, 2, (128, 192)).astype(np.uint8))
        evidence.add(number, 1, path, 10_000 + 99 * number, 141)
    assert not any(v["faults"] for v in evidence.last_verdicts(lambda: None))
    assert evidence.missing(lambda: None)["positions_um"] == []
    report = evidence.finish(lambda: None)
    assert report["proven"] is None
    assert report["tiles"] == {"covered": 0, "uncovered": 0, "not_provable": 384}
    assert (tmp_path / "coverage.png").exists()
