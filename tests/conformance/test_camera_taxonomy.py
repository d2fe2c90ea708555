"""Each class of the camera's failures, raised by the real libgphoto2 and no other way.

Those that take more than a refusal stand elsewhere: no camera, a crash and a hang of the worker in
``test_camera_worker.py``; battery, full card, lost link, lost frame and a body without a drive
in ``test_camera.py``; modes in ``test_camera_preflight.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from macrorail.devices.gphoto.camera import GphotoCamera
from macrorail.devices.gphoto.error_table import explain, explain_connect
from macrorail.errors import (
    BatteryExhausted,
    CameraBusy,
    CameraError,
    CameraSettingRefused,
    CameraStorageFull,
    ConnectError,
    FocusLimit,
    FrameMissing,
    NotInLiveView,
)
from macrorail_sims.bodies.faults import Action, Fault, Reason
from tests.conformance.cameras import BodyProcess, CameraWorld, over_ptpip, refuse

Act = Callable[[GphotoCamera, Path], object]


def drive(camera: GphotoCamera, folder: Path) -> None:
    camera.drive_focus(100)


def drive_into_the_stop(camera: GphotoCamera, folder: Path) -> None:
    camera.drive_focus(-5000)


def look(camera: GphotoCamera, folder: Path) -> None:
    camera.preview(folder / "seen.jpg")


def shoot(camera: GphotoCamera, folder: Path) -> None:
    camera.collect(camera.expose(folder / "0001"))


def set_what_is_not_offered(camera: GphotoCamera, folder: Path) -> None:
    camera.configure({"iso": "3"})


@pytest.fixture(scope="module")
def world(body_process: BodyProcess) -> Iterator[CameraWorld]:
    with over_ptpip(body_process) as made:
        yield made


@pytest.fixture(scope="module")
def camera(world: CameraWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GphotoCamera]:
    made: GphotoCamera = world.make()
    made.open()
    shoot(made, tmp_path_factory.mktemp("before"))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("fault", "act", "error", "told"),
    [
        # The first, since live view stays on after it.
        (refuse("live_view", Reason.LIVE_VIEW_PROHIBITED), look, CameraError, "live view"),
        (refuse("drive", Reason.BUSY, times=99), drive, CameraBusy, "drain"),
        (refuse("drive", Reason.NOT_LIVE_VIEW), drive, NotInLiveView, "LiveView"),
        (refuse("drive", Reason.STEP_TOO_SMALL), drive, CameraError, "driving"),
        (None, drive_into_the_stop, FocusLimit, "end stop"),
        (refuse("release", Reason.GENERAL), shoot, CameraError, "releasing"),
        (refuse("read", Reason.NO_SUCH_FILE), shoot, FrameMissing, "drain"),
        (Fault("release", Action.STRAY), shoot, FrameMissing, "drain"),
        (None, set_what_is_not_offered, CameraSettingRefused, "it offers"),
    ],
)
def test_a_failure_is_told_by_its_class(
    world: CameraWorld,
    camera: GphotoCamera,
    tmp_path: Path,
    fault: Fault | None,
    act: Act,
    error: type[Exception],
    told: str,
) -> None:
    if fault is not None:
        world.add_fault(fault)
    with pytest.raises(error, match=f"(?i){told}") as raised:
        act(camera, tmp_path)
    assert raised.type is error
    world.clear_faults()
    camera.drain()
    camera.collect(camera.expose(tmp_path / "0002"))


@pytest.mark.parametrize(
    ("code", "text", "error"),
    [
        (-53, "Could not claim the USB device", ConnectError),
        (-105, "Unknown model", ConnectError),
        (-115, "No space", CameraStorageFull),
        (-1, "Battery exhausted", BatteryExhausted),
    ],
)
def test_what_no_simulated_link_can_raise_stands_in_the_table(
    code: int, text: str, error: type[Exception]
) -> None:
    assert type(explain(code, text, "opening")) is error
    if error is ConnectError:
        assert isinstance(explain_connect(code, text, "auto"), ConnectError)
