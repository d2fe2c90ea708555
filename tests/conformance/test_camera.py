"""What every camera must do: the real libgphoto2 over PTP/IP, and the same body in process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import cv2
import pytest

from macrorail.errors import (
    AutofocusFailed,
    BatteryExhausted,
    CameraBusy,
    CameraError,
    CameraSettingRefused,
    CameraStorageFull,
    CameraUnsupported,
    ConnectError,
    DeviceLost,
    DeviceTimeout,
    FocusLimit,
    FrameMissing,
    OperatorStop,
)
from macrorail.frame import verify_frame
from macrorail_sims.bodies.faults import Action, Fault, Reason
from tests.conformance.cameras import (
    BodyProcess,
    CameraWorld,
    in_process,
    over_ptpip,
    refuse,
    shoot,
)

SETTINGS = {
    "iso": "400",
    "shutter": "1/60",
    "aperture": "f/5.6",
    "white_balance": "Daylight",
    "image_format": "JPEG Fine",
    "capture_target": "Memory card",
}

MakeWorld = Callable[..., AbstractContextManager[CameraWorld]]


@pytest.fixture(params=["ptpip", "in-process"])
def make_world(request: pytest.FixtureRequest) -> MakeWorld:
    if request.param == "in-process":
        return in_process
    process: BodyProcess = request.getfixturevalue("body_process")
    return lambda **body: over_ptpip(process, **body)


@pytest.fixture
def world(make_world: MakeWorld) -> Iterator[CameraWorld]:
    with make_world() as made:
        yield made


# Opening, settings.


def test_opening_reports_what_the_camera_is(world: CameraWorld) -> None:
    camera = world.make()
    report = camera.open()
    camera.close()
    assert (report.model, report.serial, report.battery_percent) == ("D850", "6001234", 80)
    assert report.abilities == {"bulb", "capture", "trigger", "focus_drive", "live_view"}


def test_a_camera_without_a_lens_of_its_own_offers_no_focus_drive(make_world: MakeWorld) -> None:
    with make_world(with_lens=False) as world:
        camera = world.make()
        assert "focus_drive" not in camera.open().abilities
        with pytest.raises(CameraUnsupported):
            camera.drive_focus(10)
        camera.close()


def test_settings_are_set_and_read_back(world: CameraWorld, camera: Any) -> None:
    assert camera.configure(SETTINGS) == SETTINGS
    truth = world.facts()["settings"]
    assert truth == {name: SETTINGS[name] for name in truth}


def test_values_may_be_written_as_people_write_them(camera: Any) -> None:
    given = {"shutter": "1/125 s", "aperture": "8", "white_balance": "cloudy"}
    kept = {"shutter": "1/125", "aperture": "f/8", "white_balance": "Cloudy"}
    assert camera.configure(given) == kept


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("iso", "401", "it offers 64, 80, 100"),
        ("aperture", "f/1.2", "f/2.8"),
        ("shutter", "soon", "1/4000"),
        ("flux_capacitor", "on", "the settings are aperture, capture_target"),
    ],
)
def test_a_setting_that_is_not_offered_is_refused(
    camera: Any, setting: str, value: str, told: str
) -> None:
    with pytest.raises(CameraSettingRefused, match=told):
        camera.configure({setting: value})


def test_a_manual_lens_without_an_aperture_does_no_harm(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    # libgphoto2 holds a NULL for its f/0, which python-gphoto2 would crash on.
    with make_world(manual_aperture=True) as world:
        camera = world.make()
        camera.open()
        assert camera.configure({"iso": "100"}) == {"iso": "100"}
        assert shoot(camera, tmp_path / "0001").path.exists()
        camera.close()


# Frames.


def test_frames_arrive_whole_in_order_and_leave_the_camera(
    world: CameraWorld, camera: Any, tmp_path: Path
) -> None:
    camera.configure(SETTINGS)
    frames = [shoot(camera, tmp_path / f"{number:04d}") for number in range(1, 4)]
    assert [frame.path.name for frame in frames] == ["0001.jpg", "0002.jpg", "0003.jpg"]
    assert [frame.camera_name for frame in frames] == [
        "DSC_0001.JPG",
        "DSC_0002.JPG",
        "DSC_0003.JPG",
    ]
    assert len({frame.sha256 for frame in frames}) == 3
    assert cv2.imread(str(frames[0].path)).shape == (200, 300, 3)
    assert world.facts()["card"] == []
    assert not list(tmp_path.glob(".*")), "nothing unfinished is left behind"


def test_frames_from_the_cameras_memory_arrive_too(
    world: CameraWorld, camera: Any, tmp_path: Path
) -> None:
    camera.configure({"capture_target": "Internal RAM"})
    shoot(camera, tmp_path / "0001")
    shoot(camera, tmp_path / "0002")
    assert world.facts()["memory"] == []


def test_raw_and_jpeg_both_arrive(world: CameraWorld, camera: Any, tmp_path: Path) -> None:
    camera.configure({"image_format": "NEF+Fine"})
    for number in (1, 2):
        frame = shoot(camera, tmp_path / f"{number:04d}")
        assert frame.path.name == f"{number:04d}.jpg"
    assert {path.name for path in tmp_path.iterdir()} == {
        *("0001.jpg", "0001.nef", "0002.jpg", "0002.nef")
    }
    assert world.facts()["card"] == []


def test_exposing_returns_when_the_exposure_is_over(
    world: CameraWorld, camera: Any, tmp_path: Path
) -> None:
    camera.configure({"shutter": "2"})
    before_s = world.clock.now()
    exposure = camera.expose(tmp_path / "0001")
    after_s = world.clock.now()
    assert before_s <= exposure.started_s < exposure.ended_s <= after_s
    assert exposure.ended_s - exposure.started_s >= 2.0
    assert not list(tmp_path.iterdir()), "the frame is still on its way"
    camera.collect(exposure)


def test_an_exposure_has_to_be_collected_before_the_next(camera: Any, tmp_path: Path) -> None:
    first = camera.expose(tmp_path / "0001")
    with pytest.raises(FrameMissing, match="not been collected"):
        camera.expose(tmp_path / "0002")
    assert camera.collect(first).path.name == "0001.jpg"
    with pytest.raises(FrameMissing):
        camera.collect(first)


def test_a_frame_on_disk_is_never_overwritten(camera: Any, tmp_path: Path) -> None:
    frame = shoot(camera, tmp_path / "0001")
    with pytest.raises(Exception, match="not overwritten"):
        shoot(camera, tmp_path / "0001")
    verify_frame(frame)
    assert shoot(camera, tmp_path / "0002").path.exists()


# Faults.


def test_a_refused_release_exposes_nothing_and_can_be_repeated(
    world: CameraWorld, camera: Any, tmp_path: Path
) -> None:
    world.add_fault(refuse("release", Reason.GENERAL))
    with pytest.raises(CameraError):
        camera.expose(tmp_path / "0001")
    assert world.facts()["exposures"] == 0
    assert camera.drain() == []
    assert shoot(camera, tmp_path / "0001").camera_name == "DSC_0001.JPG"


def test_a_camera_that_stays_busy_exposes_nothing(
    world: CameraWorld, camera: Any, tmp_path: Path
) -> None:
    world.add_fault(refuse("release", Reason.BUSY, times=1_000_000))
    # libgphoto2 2.5.34 gives up on a busy Nikon after 0.4 s and says that all went well.
    with pytest.raises((CameraBusy, FrameMissing)):
        shoot(camera, tmp_path / "0001")
    assert world.facts()["exposures"] == 0
    world.clear_faults()
    assert camera.drain() == []
    assert shoot(camera, tmp_path / "0001").camera_name == "DSC_0001.JPG"


def test_a_frame_that_never_comes_is_missed_and_the_next_is_not_taken_for_it(
    world: CameraWorld, camera: Any, tmp_path: Path
) -> None:
    world.add_fault(Fault("release", Action.LOSE))
    with pytest.raises(FrameMissing, match="drain"):
        shoot(camera, tmp_path / "0001")
    camera.drain()
    assert shoot(camera, tmp_path / "0002").camera_name == "DSC_0002.JPG"


def test_a_frame_that_comes_too_late_is_drained_and_not_taken_for_the_next(
    world: CameraWorld, camera: Any, tmp_path: Path
) -> None:
    world.add_fault(Fault("release", Action.LATE, delay_s=24.0))
    with pytest.raises(FrameMissing):
        shoot(camera, tmp_path / "0001")
    world.clock.sleep(24.0)
    assert camera.drain() == ["DSC_0001.JPG"]
    assert shoot(camera, tmp_path / "0002").camera_name == "DSC_0002.JPG"


def test_a_full_card_is_called_so(make_world: MakeWorld, tmp_path: Path) -> None:
    with make_world(card_bytes=50_000) as world:
        camera = world.make()
        camera.open()
        shoot(camera, tmp_path / "0001")
        world.add_fault(Fault("delete", Action.REFUSE, times=100))
        with pytest.raises(CameraStorageFull, match="full"):
            for number in range(2, 40):
                shoot(camera, tmp_path / f"{number:04d}")
        camera.close()


def test_a_battery_below_the_floor_begins_nothing(world: CameraWorld, tmp_path: Path) -> None:
    camera = world.make()
    world.set_battery(4)
    with pytest.raises(BatteryExhausted, match="4"):
        camera.open()
    camera.close()
    world.set_battery(80)
    camera.open()
    shoot(camera, tmp_path / "0001")
    camera.close()


def test_a_battery_that_runs_low_is_noticed_in_a_run(
    world: CameraWorld, camera: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("macrorail.devices.gphoto.camera._HEALTH_EVERY_S", 0.0)
    shoot(camera, tmp_path / "0001")
    world.set_battery(3)
    world.clock.sleep(24.0)  # libgphoto2 believes in what it has read for two seconds
    with pytest.raises(BatteryExhausted):
        camera.expose(tmp_path / "0002")
    assert world.facts()["exposures"] == 1


def test_a_card_with_no_room_to_begin_with_is_refused(
    body_process: BodyProcess,
) -> None:
    with over_ptpip(body_process, card_bytes=20_000) as world:
        camera = world.make()
        with pytest.raises(CameraStorageFull, match="less than 4 frames"):
            camera.open()
        camera.close()


def test_a_camera_that_wants_to_focus_is_called_so(make_world: MakeWorld, tmp_path: Path) -> None:
    with make_world(autofocus=True) as world:
        camera = world.make()
        with pytest.raises(CameraSettingRefused, match="manual focus"):
            camera.open()
        world.set_body(autofocus=False)
        camera.open()
        shoot(camera, tmp_path / "0001")
        world.set_body(autofocus=True)
        world.clock.sleep(24.0)  # libgphoto2 believes in what it has read for two seconds
        with pytest.raises((AutofocusFailed, CameraSettingRefused), match="manual focus"):
            camera.expose(tmp_path / "0002")
        assert world.facts()["exposures"] == 1
        camera.close()


def test_a_stale_frame_is_refused(world: CameraWorld, camera: Any, tmp_path: Path) -> None:
    shoot(camera, tmp_path / "0001")
    world.add_fault(Fault("release", Action.STALE))
    with pytest.raises(FrameMissing, match="identical to the previous frame"):
        shoot(camera, tmp_path / "0002")
    assert shoot(camera, tmp_path / "0003").camera_name == "DSC_0003.JPG"


@pytest.mark.parametrize("action", [Action.DROP, Action.SWALLOW])
def test_a_link_lost_before_the_shutter_opens_again_and_nothing_was_exposed(
    world: CameraWorld, camera: Any, tmp_path: Path, action: Action
) -> None:
    world.add_fault(Fault("release", action))
    with pytest.raises(DeviceLost):
        shoot(camera, tmp_path / "0001")
    camera.close()
    camera.open()
    assert camera.drain() == []
    assert shoot(camera, tmp_path / "0002").camera_name == "DSC_0001.JPG"
    assert not (tmp_path / "0001.jpg").exists()


@pytest.mark.parametrize(
    "fault",
    [
        Fault("read", Action.DROP),
        Fault("read", Action.SWALLOW),
        Fault("read", Action.STALL, delay_s=48.0),
    ],
    ids=lambda fault: fault.action.name,
)
def test_a_frame_whose_link_was_lost_is_fetched_from_the_card(
    world: CameraWorld, camera: Any, tmp_path: Path, fault: Fault
) -> None:
    shoot(camera, tmp_path / "0001")
    exposure = camera.expose(tmp_path / "0002")
    world.add_fault(fault)
    with pytest.raises((DeviceLost, DeviceTimeout)):
        camera.collect(exposure)
    camera.close()
    camera.open()
    assert camera.drain() == [], "the frame of a known exposure is nobody else's"
    frame = camera.collect(exposure)
    verify_frame(frame)
    assert (frame.path.name, frame.camera_name) == ("0002.jpg", "DSC_0002.JPG")
    assert shoot(camera, tmp_path / "0003").camera_name == "DSC_0003.JPG"
    assert world.facts()["exposures"] == 3
    assert world.facts()["card"] == []


def test_a_frame_that_nobody_asks_for_again_is_left_behind(
    world: CameraWorld, camera: Any, tmp_path: Path
) -> None:
    world.add_fault(Fault("read", Action.DROP))
    with pytest.raises(DeviceLost):
        shoot(camera, tmp_path / "0001")
    camera.close()
    camera.open()
    assert shoot(camera, tmp_path / "0002").camera_name == "DSC_0002.JPG"
    assert camera.drain() == ["DSC_0001.JPG"]


def test_a_stop_while_the_frame_is_on_its_way_loses_nothing(
    world: CameraWorld, camera: Any, tmp_path: Path
) -> None:
    exposure = camera.expose(tmp_path / "0001")
    world.clock.request_stop("Ctrl-C")
    with pytest.raises(OperatorStop):
        camera.collect(exposure)
    verify_frame(camera.collect(exposure))


def test_a_stop_during_the_exposure_leaves_a_camera_that_can_be_closed(
    world: CameraWorld, camera: Any, tmp_path: Path
) -> None:
    camera.configure({"shutter": "4"})
    world.stop_soon()
    with pytest.raises(OperatorStop):
        camera.expose(tmp_path / "0001")
    camera.close()
    camera.open()
    camera.drain()
    assert shoot(camera, tmp_path / "0002").camera_name == "DSC_0002.JPG"


def test_closing_twice_and_using_a_closed_camera(world: CameraWorld, tmp_path: Path) -> None:
    camera = world.make()
    camera.close()
    camera.open()
    camera.close()
    camera.close()
    for use in (
        lambda: camera.expose(tmp_path / "0001"),
        lambda: camera.configure({"iso": "100"}),
        lambda: camera.drive_focus(1),
        camera.drain,
    ):
        with pytest.raises(ConnectError, match="open"):
            use()


# The lens.


def test_driving_the_lens_moves_it_and_closing_ends_live_view(world: CameraWorld) -> None:
    camera = world.make()
    camera.open()
    before = world.facts()["glass_steps"]
    camera.drive_focus(100)
    camera.drive_focus(50)
    # The first steps only take up the play in the gear.
    assert 100 < world.facts()["glass_steps"] - before <= 150
    assert world.facts()["live_view"]
    camera.close()
    assert not world.facts()["live_view"]


def test_frames_can_be_taken_between_drives(
    world: CameraWorld, camera: Any, tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        camera.drive_focus(-20)
        shoot(camera, tmp_path / f"{number:04d}")
    assert world.facts()["exposures"] == 3


def test_the_end_stop_is_called_so(world: CameraWorld, camera: Any) -> None:
    with pytest.raises(FocusLimit, match="end stop"):
        camera.drive_focus(-2000)
    assert world.facts()["glass_steps"] == 0
    camera.drive_focus(100)
    assert world.facts()["glass_steps"] > 0


def test_a_drive_of_nothing_is_refused(world: CameraWorld, camera: Any) -> None:
    before = world.facts()["glass_steps"]
    with pytest.raises(CameraSettingRefused, match="zero"):
        camera.drive_focus(0)
    assert world.facts()["glass_steps"] == before


def test_a_busy_camera_drives_its_lens_a_little_later(world: CameraWorld, camera: Any) -> None:
    camera.drive_focus(100)
    before = world.facts()["glass_steps"]
    world.add_fault(refuse("drive", Reason.BUSY, times=3))
    camera.drive_focus(100)
    assert world.facts()["glass_steps"] == before + 100


def test_a_camera_that_stays_busy_is_called_so(world: CameraWorld, camera: Any) -> None:
    camera.drive_focus(100)
    before = world.facts()["glass_steps"]
    world.add_fault(refuse("drive", Reason.BUSY, times=6))
    started = time.monotonic()
    with pytest.raises(CameraBusy):
        camera.drive_focus(100)
    assert time.monotonic() - started < 10
    assert world.facts()["glass_steps"] == before


@pytest.mark.parametrize("reason", [Reason.GENERAL, Reason.STEP_TOO_SMALL])
def test_a_refused_drive_is_an_error(world: CameraWorld, camera: Any, reason: Reason) -> None:
    world.add_fault(refuse("drive", reason))
    with pytest.raises(CameraError):
        camera.drive_focus(10)


# Live view.


def test_live_view_shows_what_the_lens_sees_without_an_exposure(
    world: CameraWorld, camera: Any, tmp_path: Path
) -> None:
    for number in (1, 2):
        camera.preview(tmp_path / f"{number}.jpg")
        picture = cv2.imread(str(tmp_path / f"{number}.jpg"))
        assert picture is not None and picture.shape == (200, 300, 3)
    assert world.facts()["exposures"] == 0
    assert shoot(camera, tmp_path / "0001").camera_name == "DSC_0001.JPG"
