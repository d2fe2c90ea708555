"""The driver on a Fujifilm: no choice of target, no announced files, slow settings, a lens that is
told places."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from macrorail.devices.gphoto.camera import GphotoCamera
from macrorail.errors import CameraSettingRefused, FocusLimit
from tests.conformance.cameras import BodyProcess, CameraWorld, over_ptpip


@pytest.fixture
def world(body_process: BodyProcess) -> Iterator[CameraWorld]:
    with over_ptpip(body_process, maker="fuji") as made:
        yield made


def test_one_protocol_sets_a_fuji_as_it_sets_the_others(
    world: CameraWorld, camera: GphotoCamera
) -> None:
    wanted = {"iso": "400", "shutter": "1/125 s", "aperture": "f/5.6", "image_format": "JPEG Fine"}
    assert camera.configure(wanted) == wanted | {"shutter": "1/125"}
    truth = world.facts()["settings"]
    assert (truth["iso"], truth["shutter"], truth["aperture"]) == ("400", "1/125", "f/5.6")
    with pytest.raises(CameraSettingRefused, match="no setting for capture_target"):
        camera.configure({"capture_target": "Memory card"})


def test_a_lens_that_is_told_places_is_driven_by_steps(
    world: CameraWorld, camera: GphotoCamera
) -> None:
    camera.drive_focus(100)
    before = world.facts()["glass_steps"]
    camera.drive_focus(50)
    assert world.facts()["glass_steps"] == before + 50
    with pytest.raises(FocusLimit, match="end stop"):
        camera.drive_focus(-9000)
    assert world.facts()["glass_steps"] == 0


@pytest.mark.parametrize("maker", ["nikon", "fuji"])
def test_a_setting_that_takes_its_time_is_waited_for(body_process: BodyProcess, maker: str) -> None:
    with over_ptpip(body_process, maker=maker, settings_take_s=6.0) as world:
        camera = world.make()
        camera.open()
        assert camera.configure({"iso": "800"}) == {"iso": "800"}
        assert world.facts()["settings"]["iso"] == "800"
        camera.close()
