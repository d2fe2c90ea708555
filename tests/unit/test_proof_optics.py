"""The rig's optics held against the pictures: right ones are believed, wrong ones are named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.optics import depth_of_field, effective_f_number
from controller.proof.defocus import Optics, expected_widths
from controller.proof.findings import find
from controller.proof.judge import Judge, Look
from controller.proof.settings import ProofSettings
from sims.scene import Scene, SceneOptions

PITCH_UM = 4.5
NEAR_UM, FAR_UM, STEP_UM = 10_000.0, 10_150.0, 12.0
F_NUMBER, MAGNIFICATION = 4.0, 5.0


def optics(f_number: float, magnification: float) -> Optics:
    n = effective_f_number(f_number, magnification)
    dof = depth_of_field(n, magnification, 2 * PITCH_UM)
    return Optics(magnification, n, PITCH_UM, 0.55, dof.limiting_um)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> list[Look]:
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
    judge = Judge(settings(F_NUMBER, MAGNIFICATION))
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


@pytest.mark.parametrize(
    ("f_number", "magnification", "wrong"),
    [(4.0, 5.0, False), (2.8, 5.0, True), (4.0, 4.0, True)],
)
def test_wrong_optics_are_named_and_right_ones_believed(
    sweep: list[Look], f_number: float, magnification: float, wrong: bool
) -> None:
    claimed = settings(f_number, magnification)
    looks = [replace(look, dof_um=claimed.optics.dof_um) for look in sweep]
    dof = find(looks, claimed).dof
    assert dof is not None
    assert bool(dof["warning"]) == wrong, dof
    assert dof["ratio_to"] < 1.1 * dof["ratio_from"], "both readings of the texture agree"


def test_optics_that_resolve_less_than_the_pixels_have_widths_as_well() -> None:
    # At an effective f/33.6 nothing of the finest octave of 4.5 um pixels comes through.
    widths = expected_widths(optics(5.6, 5.0), np.array([1.3, 0.9, 0.3, -0.2]))
    assert np.isfinite(widths).all()
    assert (widths > 0).all()
