"""What frames say about themselves against what was asked, and when that is a difference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from macrorail.devices.frame_settings import (
    FramesAsked,
    FrameSettingsCheck,
    read_frame_settings,
)
from macrorail.errors import (
    FrameSizeDiffers,
    OtherCamera,
    SettingsByHandDiffer,
    SettingsDiffer,
)
from macrorail.frame import Frame, store_frame
from macrorail_sims.bodies.exif import with_exif
from macrorail_sims.bodies.exposure import SimulatedExposure

Shoot = Callable[..., Frame]

ASKED = FramesAsked({"aperture": "f/5.6", "shutter": "1/60 s", "iso": "100"}, (60, 40))


@pytest.fixture
def shoot(tmp_path: Path) -> Shoot:
    def shoot(
        f_number: float | None = 5.6,
        iso: int = 100,
        shutter_s: float = 1 / 60,
        size: tuple[int, int] = (60, 40),
        serial: str = "6001234",
    ) -> Frame:
        number = len(list(tmp_path.iterdir())) + 1
        picture = np.full((size[1], size[0], 3), number, np.uint8)
        light = SimulatedExposure(number, 10.0, 10.0 + shutter_s, f_number, iso, None, 90)
        data = with_exif(bytes(cv2.imencode(".jpg", picture)[1]), "any", serial, light)
        return store_frame(tmp_path / f"{number:04d}.jpg", data, f"DSC_{number:04d}.JPG")

    return shoot


def test_a_frame_says_its_settings_its_size_and_its_body(shoot: Shoot) -> None:
    said = read_frame_settings(shoot().path)
    assert said.values == pytest.approx({"aperture": 5.6, "shutter": 1 / 60, "iso": 100}, rel=0.01)
    assert (said.size_px, said.serial) == ((60, 40), "6001234")


def test_both_dials_turned_are_both_named(shoot: Shoot) -> None:
    check = FrameSettingsCheck(ASKED)
    check.check(shoot())
    with pytest.raises(SettingsDiffer, match=r"f/11 instead of f/5\.6 and ISO 400 instead of ISO"):
        check.check(shoot(f_number=11, iso=400))
    with pytest.raises(SettingsByHandDiffer, match="set the camera to the required values again"):
        check.check(shoot(f_number=11), by_hand=True)
    check.check(shoot())


@pytest.mark.parametrize("step", [2 ** (1 / 3), 2 ** (-1 / 3)])
def test_a_third_of_a_stop_is_a_difference_for_each_setting(shoot: Shoot, step: float) -> None:
    for turned in (
        {"f_number": 5.6 * step**0.5},
        {"iso": round(100 * step)},
        {"shutter_s": step / 60},
    ):
        with pytest.raises(SettingsDiffer):
            FrameSettingsCheck(ASKED).check(shoot(**turned))


def test_rounded_values_are_none(shoot: Shoot) -> None:
    for written in ({"shutter_s": 1 / 64}, {"f_number": 5.66}, {"f_number": None}, {"iso": 65535}):
        FrameSettingsCheck(ASKED).check(shoot(**written))


def test_what_was_not_asked_is_compared_with_the_first_frame(shoot: Shoot) -> None:
    check = FrameSettingsCheck(FramesAsked({"shutter": "1/60 s"}))
    check.check(shoot())
    with pytest.raises(SettingsDiffer, match="ISO 200 instead of ISO 100"):
        check.check(shoot(iso=200))
    varying = FrameSettingsCheck(FramesAsked({"shutter": "1/60 s"}, varies=True))
    varying.check(shoot())
    varying.check(shoot(iso=200))


def test_a_lens_that_is_the_axis_may_drift_and_not_jump(shoot: Shoot) -> None:
    """Nikon's macro lenses show the effective f-number, which changes with the focus."""
    check = FrameSettingsCheck(FramesAsked(ASKED.settings, drifts=True))
    for n in range(20):
        check.check(shoot(f_number=5.6 * 1.03**n))
    with pytest.raises(SettingsDiffer):
        check.check(shoot(f_number=5.6))


def test_the_size_is_the_rigs_whichever_side_is_up(shoot: Shoot) -> None:
    FrameSettingsCheck(ASKED).check(shoot(size=(40, 60)))
    with pytest.raises(FrameSizeDiffers, match=r"30 x 20 pixels, and the rig says 60 x 40"):
        FrameSettingsCheck(ASKED).check(shoot(size=(30, 20)))
    check = FrameSettingsCheck(ASKED)
    check.check(shoot())
    with pytest.raises(SettingsDiffer, match="30 x 20 pixels instead of 60 x 40"):
        check.check(shoot(size=(30, 20)))


def test_another_body_is_refused_with_both_serial_numbers(shoot: Shoot) -> None:
    check = FrameSettingsCheck(ASKED)
    check.check(shoot())
    with pytest.raises(OtherCamera, match=r"7009999.*6001234"):
        check.check(shoot(serial="7009999"))
