"""What only the camera in a worker process can suffer: kills, hangs, an unplugged cable."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from macrorail.clock import WorldClock
from macrorail.devices.gphoto import camera as gphoto
from macrorail.devices.gphoto.camera import GphotoCamera
from macrorail.devices.interfaces import Context
from macrorail.errors import ConnectError, DeviceError, DeviceLost, DeviceTimeout, WorkerCrashed
from macrorail.frame import verify_frame
from macrorail_sims.bodies.faults import Action, Fault
from tests.conformance.cameras import OPTIONS, BodyProcess, CameraWorld, over_ptpip, wait_until


@pytest.fixture
def world(body_process: BodyProcess) -> Iterator[CameraWorld]:
    with over_ptpip(body_process) as made:
        yield made


@pytest.fixture
def camera(world: CameraWorld) -> Iterator[GphotoCamera]:
    made: GphotoCamera = world.make()
    made.open()
    yield made
    made.close()


def workers() -> set[int]:
    """Camera workers that are children of this process."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended while we looked
            continue
        if b"devices.gphoto.worker" in command and parent == os.getpid():
            found.add(int(entry.name))
    return found


def test_a_worker_killed_in_an_exposure_is_noticed_and_its_orphan_told(
    world: CameraWorld, camera: GphotoCamera, tmp_path: Path
) -> None:
    camera.configure({"shutter": "8"})
    worker = camera.worker_pid
    assert worker is not None
    killer = threading.Timer(0.3, os.kill, [worker, signal.SIGKILL])
    killer.start()
    started = time.monotonic()
    with pytest.raises(WorkerCrashed, match="SIGKILL"):
        camera.expose(tmp_path / "0001")
    assert time.monotonic() - started < 5
    camera.close()
    camera.open()
    assert camera.drain() == ["DSC_0001.JPG"]
    assert world.facts()["card"] == ["DSC_0001.JPG"], "it is still there for who wants it"
    frame = camera.collect(camera.expose(tmp_path / "0002"))
    assert frame.camera_name == "DSC_0002.JPG"


def test_a_worker_killed_while_the_frame_comes_leaves_no_half_frame(
    world: CameraWorld, camera: GphotoCamera, tmp_path: Path
) -> None:
    worker = camera.worker_pid
    assert worker is not None
    world.add_fault(Fault("release", Action.LATE, delay_s=8.0))
    exposure = camera.expose(tmp_path / "0001")
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(WorkerCrashed):
        camera.collect(exposure)
    with pytest.raises(ConnectError, match="open it first"):
        camera.expose(tmp_path / "0002")
    assert not list(tmp_path.glob("*.jpg"))
    wait_until(lambda: world.facts()["card"] == ["DSC_0001.JPG"])
    # The frame of a known exposure is no stranger's: it is fetched from the card.
    camera.open()
    assert camera.drain() == []
    frame = camera.collect(exposure)
    verify_frame(frame)
    assert frame.camera_name == "DSC_0001.JPG"


def test_a_hanging_worker_is_ended_in_time(
    camera: GphotoCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gphoto, "_SETTINGS_TIMEOUT_S", 1.0)
    worker = camera.worker_pid
    assert worker is not None
    os.kill(worker, signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(DeviceTimeout, match="within 1 s"):
        camera.configure({"iso": "400"})
    assert time.monotonic() - started < 3
    assert workers() == set()
    camera.open()
    assert camera.configure({"iso": "400"}) == {"iso": "400"}


def test_an_unplugged_camera_is_lost_and_comes_back(
    body_process: BodyProcess, world: CameraWorld, camera: GphotoCamera, tmp_path: Path
) -> None:
    body_process.ask(do="unplug")
    with pytest.raises(DeviceLost, match="cable"):
        camera.expose(tmp_path / "0001")
    with pytest.raises(DeviceError):
        camera.drain()
    camera.open()
    verify_frame(camera.collect(camera.expose(tmp_path / "0001")))
    assert world.facts()["exposures"] == 1


def test_a_frame_interrupted_on_its_way_is_fetched_when_the_camera_is_back(
    body_process: BodyProcess, world: CameraWorld, camera: GphotoCamera, tmp_path: Path
) -> None:
    # The driver looks once before the release and libgphoto2 twice; then comes the frame.
    world.add_fault(Fault("events", Action.DROP, after=3))
    exposure = camera.expose(tmp_path / "0001")
    with pytest.raises(DeviceLost):
        camera.collect(exposure)
    camera.close()
    wait_until(lambda: world.facts()["card"] == ["DSC_0001.JPG"])
    camera.open()
    assert camera.drain() == []
    frame = camera.collect(exposure)
    verify_frame(frame)
    assert frame.camera_name == "DSC_0001.JPG"


def test_closing_ends_the_worker_and_its_home(world: CameraWorld) -> None:
    before = workers()
    camera = world.make()
    camera.open()
    (worker,) = workers() - before
    assert worker == camera.worker_pid
    home = dict(
        entry.split(b"=", 1)
        for entry in Path(f"/proc/{worker}/environ").read_bytes().split(b"\0")
        if entry
    )[b"HOME"].decode()
    assert Path(home).is_dir()
    assert Path(home) != Path.home()
    camera.close()
    assert workers() == before
    assert not Path(home).exists()


def test_a_session_without_trouble_leaves_an_empty_log(
    body_process: BodyProcess, world: CameraWorld, tmp_path: Path
) -> None:
    address = body_process.ask(do="address")["address"]
    options = GphotoCamera.Options.model_validate(OPTIONS | {"port": address})
    camera = GphotoCamera(options, Context(world.clock, log_folder=tmp_path))
    camera.open()
    camera.configure({"iso": "400", "image_format": "NEF+Fine"})
    camera.collect(camera.expose(tmp_path / "0001"))
    camera.drive_focus(10)
    camera.close()
    assert (tmp_path / "camera.log").read_text() == ""


def test_no_camera_is_told_as_such() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    options = GphotoCamera.Options.model_validate(
        OPTIONS | {"port": f"ptpip:127.0.0.1:{port}:{port}"}
    )
    camera = GphotoCamera(options, Context(WorldClock()))
    with pytest.raises(ConnectError, match="no camera responds at ptpip"):
        camera.open()
    camera.close()


def test_frames_cost_no_descriptors(camera: GphotoCamera, tmp_path: Path) -> None:
    worker = camera.worker_pid
    assert worker is not None

    def descriptors() -> int:
        return len(list(Path(f"/proc/{worker}/fd").iterdir()))

    camera.collect(camera.expose(tmp_path / "first"))
    before = descriptors()
    for number in range(20):
        camera.collect(camera.expose(tmp_path / f"{number:04d}"))
    assert descriptors() == before
