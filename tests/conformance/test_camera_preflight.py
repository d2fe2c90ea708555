"""What is looked at before the first shot and during a run, over the real libgphoto2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from macrorail.devices.gphoto.camera import GphotoCamera
from macrorail.devices.interfaces import Context
from macrorail.errors import CameraSettingRefused
from tests.conformance.cameras import OPTIONS, BodyProcess, CameraWorld, over_ptpip


@pytest.fixture(params=["nikon", "canon", "fuji", "sony"])
def world(body_process: BodyProcess, request: pytest.FixtureRequest) -> Iterator[CameraWorld]:
    with over_ptpip(body_process, maker=request.param) as made:
        yield made


@pytest.fixture
def nikon(body_process: BodyProcess) -> Iterator[CameraWorld]:
    with over_ptpip(body_process) as made:
        yield made


def opened(process: BodyProcess, world: CameraWorld, **options: Any) -> GphotoCamera:
    """A camera with options of its own, open."""
    port = process.ask(do="address")["address"]
    made = GphotoCamera.Options.model_validate(OPTIONS | {"port": port} | options)
    camera = GphotoCamera(made, Context(world.clock))
    try:
        camera.open()
    except CameraSettingRefused:
        camera.close()
        raise
    return camera


def test_a_body_that_focuses_by_itself_begins_nothing_unless_the_rig_lets_it(
    body_process: BodyProcess, world: CameraWorld
) -> None:
    world.set_body(autofocus=True)
    camera = world.make()
    with pytest.raises(CameraSettingRefused, match=r"focus mode is '.*focus_mode: any"):
        camera.open()
    camera.close()
    opened(body_process, world, focus_mode="any").close()


def test_a_body_that_exposes_by_itself_begins_nothing_unless_the_rig_lets_it(
    body_process: BodyProcess, world: CameraWorld
) -> None:
    world.set_body(manual_exposure=False)
    camera = world.make()
    with pytest.raises(CameraSettingRefused, match=r"exposure mode is '.*exposure_mode: any"):
        camera.open()
    camera.close()
    opened(body_process, world, exposure_mode="any").close()


def test_automatic_iso_is_refused(nikon: CameraWorld) -> None:
    nikon.set_body(auto_iso=True)
    camera = nikon.make()
    with pytest.raises(CameraSettingRefused, match="automatic ISO"):
        camera.open()
    camera.close()


def test_a_dial_turned_in_the_middle_of_a_run_is_noticed(
    nikon: CameraWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("macrorail.devices.gphoto.camera._HEALTH_EVERY_S", 0.0)
    camera = nikon.make()
    camera.open()
    camera.collect(camera.expose(tmp_path / "0001"))
    nikon.set_body(manual_exposure=False)
    nikon.clock.sleep(24.0)  # libgphoto2 believes in what it has read for two seconds
    with pytest.raises(CameraSettingRefused, match="exposure mode"):
        camera.expose(tmp_path / "0002")
    camera.close()
    assert nikon.facts()["exposures"] == 1


def test_a_delay_for_the_mirror_must_be_on_when_the_rig_wants_it(
    body_process: BodyProcess, nikon: CameraWorld
) -> None:
    with pytest.raises(CameraSettingRefused, match="exposure delay mode of the camera is off"):
        opened(body_process, nikon, mirror="delayed")
    nikon.set_body(mirror_delay=True)
    opened(body_process, nikon, mirror="delayed").close()


def test_a_self_timer_is_refused_unless_the_rig_knows_its_time(
    body_process: BodyProcess, nikon: CameraWorld, tmp_path: Path
) -> None:
    nikon.set_body(self_timer=True)
    with pytest.raises(CameraSettingRefused, match=r"drive mode is 'Timer'.*'shutter_lag'"):
        opened(body_process, nikon)
    camera = opened(body_process, nikon, shutter_lag="6 s")
    exposure = camera.expose(tmp_path / "0001")
    assert exposure.ended_s - exposure.started_s >= 6.0
    camera.collect(exposure)
    camera.close()


def test_an_exposure_delay_that_is_on_is_warned_of(
    body_process: BodyProcess, nikon: CameraWorld
) -> None:
    nikon.set_body(mirror_delay=True)
    camera = nikon.make()
    (warning,) = camera.open().warnings
    assert "exposure delay mode is on" in warning
    camera.close()


def test_a_body_that_switches_itself_off_is_warned_of(body_process: BodyProcess) -> None:
    with over_ptpip(body_process, maker="canon", auto_power_off_s=60) as world:
        camera = world.make()
        (warning,) = camera.open().warnings
        assert "idle for 60 s" in warning
        camera.close()
    with over_ptpip(body_process, maker="canon") as world:
        camera = world.make()
        assert camera.open().warnings == ()
        camera.close()


def test_a_mirror_lock_that_is_on_is_warned_of(body_process: BodyProcess) -> None:
    with over_ptpip(body_process, maker="canon", mirror_lock=True) as world:
        camera = world.make()
        (warning,) = camera.open().warnings
        assert "mirror lock is on" in warning
        camera.close()


def test_the_flash_is_given_its_time(
    body_process: BodyProcess, nikon: CameraWorld, tmp_path: Path
) -> None:
    camera = opened(body_process, nikon, flash_recycle="12 s")
    first = camera.expose(tmp_path / "0001")
    camera.collect(first)
    second = camera.expose(tmp_path / "0002")
    assert second.started_s - first.ended_s >= 12.0
    camera.collect(second)
    camera.close()
