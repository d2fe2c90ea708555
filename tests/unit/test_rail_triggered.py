"""A camera on the rail's cable: presses, files that appear, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from macrorail.devices.interfaces import Context
from macrorail.devices.rail.cable_camera import RailTriggeredCamera
from macrorail.errors import (
    CameraError,
    CameraSettingRefused,
    ConfigError,
    ConnectError,
    DeviceLost,
    FrameMissing,
)
from macrorail_sims.bodies.exif import with_exif
from macrorail_sims.bodies.exposure import SimulatedExposure
from macrorail_sims.clock import VirtualClock

OPTIONS: dict[str, Any] = {
    "driver": "named.by:Test",
    "image_width": 30,
    "image_height": 20,
    "pixel_pitch": "4 um",
    "frame_size": "10 kB",
    "download": "0.2 s",
    "frame_timeout": "2 s",
}
SETTINGS = {"shutter": "1/4 s", "aperture": "f/8", "iso": "200"}


@dataclass
class Counters:
    contacts: int


@dataclass
class CableAndCard:
    """A board's shutter output with a camera on it that writes into a folder, by world time."""

    clock: VirtualClock
    folder: Path
    suffixes: tuple[str, ...] = (".JPG",)
    fires: bool = True
    writes_after_s: float = 0.5
    shutter_s: float = 0.25
    pressed: list[tuple[float, float]] = field(default_factory=list)
    due: list[tuple[float, Path, bytes]] = field(default_factory=list)

    def shots(self) -> Counters:
        return Counters(len(self.pressed) if self.fires else 0)

    def expose(self, focus_s: float, release_s: float, flash_s: float = 0.0) -> Counters:
        start_s = self.clock.now() + focus_s
        self.clock.sleep(focus_s + release_s)
        self.pressed.append((focus_s, release_s))
        number = len(self.pressed)
        end_s = start_s + self.shutter_s
        light = SimulatedExposure(number, start_s, end_s, 8.0, 200, None, 90)
        picture = np.random.default_rng(number).integers(0, 255, (20, 30, 3), np.uint8)
        data = with_exif(bytes(cv2.imencode(".jpg", picture)[1]), "any", "1", light)
        if self.fires:
            for suffix in self.suffixes:
                path = self.folder / f"P{number:04d}{suffix}"
                self.due.append((end_s + self.writes_after_s, path, data))
        return self.shots()

    def tick(self, now_s: float) -> None:
        for due_s, path, data in list(self.due):
            if now_s >= due_s:
                path.write_bytes(data)
                self.due.remove((due_s, path, data))


@pytest.fixture
def cable(tmp_path: Path) -> CableAndCard:
    clock = VirtualClock()
    folder = tmp_path / "card"
    folder.mkdir()
    made = CableAndCard(clock, folder)
    clock.attach(made.tick)
    return made


def camera_on(cable: CableAndCard, **options: Any) -> RailTriggeredCamera:
    section = {**OPTIONS, "port": str(cable.folder), **options}
    camera = RailTriggeredCamera(
        RailTriggeredCamera.Options.model_validate(section), Context(cable.clock)
    )
    camera.use_shutter(cable)
    camera.open()
    camera.configure(SETTINGS)
    return camera


def test_each_press_gives_its_own_frame_and_leaves_the_folder_empty(
    cable: CableAndCard, tmp_path: Path
) -> None:
    camera = camera_on(cable)
    for number in range(1, 4):
        exposure = camera.expose(tmp_path / f"{number:04d}")
        assert exposure.ended_s - exposure.started_s == pytest.approx(0.25)
        frame = camera.collect(exposure)
        assert (frame.path.name, frame.camera_name) == (f"{number:04d}.jpg", f"P{number:04d}.JPG")
    assert list(cable.folder.iterdir()) == []


def test_a_bulb_is_pressed_as_long_as_the_exposure(cable: CableAndCard, tmp_path: Path) -> None:
    camera = camera_on(cable, bulb=True, focus="0.2 s")
    camera.collect(camera.expose(tmp_path / "0001"))
    assert cable.pressed == [(0.2, 0.25)]


def test_a_raw_and_jpeg_pair_is_waited_for(cable: CableAndCard, tmp_path: Path) -> None:
    cable.suffixes = (".NEF", ".JPG")
    camera = camera_on(cable, files=2)
    assert camera.collect(camera.expose(tmp_path / "0001")).path.suffix == ".jpg"
    assert (tmp_path / "0001.nef").exists()


def test_what_lay_there_before_is_no_frame(cable: CableAndCard, tmp_path: Path) -> None:
    (cable.folder / "OLD.JPG").write_bytes(b"old")
    camera = camera_on(cable)
    assert camera.drain() == ["OLD.JPG"]
    assert camera.collect(camera.expose(tmp_path / "0001")).camera_name == "P0001.JPG"
    assert (cable.folder / "OLD.JPG").exists()


def test_a_camera_asleep_is_told_by_its_hot_shoe(cable: CableAndCard, tmp_path: Path) -> None:
    cable.fires = False
    with pytest.raises(CameraError, match="hot shoe"):
        camera_on(cable, hot_shoe=True).expose(tmp_path / "0001")


