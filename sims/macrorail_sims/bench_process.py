"""The process of a simulated world: firmware behind a PTY, camera behind PTP/IP, one scene.

``bench.py`` starts this process with a folder as its address. The process serves a control socket
in the folder. When no other process has been connected to the socket for the time ``linger``, this
process ends all simulated devices and removes the folder.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from macrorail.clock import WorldClock
from macrorail.config.drivers import GROUPS, import_driver
from macrorail.config.rig import Rig
from macrorail.devices.rail.axis import SerialRail
from macrorail.devices.rail.cable_camera import RailTriggeredCamera
from macrorail_sims.bench import ADDRESS_FILE, CONTROL_SOCKET, SimulatedBench
from macrorail_sims.bodies.faults import Action, Fault, Reason
from macrorail_sims.bodies.makers import make_responder
from macrorail_sims.cable_release import CableRelease
from macrorail_sims.firmware_process import FirmwareProcess
from macrorail_sims.ptpip import PtpIpServer
from macrorail_sims.stage import StageThread
from macrorail_sims.tray import Tray
from macrorail_sims.world import World, build_body, build_scene, build_tray_scene

#: The board latches a release, so a release between two polls is not missed.
_POLL_CABLE_S = 0.002


class WorldProcess:
    """All simulated devices of one world, and the requests that this process answers.

    Parameters
    ----------
    rig
        The instrument to simulate.
    folder
        Folder of the control socket and of the shared state of the firmware.
    """

    def __init__(self, rig: Rig, folder: Path) -> None:
        assert isinstance(rig.bench, SimulatedBench.Options)
        self._folder = folder
        self._linger_s = rig.bench.linger_s
        self._clock = WorldClock(rig.bench.time_scale)
        self._rail: FirmwareProcess | None = None
        if isinstance(rig.axis, SerialRail.Options):
            self._rail = FirmwareProcess(folder, self._clock, um_per_microstep=rig.axis.um_per_step)
        carriage = self._rail.carriage if self._rail else None
        scene = build_scene(rig, rig.bench)
        # The specimen is drawn now, so that the first exposure does not wait while time passes.
        scene.truth(rig.bench.specimen.near_um)
        world = World(scene, self._clock, rig.bench.vibration, carriage, rig.bench.diary)
        self._body = build_body(rig, rig.bench, world)
        self._stage: StageThread | None = None
        if rig.stage is not None:
            world = self._with_stage(rig, rig.bench, world)
        self._body.world = self._world = world
        self._camera = PtpIpServer(make_responder(self._body)).start()
        self._card: Path | None = None
        self._cable: CableRelease | None = None
        if isinstance(rig.camera, RailTriggeredCamera.Options):
            assert carriage is not None, "a camera on the rail's cable needs a rail"
            self._card = folder / "card"
            self._card.mkdir()
            self._cable = CableRelease(self._body, carriage, self._card)
        self._owners = 0
        self._left_at_s = time.monotonic()
        self._ended = threading.Event()
        self._verbs: dict[str, Callable[..., dict[str, Any]]] = {
            "truth": self._truth,
            "state": self._state,
            "camera_fault": self._camera_fault,
            "unplug_camera": self._unplug_camera,
            "camera_battery": self._camera_battery,
            "end": self._end,
        }

    def _with_stage(self, rig: Rig, options: SimulatedBench.Options, world: World) -> World:
        stage = self._stage = StageThread(self._clock, options.tray, lambda: tray.arrive())
        tray = Tray(
            options.tray,
            stage.position_um,
            lambda number: build_tray_scene(rig, options, number),
            self._body.faults,
        )
        stage.start()
        return replace(world, tray=tray if options.tray else None)

    def serve(self) -> None:
        """Write the address file, then answer requests until the simulated world ends."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self._folder / CONTROL_SOCKET))
        listener.listen()
        listener.settimeout(0.2)
        self._announce()
        cable = threading.Thread(target=self._poll_cable, name="cable")
        cable.start()
        try:
            while not self._ended.is_set() and not self._is_abandoned():
                try:
                    owner, _ = listener.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=self._answer, args=(owner,), daemon=True).start()
        finally:
            self._ended.set()
            cable.join()
            listener.close()
            self._camera.stop()
            if self._stage is not None:
                self._stage.close()
            if self._rail is not None:
                self._rail.close()
            shutil.rmtree(self._folder)

    def _poll_cable(self) -> None:
        while self._cable is not None and not self._ended.wait(_POLL_CABLE_S):
            self._cable.run_until(self._clock.now())

    def _announce(self) -> None:
        camera = self._camera.address if self._card is None else str(self._card)
        ports = {"camera": camera}
        if self._rail is not None:
            ports["rail"] = self._rail.port
        if self._stage is not None:
            ports["stage"] = self._stage.port
        facts = {
            "ports": ports,
            "time_scale": self._clock.time_scale,
            "epoch_s": self._clock.epoch_s,
        }
        aside = self._folder / f".{ADDRESS_FILE}"
        aside.write_text(json.dumps(facts))
        aside.rename(self._folder / ADDRESS_FILE)

    def _is_abandoned(self) -> bool:
        return self._owners == 0 and time.monotonic() - self._left_at_s > self._linger_s

    def _answer(self, owner: socket.socket) -> None:
        self._owners += 1
        try:
            with owner, owner.makefile("rwb") as lines:
                for line in lines:
                    request = json.loads(line)
                    try:
                        answer = self._verbs[request.pop("do")](**request)
                    except (KeyError, TypeError, ValueError) as error:
                        answer = {"error": f"{type(error).__name__}: {error}"}
                    lines.write(json.dumps(answer).encode() + b"\n")
                    lines.flush()
        except OSError:
            return  # the controller was killed; another controller may connect
        finally:
            self._owners -= 1
            self._left_at_s = time.monotonic()

    # Requests that no real instrument could answer.

    def _truth(self, folder: str, position_um: float) -> dict[str, Any]:
        """Write the ideal all-in-focus picture and the true depth map, as seen from a position."""
        self._world.scene.write_truth(Path(folder), position_um)
        return {}

    def _state(self) -> dict[str, Any]:
        """Return the true positions of all devices."""
        state: dict[str, Any] = {"world_s": self._clock.now(), "files": len(self._body.files)}
        if self._rail is not None:
            state["carriage_um"] = self._rail.carriage.position_um(self._clock.now())
        if self._body.lens is not None:
            state["plane_um"] = self._body.lens.state.plane_um
        if self._stage is not None:
            state["stage_um"] = self._stage.position_um()
        return state

    def _camera_fault(self, action: str, reason: str = "GENERAL", **fault: Any) -> dict[str, Any]:
        """Add a fault to the camera's script; see ``bodies/faults.py``."""
        self._body.faults.add(Fault(action=Action[action], reason=Reason[reason], **fault))
        return {}

    def _unplug_camera(self) -> dict[str, Any]:
        """Cut the camera's connections; the camera accepts new connections at once."""
        self._camera.unplug()
        return {}

    def _camera_battery(self, percent: int) -> dict[str, Any]:
        """Set the charge of the camera's battery."""
        self._body.battery_percent = percent
        return {}

    def _end(self) -> dict[str, Any]:
        self._ended.set()
        return {}


def _load(path: Path) -> Rig:
    sections = json.loads(path.read_text())
    for name in GROUPS:
        if sections[name] is None:
            continue
        options = import_driver(name, sections[name]["driver"]).Options
        sections[name] = options.model_validate(sections[name])
    return Rig.model_validate(sections)


def main() -> None:
    """Run the simulated world whose folder is the first command-line argument."""
    folder = Path(sys.argv[1])
    # Ctrl-C in the operator's terminal is meant for the controller only.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    WorldProcess(_load(folder / "rig.json"), folder).serve()


if __name__ == "__main__":
    main()
