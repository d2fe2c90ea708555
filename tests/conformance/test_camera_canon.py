"""The driver on a Canon EOS, which tells neither the end of an exposure nor its lens's end stop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.drivers.gphoto import GphotoCamera
from controller.errors import (
    BatteryExhausted,
    CameraBusy,
    CameraSettingRefused,
    CameraUnsupported,
    DeviceError,
    DeviceLost,
    FrameMissing,
)
from controller.frame import verify_frame
from sims.bodies.canon import CanonBody
from sims.bodies.faults import Action, Fault, Reason
from tests.conformance.cameras import BodyProcess, CameraWorld, over_ptpip, refuse


@pytest.fixture
def world(body_process: BodyProcess) -> Iterator[CameraWorld]:
    with over_ptpip(body_process, maker="canon") as made:
        yield made


@pytest.fixture
def camera(world: CameraWorld) -> Iterator[GphotoCamera]:
    made: GphotoCamera = world.make()
    made.open()
    yield made
    made.close()


def shoot(camera: GphotoCamera, stem: Path) -> Any:
    frame = camera.collect(camera.expose(stem))
    verify_frame(frame)
    return frame


def test_one_protocol_sets_a_canon_as_it_sets_a_nikon(
    world: CameraWorld, camera: GphotoCamera
) -> None:
    wanted = {"iso": "400", "shutter": "1/125 s", "aperture": "f/5.6", "white_balance": "daylight"}
    kept = camera.configure(wanted)
    assert kept == {
        "iso": "400",
        "shutter": "1/125",
        "aperture": "5.6",
        "white_balance": "Daylight",
    }
    truth = world.facts()["settings"]
    assert {name: truth[name] for name in kept} == kept
    with pytest.raises(CameraSettingRefused, match="it offers 100, 125"):
        camera.configure({"iso": "123"})


@pytest.mark.parametrize("target", ["Memory card", "Internal RAM"])
def test_raw_and_jpeg_arrive_and_leave_the_camera(
    world: CameraWorld, camera: GphotoCamera, tmp_path: Path, target: str
) -> None:
    camera.configure({"image_format": "RAW + L", "capture_target": target})
    for number in (1, 2):
        assert shoot(camera, tmp_path / f"{number:04d}").path.name == f"{number:04d}.jpg"
    assert {path.name for path in tmp_path.iterdir()} == {
        *("0001.jpg", "0001.cr2", "0002.jpg", "0002.cr2")
    }
    assert world.facts()["card"] == world.facts()["memory"] == []


def test_the_axis_may_not_move_before_the_exposure_is_over(
    world: CameraWorld, camera: GphotoCamera, tmp_path: Path
) -> None:
    camera.configure({"shutter": "4"})
    exposure = camera.expose(tmp_path / "0001")
    assert exposure.ended_s - exposure.started_s >= 4.0
    camera.collect(exposure)


def test_a_manual_lens_without_an_aperture_does_no_harm(
    body_process: BodyProcess, tmp_path: Path
) -> None:
    with over_ptpip(body_process, maker="canon", manual_aperture=True) as world:
        camera = world.make()
        camera.open()
        shoot(camera, tmp_path / "0001")
        camera.close()


def test_the_lens_moves_by_each_size_of_drive(world: CameraWorld, camera: GphotoCamera) -> None:
    assert camera.drive_sizes == 3
    camera.drive_focus(5)  # takes up the play
    for size, steps in CanonBody.drive_steps.items():
        before = world.facts()["glass_steps"]
        camera.drive_focus(4, size)
        assert world.facts()["glass_steps"] == before + 4 * steps
    with pytest.raises(CameraUnsupported, match="3 sizes"):
        camera.drive_focus(1, 4)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (refuse("release", Reason.BUSY, times=2), CameraBusy),
        (refuse("release", Reason.GENERAL, times=2), DeviceError),
        (Fault("release", Action.DROP), DeviceLost),
        (Fault("release", Action.LOSE, after=1), FrameMissing),
        (Fault("read", Action.DROP), DeviceLost),
        (Fault("release", Action.STALE, after=1), FrameMissing),
    ],
)
def test_after_a_fault_the_next_frame_is_its_own(
    world: CameraWorld,
    camera: GphotoCamera,
    tmp_path: Path,
    fault: Fault,
    error: type[Exception],
) -> None:
    first = shoot(camera, tmp_path / "0001")
    world.add_fault(fault)
    with pytest.raises(error):
        shoot(camera, tmp_path / "0002")
    world.clear_faults()
    camera.close()
    camera.open()
    camera.drain()
    third = shoot(camera, tmp_path / "0003")
    assert third.sha256 != first.sha256
    assert third.camera_name == f"IMG_{world.facts()['exposures']:04d}.JPG"


def test_a_camera_that_wants_to_focus_is_called_so(
    body_process: BodyProcess, tmp_path: Path
) -> None:
    with over_ptpip(body_process, maker="canon", autofocus=True) as world:
        camera = world.make()
        with pytest.raises(CameraSettingRefused, match="focus mode is 'One Shot'"):
            camera.open()
        camera.close()


def test_live_view_shows_what_the_lens_sees(
    world: CameraWorld, camera: GphotoCamera, tmp_path: Path
) -> None:
    camera.preview(tmp_path / "seen.jpg")
    assert (tmp_path / "seen.jpg").read_bytes().startswith(b"\xff\xd8")
    assert world.facts()["exposures"] == 0
    shoot(camera, tmp_path / "0001")


def test_a_battery_that_is_called_low_begins_nothing(world: CameraWorld, tmp_path: Path) -> None:
    world.set_battery(5)
    camera = world.make()
    with pytest.raises(BatteryExhausted, match="Low"):
        camera.open()
    camera.close()
    world.set_battery(80)
    assert camera.open().battery_percent == 75
    shoot(camera, tmp_path / "0001")
    camera.close()
