"""The rig's optics held against the pictures: right ones are believed, wrong ones are named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from macrorail.optics.dof import depth_of_field, effective_f_number
from macrorail.proof.coverage_analysis import analyse_coverage
from macrorail.proof.defocus import ClaimedOptics, depth_ratio
from macrorail.proof.frame_checker import FrameChecker, MeasuredFrame
from macrorail.proof.settings import ProofSettings
from macrorail_sims.diffraction import spot
from macrorail_sims.pupil import Lens
from macrorail_sims.scene import Scene, SceneOptions

Complex = NDArray[np.complex128]

PITCH_UM = 4.5
NEAR_UM, FAR_UM, STEP_UM = 10_000.0, 10_150.0, 12.0
F_NUMBER, MAGNIFICATION = 4.0, 5.0


def optics(f_number: float, magnification: float) -> ClaimedOptics:
    n = effective_f_number(f_number, magnification)
    dof = depth_of_field(n, magnification, 2 * PITCH_UM)
    return ClaimedOptics(magnification, n, PITCH_UM, 0.55, dof.limiting_um)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> list[MeasuredFrame]:
    """Texture so coarse for its pixels that three octaves cannot tell how coarse."""
    scene = Scene(
        SceneOptions(
            seed=5,
            width_px=300,
            height_px=200,
            pixel_pitch_um=PITCH_UM,
            magnification=MAGNIFICATION,
            specimen_near_um=NEAR_UM,
            specimen_far_um=FAR_UM,
        )
    )
    judge = FrameChecker(settings(F_NUMBER, MAGNIFICATION))
    frame = tmp_path_factory.mktemp("sweep") / "frame.jpg"
    for number, position_um in enumerate(np.arange(NEAR_UM, FAR_UM + STEP_UM, STEP_UM), 1):
        frame.write_bytes(scene.render(position_um, F_NUMBER, 100, 0.05, number))
        judge.add(number, 3, frame, float(position_um), 1.0)
    judge.flush()
    return list(judge.accepted.values())


def settings(f_number: float, magnification: float) -> ProofSettings:
    return ProofSettings(
        near_um=NEAR_UM,
        far_um=FAR_UM,
        minimum_overlap=0.1,
        planned_overlap=0.3,
        lowest_um=0,
        highest_um=50_000,
        extra_slices=20,
        extend_um=50,
        reshoots=2,
        optics=optics(f_number, magnification),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("f_number", "magnification", "wrong"),
    [(4.0, 5.0, False), (2.8, 5.0, True), (4.0, 4.0, True)],
)
def test_wrong_optics_are_named_and_right_ones_believed(
    sweep: list[MeasuredFrame], f_number: float, magnification: float, wrong: bool
) -> None:
    claimed = settings(f_number, magnification)
    looks = [replace(look, dof_um=claimed.optics.dof_um) for look in sweep]
    dof = analyse_coverage(looks, claimed).dof
    assert dof is not None
    assert bool(dof["warning"]) == wrong, dof


def test_optics_that_resolve_less_than_the_pixels_have_a_ratio_as_well() -> None:
    # At an effective f/33.6 nothing of the finest octave of 4.5 um pixels comes through.
    away = np.array([0.2, 0.5, 1.0, 1.5, 2.0, 3.0])
    energy = np.outer([1.0, 3.0, 8.0, 11.0], 1 / (1 + (away / 2) ** 2))
    assert np.isfinite(depth_ratio(optics(5.6, 5.0), away, energy))


@pytest.mark.slow
@pytest.mark.parametrize(("f_number", "magnification"), [(4.0, 1.0), (5.6, 2.0), (4.0, 5.0)])
@pytest.mark.parametrize("coarser", [0.7, 1.0, 1.5])
def test_flat_texture_of_any_coarseness_shows_its_depth_of_field(
    f_number: float, magnification: float, coarser: float
) -> None:
    claimed = optics(f_number, magnification)
    rng = np.random.default_rng(8)
    frequency = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.fftfreq(512)[None, :])
    frequency[0, 0] = 1.0
    texture = np.fft.fft2(rng.standard_normal((512, 512))) / frequency**coarser
    lens = Lens(65_000.0, magnification, 1.0, f_number)
    away = np.linspace(0.1, 3.9, 11)
    energy = np.array([seen(texture, lens, claimed.dof_um * each) for each in away]).T
    energy[energy < 0.1 * energy.max(axis=1, keepdims=True)] = np.nan
    # Simulated spots are cut off where they are faint, which makes them sharper than real ones.
    assert depth_ratio(claimed, away, energy) == pytest.approx(0.93, abs=0.03)


def seen(texture: Complex, lens: Lens, away_um: float) -> list[float]:
    """Sharpness in five octaves through the simulated lens, which knows nothing of the judge's."""
    error_um = lens.wavefront_error_um(lens.working_distance_um + away_um)
    kernel = spot(error_um, lens.sensor_f_number, PITCH_UM)
    picture = np.fft.ifft2(texture * np.fft.fft2(kernel, texture.shape)).real
    octaves = []
    for _ in range(5):
        right, down = np.diff(picture, axis=1), np.diff(picture, axis=0)
        octaves.append(float((right**2).mean() + (down**2).mean()))
        picture = (
            picture[::2, ::2] + picture[1::2, ::2] + picture[::2, 1::2] + picture[1::2, 1::2]
        ) / 4
    return octaves