def test_without_a_hot_shoe_the_missing_file_tells(cable: CableAndCard, tmp_path: Path) -> None:
    cable.fires = False
    camera = camera_on(cable)
    with pytest.raises(FrameMissing, match="0 of 1"):
        camera.collect(camera.expose(tmp_path / "0001"))


def test_a_frame_that_comes_too_late_is_drained_and_never_taken_for_the_next(
    cable: CableAndCard, tmp_path: Path
) -> None:
    camera = camera_on(cable)
    cable.writes_after_s = 5.0
    with pytest.raises(FrameMissing):
        camera.collect(camera.expose(tmp_path / "0001"))
    cable.clock.sleep(5.0)
    assert camera.drain() == ["P0001.JPG"]
    cable.writes_after_s = 0.5
    assert camera.collect(camera.expose(tmp_path / "0002")).camera_name == "P0002.JPG"


def test_settings_that_frames_do_not_tell_are_refused(cable: CableAndCard) -> None:
    with pytest.raises(CameraSettingRefused, match="by hand"):
        camera_on(cable).configure({"white_balance": "Daylight"})


def test_it_needs_a_shutter_and_a_folder(cable: CableAndCard, tmp_path: Path) -> None:
    camera = camera_on(cable)
    with pytest.raises(ConfigError, match="shutter output"):
        camera.use_shutter(object())
    with pytest.raises(ConnectError, match="not a folder"):
        camera_on(CableAndCard(cable.clock, tmp_path / "nowhere"))


def test_files_of_others_are_neither_frames_nor_removed(
    cable: CableAndCard, tmp_path: Path
) -> None:
    camera = camera_on(cable)
    exposure = camera.expose(tmp_path / "0001")
    for name in ("notes.txt", "P0001.JPG.xmp", "P0001.xmp", "._P0001.JPG", "list.csv"):
        (cable.folder / name).write_text("not a photograph")
    assert camera.collect(exposure).camera_name == "P0001.JPG"
    assert {path.name for path in cable.folder.iterdir()} == {
        *("notes.txt", "P0001.JPG.xmp", "P0001.xmp", "._P0001.JPG", "list.csv")
    }


def test_a_frame_that_is_written_in_pieces_is_taken_when_it_is_whole(
    cable: CableAndCard, tmp_path: Path
) -> None:
    camera = camera_on(cable, frame_timeout="20 s")
    exposure = camera.expose(tmp_path / "0001")
    _, path, data = cable.due.pop()
    third = len(data) // 3
    # The writer pauses for longer than any look takes.
    cable.due += [
        (cable.clock.now() + 1, path, data[:third]),
        (cable.clock.now() + 5, path, data[: 2 * third]),
        (cable.clock.now() + 9, path, data),
    ]
    frame = camera.collect(exposure)
    assert frame.path.read_bytes() == data


def test_a_frame_that_stays_incomplete_is_missed_and_kept(
    cable: CableAndCard, tmp_path: Path
) -> None:
    camera = camera_on(cable)
    exposure = camera.expose(tmp_path / "0001")
    due_s, path, data = cable.due.pop()
    cable.due.append((due_s, path, data[: len(data) // 2]))
    with pytest.raises(FrameMissing, match=r"0 of 1 .*P0001.JPG was still incomplete"):
        camera.collect(exposure)
    assert path.read_bytes() == data[: len(data) // 2], "the only copy stays where it is"
    assert camera.drain() == ["P0001.JPG"]


def test_a_folder_that_is_away_for_a_while_costs_nothing(
    cable: CableAndCard, tmp_path: Path
) -> None:
    camera = camera_on(cable, frame_timeout="20 s")
    exposure = camera.expose(tmp_path / "0001")
    away = cable.folder.with_name("away")
    cable.folder.rename(away)
    _, path, data = cable.due.pop()
    returns_s = cable.clock.now() + 6

    def come_back(now_s: float) -> None:
        if now_s >= returns_s and away.exists():
            (away / path.name).write_bytes(data)
            away.rename(cable.folder)

    cable.clock.attach(come_back)
    assert camera.collect(exposure).path.read_bytes() == data


def test_a_folder_that_is_gone_is_a_lost_device_before_anything_is_exposed(
    cable: CableAndCard, tmp_path: Path
) -> None:
    camera = camera_on(cable)
    cable.folder.rmdir()
    with pytest.raises(DeviceLost, match="cannot be read"):
        camera.expose(tmp_path / "0001")
    assert cable.pressed == []


def test_a_kind_that_cannot_be_stacked_is_refused_by_name(
    cable: CableAndCard, tmp_path: Path
) -> None:
    cable.suffixes = (".MOV",)
    camera = camera_on(cable)
    with pytest.raises(CameraError, match=r"P0001.MOV is of a kind that cannot be stacked"):
        camera.collect(camera.expose(tmp_path / "0001"))
    assert (cable.folder / "P0001.MOV").exists()
