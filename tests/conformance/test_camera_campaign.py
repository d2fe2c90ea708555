"""Many frames over the real libgphoto2 with faults strewn in: each frame counted once, no hang.

``MACRORAIL_CAMPAIGN_FRAMES=2000 pytest tests/conformance/test_camera_campaign.py`` makes it a long
one; the default is short.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import time
from pathlib import Path

from macrorail.devices.gphoto.camera import GphotoCamera
from macrorail.errors import CameraBusy, DeviceError
from macrorail.frame import Frame, verify_frame
from macrorail_sims.bodies.faults import Action, Fault, Reason
from tests.conformance.cameras import BodyProcess, CameraWorld, over_ptpip

FRAMES = int(os.environ.get("MACRORAIL_CAMPAIGN_FRAMES", "25"))
FAULTY_SHARE = 0.2
LONGEST_ATTEMPT_S = 30.0
FAULTS = (
    Fault("release", Action.REFUSE, Reason.GENERAL),
    Fault("release", Action.REFUSE, Reason.BUSY, times=250),
    Fault("release", Action.DROP),
    Fault("release", Action.LOSE),
    Fault("release", Action.LATE, delay_s=20.0),
    Fault("release", Action.STALE),
    Fault("ready", Action.DROP),
    Fault("events", Action.DROP, after=3),
    Fault("events", Action.STALL, delay_s=8.0, after=3),
    Fault("read", Action.REFUSE, Reason.NO_SUCH_FILE),
    Fault("read", Action.DROP),
    Fault("delete", Action.REFUSE, Reason.GENERAL),
)
WORKER_KILLED, UNPLUGGED = "worker killed", "unplugged"


def shoot(camera: GphotoCamera, stem: Path, chaos: object, process: BodyProcess) -> Frame:
    exposure = camera.expose(stem)
    if chaos is WORKER_KILLED:
        assert camera.worker_pid is not None
        os.kill(camera.worker_pid, signal.SIGKILL)
    if chaos is UNPLUGGED:
        process.ask(do="unplug")
    frame = camera.collect(exposure)
    verify_frame(frame)
    return frame


def shoot_until_it_works(
    camera: GphotoCamera, folder: Path, number: int, chaos: object, process: BodyProcess
) -> Frame:
    """As a runner does: after a failure drain or open anew, set aside what came, repeat."""
    for attempt in range(5):
        stem = folder / f"{number:04d}"
        started = time.monotonic()
        try:
            return shoot(camera, stem, chaos if attempt == 0 else None, process)
        except CameraBusy:
            camera.drain()
        except DeviceError:
            camera.close()
            camera.open()
            camera.drain()
        finally:
            assert time.monotonic() - started < LONGEST_ATTEMPT_S
        for path in folder.glob(f"{number:04d}.*"):
            path.rename(path.with_name(f"rejected-{number:04d}-{attempt}.jpg"))
    raise AssertionError(f"frame {number} never came, with {chaos}")


def test_every_frame_counts_once_whatever_happens(
    body_process: BodyProcess, tmp_path: Path
) -> None:
    chance = random.Random(20)
    with over_ptpip(body_process) as world:
        camera: GphotoCamera = world.make()
        camera.open()
        camera.configure({"shutter": "1/125"})
        descriptors = _descriptors()
        frames = []
        for number in range(1, FRAMES + 1):
            chaos = None
            if chance.random() < FAULTY_SHARE:
                chaos = chance.choice([*FAULTS, WORKER_KILLED, UNPLUGGED])
                if isinstance(chaos, Fault):
                    world.add_fault(chaos)
            frames.append(shoot_until_it_works(camera, tmp_path, number, chaos, body_process))
            world.clear_faults()
        assert_each_is_its_own(frames, world)
        gc.collect()
        assert _descriptors() <= descriptors
        camera.close()


def assert_each_is_its_own(frames: list[Frame], world: CameraWorld) -> None:
    assert [frame.path.name for frame in frames] == [f"{n:04d}.jpg" for n in range(1, FRAMES + 1)]
    assert len({frame.sha256 for frame in frames}) == FRAMES
    names = [frame.camera_name for frame in frames]
    assert names == sorted(names), "no frame came before the one that was shot before it"
    assert world.facts()["exposures"] >= FRAMES


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
