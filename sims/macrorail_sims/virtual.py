"""A simulated instrument in the same process and in virtual time, for thousands of test runs.

This bench uses the same firmware, carriage, scene and body model as the bench in a separate
process, but no serial line, no libgphoto2 and no real waiting. The simulated instrument ends with
its process, so its runs cannot be resumed later.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from macrorail.config.rig import Rig
from macrorail.devices.rail.axis import SerialRail
from macrorail.devices.rail.cable_camera import RailTriggeredCamera
from macrorail_sims.cable_release import CableRelease
from macrorail_sims.carriage import Carriage
from macrorail_sims.clock import VirtualClock
from macrorail_sims.firmware_native import NativeBoard
from macrorail_sims.virtual_port import VirtualPort
from macrorail_sims.world import World, WorldSection, build_body, build_scene


class VirtualBench:
    """A rig's ``bench`` with ``driver: virtual``; the rig's camera also has ``driver: virtual``.

    Attributes
    ----------
    body, board, carriage, world
        The simulated parts, for tests; ``board`` and ``carriage`` are ``None`` when the focus axis
        is the lens.
    """

    class Options(WorldSection):
        """Bench section of a simulated instrument in the same process, in virtual time, for tests.
        ``time_scale`` has no effect.
        """

    def __init__(self, options: Options, rig: Rig) -> None:
        self.clock = VirtualClock()
        self.board: NativeBoard | None = None
        self.carriage: Carriage | None = None
        self.ports: dict[str, Any] = {}
        if isinstance(rig.axis, SerialRail.Options):
            self.board = NativeBoard()
            self.carriage = Carriage(self.board.state, rig.axis.um_per_step)
            self.ports = {"rail": VirtualPort(self.board, self.clock)}
        scene = build_scene(rig, options)
        self.world = World(scene, self.clock, options.vibration, self.carriage)
        self.body = build_body(rig, options, self.world)
        self.ports = {**self.ports, "camera": self.body}
        self._card: tempfile.TemporaryDirectory[str] | None = None
        if isinstance(rig.camera, RailTriggeredCamera.Options):
            assert self.carriage is not None, "a camera on the rail's cable needs a rail"
            self._card = tempfile.TemporaryDirectory(prefix="macrorail-card-")
            self.ports["camera"] = self._card.name
            cable = CableRelease(self.body, self.carriage, Path(self._card.name))
            self.clock.attach(cable.run_until)

    @property
    def address(self) -> str | None:
        """Always ``None``, because no other process can connect to this simulated world."""
        return None

    def start(self) -> None:
        """Do nothing; this bench has no process to start."""

    def close(self) -> None:
        """Remove the simulated memory card."""
        if self._card is not None:
            self._card.cleanup()
            self._card = None
