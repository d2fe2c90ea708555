"""A whole simulated instrument inside this process, in virtual time: for thousands of runs.

The same firmware, carriage, scene and body model as the bench in a session of its own, without
serial line, libgphoto2 and waiting. It dies with its process, so it is no bench for resuming.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from controller.drivers.rail import SerialRail
from controller.drivers.rail_triggered import RailTriggeredCamera
from controller.instrument import Rig
from sims.cable import Cable
from sims.carriage import Carriage
from sims.clock import VirtualClock
from sims.firmware_native import NativeBoard
from sims.virtual_port import VirtualPort
from sims.world import World, WorldSection, build_body, build_scene


class VirtualBench:
    """Named by a rig as ``sims.virtual:VirtualBench``, with ``sims.camera:InProcessCamera``.

    Attributes
    ----------
    body, board, carriage, world
        The truth, for tests; ``board`` and ``carriage`` are ``None`` when the lens is the axis.
    """

    class Options(WorldSection):
        """Keys of a rig's bench section; ``time_scale`` has no meaning here."""

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
            cable = Cable(self.body, self.carriage, Path(self._card.name))
            self.clock.attach(cable.live_until)

    @property
    def address(self) -> str | None:
        """Nobody else can find this world."""
        return None

    def start(self) -> None:
        """It lives as soon as it is built."""

    def close(self) -> None:
        """It ends with its last reference, and its card with it."""
        if self._card is not None:
            self._card.cleanup()
            self._card = None
