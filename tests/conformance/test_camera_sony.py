"""The driver on a Sony Alpha: settings turned click by click, frames from its memory, a release in
parts, live view without a switch, seven sizes of drive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from macrorail.devices.gphoto.camera import GphotoCamera
from macrorail.errors import (
    CameraBusy,
    CameraError,
    CameraSettingRefused,
    CameraUnsupported,
    DeviceLost,
)
from macrorail_sims.bodies.faults import Action, Fault, Reason
from macrorail_sims.bodies.sony import SonyBody
from tests.conformance.cameras import BodyProcess, CameraWorld, over_ptpip, refuse, shoot


@pytest.fixture
def world(body_process: BodyProcess) -> Iterator[CameraWorld]:
    with over_ptpip(body_process, maker="sony") as made:
        yield made


def test_one_protocol_sets_a_sony_as_it_sets_the_others(
    world: CameraWorld, camera: GphotoCamera
) -> None:
    wanted = {"iso": "400", "shutter": "1/125 s", "aperture": "f/5.6", "image_format": "Fine"}
    assert camera.configure(wanted) == wanted | {"shutter": "1/125"}
    truth = world.facts()["settings"]
    assert {name: truth[name] for name in wanted} == wanted | {"shutter": "1/125"}
    assert camera.configure({"shutter": "2 s"}) == {"shutter": "2"}
    assert world.facts()["settings"]["shutter"] == "2"


def test_each_click_of_a_slow_body_is_waited_for(body_process: BodyProcess) -> None:
    with over_ptpip(body_process, maker="sony", settings_take_s=3.0) as world:
        camera = world.make()
        camera.open()
        wanted = {"iso": "800", "shutter": "1/125", "aperture": "f/6.3"}  # two clicks from f/8
        assert camera.configure(wanted) == wanted
        truth = world.facts()["settings"]
        assert {name: truth[name] for name in wanted} == wanted
        camera.close()


def test_where_frames_go_is_set_at_the_body_alone(
    body_process: BodyProcess, camera: GphotoCamera, tmp_path: Path
) -> None:
    # libgphoto2 2.5.34 would announce a value, send none, and wait for an answer in vain.
    assert camera.configure({"capture_target": "sdram"}) == {"capture_target": "sdram"}
    with pytest.raises(CameraSettingRefused, match="in the camera's menu"):
        camera.configure({"capture_target": "card+sdram"})
    shoot(camera, tmp_path / "0001")


@pytest.mark.parametrize("parts", [0, 2])
def test_a_release_refused_part_of_the_way_is_never_taken_for_none(
    world: CameraWorld, camera: GphotoCamera, tmp_path: Path, parts: int
) -> None:
    """Half pressed, pressed, let go, let go: after the second of them the shutter has opened."""
    camera.configure({"shutter": "2" if parts else "1/60"})  # longer than a drain listens
    world.add_fault(Fault("release", Action.REFUSE, Reason.BUSY, after=parts))
    with pytest.raises(CameraBusy):
        camera.expose(tmp_path / "0001")
    exposed = world.facts()["exposures"]
    assert exposed == (parts > 1)
    assert camera.drain() == ["capt_DSC00001.JPG"] * exposed
    frame = shoot(camera, tmp_path / "0002")
    assert frame.camera_name == f"capt_DSC{exposed + 1:05d}.JPG"


def test_a_full_memory_exposes_nothing(
    world: CameraWorld, camera: GphotoCamera, tmp_path: Path
) -> None:
    world.set_body(memory_frames=0)
    with pytest.raises(CameraError):  # libgphoto2 does not say why
        camera.expose(tmp_path / "0001")
    assert world.facts()["exposures"] == 0
    world.set_body(memory_frames=4)
    camera.drain()
    shoot(camera, tmp_path / "0001")


def test_frames_wait_in_memory_for_who_comes_again(
    world: CameraWorld, camera: GphotoCamera, tmp_path: Path
) -> None:
    camera.configure({"image_format": "RAW+JPEG (Fine)"})
    world.add_fault(Fault("read", Action.DROP, after=1))
    with pytest.raises(DeviceLost):
        shoot(camera, tmp_path / "0001")
    camera.close()
    camera.open()
    assert camera.drain() == ["capt_DSC00001.JPG"], "the raw one had come before the line was cut"
    assert shoot(camera, tmp_path / "0002").camera_name == "capt_DSC00002.JPG"


def test_live_view_needs_no_switch(
    world: CameraWorld, camera: GphotoCamera, tmp_path: Path
) -> None:
    for number in (1, 2):
        camera.preview(tmp_path / f"{number}.jpg")
        assert (tmp_path / f"{number}.jpg").read_bytes().startswith(b"\xff\xd8")
    camera.end_live_view()
    assert world.facts()["exposures"] == 0
    shoot(camera, tmp_path / "0001")


def test_the_lens_moves_by_each_size_of_drive(world: CameraWorld, camera: GphotoCamera) -> None:
    assert camera.drive_sizes == 7
    camera.drive_focus(7)  # takes up the play
    for size, steps in SonyBody.drive_steps.items():
        before = world.facts()["glass_steps"]
        camera.drive_focus(2, size)
        assert world.facts()["glass_steps"] == before + 2 * steps
    with pytest.raises(CameraUnsupported, match="7 drive sizes"):
        camera.drive_focus(1, 8)


def test_a_drive_that_a_busy_body_refuses_is_made_a_little_later(
    world: CameraWorld, camera: GphotoCamera
) -> None:
    camera.drive_focus(7)
    before = world.facts()["glass_steps"]
    world.add_fault(refuse("drive", Reason.BUSY, times=3))
    camera.drive_focus(1, 5)
    assert world.facts()["glass_steps"] == before + 112
    world.add_fault(refuse("drive", Reason.BUSY, times=6))
    with pytest.raises(CameraBusy):
        camera.drive_focus(1, 5)
    assert world.facts()["glass_steps"] == before + 112
