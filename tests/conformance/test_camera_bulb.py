"""Exposures longer than any of the camera's menus: the shutter is held open from here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from macrorail.errors import CameraSettingRefused, OperatorStop
from macrorail.exif import settings_in
from macrorail.frame import verify_frame
from tests.conformance.cameras import BodyProcess, CameraWorld, in_process, over_ptpip

LONG_S = 75.0


@pytest.fixture(params=["nikon", "canon", "fuji", "sony", "in-process"])
def world(request: pytest.FixtureRequest) -> Iterator[CameraWorld]:
    if request.param == "in-process":
        with in_process() as made:
            yield made
    else:
        process: BodyProcess = request.getfixturevalue("body_process")
        with over_ptpip(process, time_scale=80.0, maker=request.param) as made:
            yield made


@pytest.fixture
def camera(world: CameraWorld) -> Iterator[Any]:
    made = world.make()
    assert "bulb" in made.open().abilities
    yield made
    made.close()


def test_the_shutter_stays_open_as_long_as_the_protocol_says(
    world: CameraWorld, camera: Any, tmp_path: Path
) -> None:
    camera.configure({"shutter": f"{LONG_S:g} s"})
    assert world.facts()["settings"]["shutter"].lower() == "bulb"
    for number in (1, 2):
        exposure = camera.expose(tmp_path / f"{number:04d}")
        assert exposure.ended_s - exposure.started_s >= LONG_S
        frame = camera.collect(exposure)
        verify_frame(frame)
        open_s = settings_in(frame.path)["shutter"]
        # What goes by on the way to the camera comes on top, and is told by the frame.
        assert LONG_S - 0.1 <= open_s <= exposure.ended_s - exposure.started_s
    assert world.facts()["exposures"] == 2
    camera.configure({"shutter": "1/60"})
    exposure = camera.expose(tmp_path / "0003")
    # Some bodies call 1/64 s so.
    assert settings_in(camera.collect(exposure).path)["shutter"] == pytest.approx(1 / 60, rel=0.1)


def test_a_time_between_those_of_the_menu_is_refused_as_ever(camera: Any) -> None:
    with pytest.raises(CameraSettingRefused, match="does not offer shutter"):
        camera.configure({"shutter": "3 s"})


def test_a_camera_set_to_bulb_with_no_time_exposes_nothing(
    world: CameraWorld, camera: Any, tmp_path: Path
) -> None:
    camera.configure({"shutter": "bulb"})
    with pytest.raises(CameraSettingRefused, match="bulb"):
        camera.expose(tmp_path / "0001")
    assert world.facts()["exposures"] == 0


def test_a_stop_closes_the_shutter(world: CameraWorld, camera: Any, tmp_path: Path) -> None:
    camera.configure({"shutter": "3600 s"})
    world.stop_soon()
    with pytest.raises(OperatorStop):
        camera.expose(tmp_path / "0001")
    camera.close()
    camera.open()
    camera.drain()
    camera.configure({"shutter": "1/60"})
    # A shutter that were still open would refuse.
    frame = camera.collect(camera.expose(tmp_path / "0002"))
    assert frame.camera_name.endswith(f"{world.facts()['exposures']:04d}.JPG")
