"""What the bodies beside the Nikon must do as well, over the real libgphoto2."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from macrorail.devices.bracket.camera import BracketingCamera
from macrorail.devices.gphoto.camera import GphotoCamera
from macrorail.errors import (
    BatteryExhausted,
    CameraBusy,
    CameraError,
    CameraStorageFull,
    DeviceLost,
    FrameMissing,
)
from macrorail.stacking.images import read_picture
from macrorail_sims.bodies.faults import Action, Fault, Reason
from tests.conformance.cameras import BodyProcess, CameraWorld, over_ptpip, refuse, shoot


@dataclass(frozen=True)
class Maker:
    """What a maker's body calls things."""

    name: str
    jpeg: str
    pair: str
    raw_suffix: str
    charge: int
    """What it says of a battery that is at 80 %."""
    targets: tuple[str, ...] = ()


NIKON = Maker("nikon", "DSC_{:04d}.JPG", "NEF+Fine", ".nef", 80)
CANON = Maker("canon", "IMG_{:04d}.JPG", "RAW + L", ".cr2", 75, ("Memory card", "Internal RAM"))
FUJI = Maker("fuji", "DSCF{:04d}.JPG", "RAW + JPEG Fine", ".raf", 80)
SONY = Maker("sony", "capt_DSC{:05d}.JPG", "RAW+JPEG (Fine)", ".arw", 80)
"""Its frames come from its memory; nobody sees its card."""


@pytest.fixture(params=[CANON, FUJI, SONY], ids=lambda maker: maker.name)
def maker(request: pytest.FixtureRequest) -> Maker:
    asked: Maker = request.param
    return asked


@pytest.fixture
def world(body_process: BodyProcess, maker: Maker) -> Iterator[CameraWorld]:
    with over_ptpip(body_process, maker=maker.name) as made:
        yield made


def test_frames_arrive_in_order_and_leave_the_camera(
    world: CameraWorld, camera: GphotoCamera, maker: Maker, tmp_path: Path
) -> None:
    frames = [shoot(camera, tmp_path / f"{number:04d}") for number in (1, 2, 3)]
    assert [frame.camera_name for frame in frames] == [maker.jpeg.format(n) for n in (1, 2, 3)]
    assert len({frame.sha256 for frame in frames}) == 3
    assert world.facts()["card"] == []


def test_raw_and_jpeg_both_arrive(
    world: CameraWorld, camera: GphotoCamera, maker: Maker, tmp_path: Path
) -> None:
    for target in maker.targets or (None,):
        camera.configure({"image_format": maker.pair})
        if target is not None:
            camera.configure({"capture_target": target})
        folder = tmp_path / str(target)
        folder.mkdir()
        for number in (1, 2):
            assert shoot(camera, folder / f"{number:04d}").path.name == f"{number:04d}.jpg"
        assert {path.name for path in folder.iterdir()} == {
            *("0001.jpg", "0002.jpg", f"0001{maker.raw_suffix}", f"0002{maker.raw_suffix}")
        }
        assert world.facts()["card"] == world.facts()["memory"] == []


def test_a_manual_lens_without_an_aperture_does_no_harm(
    body_process: BodyProcess, maker: Maker, tmp_path: Path
) -> None:
    with over_ptpip(body_process, maker=maker.name, manual_aperture=True) as world:
        camera = world.make()
        camera.open()
        assert camera.configure({"iso": "400"}) == {"iso": "400"}
        shoot(camera, tmp_path / "0001")
        camera.close()


FAULTS: tuple[tuple[Fault, type[Exception]], ...] = (
    (refuse("release", Reason.BUSY, times=2), CameraBusy),
    (refuse("release", Reason.GENERAL, times=2), CameraError),
    (Fault("release", Action.STALE), FrameMissing),
    (Fault("release", Action.LATE, delay_s=32.0), FrameMissing),
    (Fault("read", Action.DROP), DeviceLost),
    (Fault("release", Action.SWALLOW), DeviceLost),
)


def test_after_each_fault_the_next_frame_is_its_own(
    world: CameraWorld, camera: GphotoCamera, maker: Maker, tmp_path: Path
) -> None:
    hashes = {shoot(camera, tmp_path / "0000").sha256}
    for number, (fault, error) in enumerate(FAULTS, start=1):
        world.add_fault(fault)
        with pytest.raises(error):
            shoot(camera, tmp_path / f"{number:04d}-spoilt")
        world.clear_faults()
        if error is DeviceLost:
            camera.close()
            camera.open()
        world.clock.sleep(fault.delay_s)  # a late frame comes now, and not under the next one
        camera.drain()
        frame = shoot(camera, tmp_path / f"{number:04d}")
        assert frame.sha256 not in hashes, fault
        assert frame.camera_name == maker.jpeg.format(world.facts()["exposures"]), fault
        hashes.add(frame.sha256)


@pytest.mark.parametrize("maker", [CANON, FUJI], indirect=True, ids=["canon", "fuji"])
def test_a_full_card_is_called_so(body_process: BodyProcess, maker: Maker, tmp_path: Path) -> None:
    with over_ptpip(body_process, maker=maker.name, card_bytes=50_000) as world:
        camera = world.make()
        camera.open()
        shoot(camera, tmp_path / "0001")
        world.set_body(card_bytes=0)
        with pytest.raises(CameraStorageFull, match=r"(?i)store full|card is full"):
            shoot(camera, tmp_path / "0002")
        assert world.facts()["exposures"] == 1
        camera.close()


@pytest.mark.parametrize("maker", [CANON, FUJI], indirect=True, ids=["canon", "fuji"])
def test_a_card_with_no_room_to_begin_with_is_refused(
    body_process: BodyProcess, maker: Maker
) -> None:
    with over_ptpip(body_process, maker=maker.name, card_bytes=20_000) as world:
        camera = world.make()
        with pytest.raises(CameraStorageFull, match="less than 4 frames"):
            camera.open()
        camera.close()


def test_a_battery_that_is_low_begins_nothing(
    world: CameraWorld, maker: Maker, tmp_path: Path
) -> None:
    world.set_battery(4)
    camera = world.make()
    with pytest.raises(BatteryExhausted, match="charge"):
        camera.open()
    camera.close()
    world.set_battery(80)
    assert camera.open().battery_percent == maker.charge
    shoot(camera, tmp_path / "0001")
    camera.close()


@pytest.mark.parametrize(
    ("maker", "raw_alone"),
    [(NIKON, False), (CANON, False), (CANON, True), (FUJI, True), (SONY, False)],
    indirect=["maker"],
    ids=["nikon", "canon", "canon, raw alone", "fuji, raw alone", "sony"],
)
def test_every_slice_is_bracketed_and_its_exposures_stay(
    world: CameraWorld, maker: Maker, tmp_path: Path, raw_alone: bool
) -> None:
    exposures: list[Any] = []
    ev = (-2.0, 0.0, 2.0)
    camera = BracketingCamera(
        *(world.make(), ev, "1/60 s", tmp_path / "exposures", world.clock),
        log_event=exposures.append,
    )
    camera.open()
    camera.configure({"shutter": "1/60 s"} | ({"image_format": "RAW"} if raw_alone else {}))
    for number in (1, 2):
        frame = shoot(camera, tmp_path / f"{number:04d}")
        assert frame.path.name == f"{number:04d}.jpg"
        assert read_picture(frame.path).shape == (200, 300, 3)
    camera.close()
    suffix = maker.raw_suffix if raw_alone else ".jpg"
    assert [Path(one.frame).name for one in exposures] == [
        f"{number:04d}_{name}EV{suffix}" for number in (1, 2) for name in ("-2", "0", "+2")
    ]
    for one in exposures:
        data = (tmp_path / one.frame).read_bytes()
        assert hashlib.sha256(data).hexdigest() == one.sha256
    assert world.facts()["exposures"] == 6
    assert world.facts()["card"] == []
