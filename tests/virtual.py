"""A whole run on the virtual bench, for tests: rig and protocol as YAML, devices as they come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from macrorail.clock import Clock
from macrorail.config.document import load_document
from macrorail.config.drivers import import_driver
from macrorail.config.protocol import Protocol
from macrorail.config.rig import load_rig
from macrorail.devices.interfaces import Camera, Context, FocusAxis
from macrorail.devices.rail.cable_camera import RailTriggeredCamera
from macrorail.planning.plan import Plan, make_plan
from macrorail.proof.image_proof import ImageProof
from macrorail.run_folder.events import kind_of, values_of
from macrorail.run_folder.journal import Entry, Journal, read_journal
from macrorail.running.commands import Commands
from macrorail.running.ending import RunEnd
from macrorail.running.interfaces import FrameProof, FrameStream
from macrorail.running.proof_settings import proof_settings
from macrorail.running.resume import read_progress
from macrorail.running.runner import Runner, RunTask
from macrorail.running.supervision import RunSupervision
from macrorail.session.job import frames_asked
from macrorail.states import State

RAIL = """
camera:
  driver: virtual
  port: bench
  image_width: 96
  image_height: 64
  pixel_pitch: 4.5 um
  frame_size: 8 kB
  download: 0.1 s
axis:
  driver: rail
  port: bench
  travel: {from: 1 mm, to: 60 mm}
  closest_approach: 45 mm
  speed: 4 mm/s
  acceleration: 20 mm/s2
optics: {magnification: 2}
bench:
  driver: virtual
  seed: 7
  specimen: {near: 10 mm, far: 12 mm}
"""

LENS = (
    RAIL.replace(
        "driver: rail\n  port: bench",
        (
            "driver: lens\n  lens: "
            f"{Path(__file__).parents[1] / 'configs/lenses/simulated-105mm.yaml'}"
        ),
    )
    .replace("to: 60 mm", "to: 15 mm")
    .replace("closest_approach: 45 mm", "closest_approach: 14 mm")
)

PROTOCOL = """
specimen: {{id: test-specimen}}
range: {{near: {near}, far: {far}}}
{spacing}
settle: 0.3 s
exposure: {{aperture: f/8, shutter: 1/60 s, iso: 100}}
max_slices: 5000
"""


def protocol_text(near: str = "10.2 mm", far: str = "11 mm", spacing: str = "overlap: 30 %") -> str:
    return PROTOCOL.format(near=near, far=far, spacing=spacing)


@dataclass
class VirtualRun:
    """Everything about one run that a test may want to look at or to spoil beforehand."""

    folder: Path
    rig_text: str = RAIL
    protocol: str = field(default_factory=protocol_text)
    wrap_axis: Callable[[FocusAxis], FocusAxis] = lambda axis: axis
    wrap_camera: Callable[[Camera], Camera] = lambda camera: camera
    stream: FrameStream | None = None
    observe: Callable[[State], None] | None = None
    listen: Callable[[Entry], None] | None = None
    by_images: bool = False
    proof: FrameProof | None = None
    supervision: RunSupervision = field(default_factory=RunSupervision)

    def __post_init__(self) -> None:
        (self.folder / "frames").mkdir(parents=True, exist_ok=True)
        (self.folder / "rig.yaml").write_text(self.rig_text)
        (self.folder / "protocol.yaml").write_text(self.protocol)
        self.rig = load_rig(self.folder / "rig.yaml")
        self.wanted = load_document(self.folder / "protocol.yaml", Protocol)
        self.plan: Plan = make_plan(self.wanted, self.rig)
        assert self.rig.bench is not None
        self.bench: Any = import_driver("bench", self.rig.bench.driver)(self.rig.bench, self.rig)
        self.clock: Clock = self.bench.clock
        self.commands = Commands(self.clock)
        self._build_drivers()

    def _build_drivers(self) -> None:
        context = Context(self.clock, self.bench.ports)
        self.camera = self.wrap_camera(
            import_driver("camera", self.rig.camera.driver)(self.rig.camera, context)
        )
        context = Context(self.clock, self.bench.ports, self.camera)
        self.axis = self.wrap_axis(
            import_driver("axis", self.rig.axis.driver)(self.rig.axis, context)
        )
        if isinstance(self.camera, RailTriggeredCamera):
            self.camera.use_shutter(self.axis)

    def _proof(self) -> FrameProof | None:
        if self.proof is not None or not self.by_images:
            return self.proof
        return ImageProof(proof_settings(self.plan, self.wanted, self.rig), self.folder)

    def run(self) -> RunEnd:
        """Begin the run, or go on with it where its journal ends, as another process would."""
        path = self.folder / "journal.jsonl"
        resumed = path.exists()
        progress = None
        if resumed:
            self._build_drivers()
            self.commands = Commands(self.clock)
            progress = read_progress(self.plan, read_journal(path), self.folder)
        journal = self.journal = Journal(path, self.clock.now, resumed)
        if self.listen is not None:
            journal.listen(self.listen)
        task = RunTask(
            self.plan,
            self.wanted.camera_settings,
            self.wanted.settle_s(self.rig.axis.settle_s),
            self.wanted.closest_approach_um,
            progress,
            frames_asked(self.wanted, self.rig),
        )
        supervision = replace(self.supervision, commands=self.commands)
        if self.observe is not None:
            supervision = replace(supervision, on_state=self.observe)
        runner = Runner(
            task,
            self.axis,
            self.camera,
            self.clock,
            journal,
            self.stream,
            self._proof(),
            supervision,
        )
        try:
            return runner.run()
        finally:
            journal.close()

    @property
    def entries(self) -> list[Entry]:
        return read_journal(self.folder / "journal.jsonl")

    def said(self, kind: str) -> list[dict[str, Any]]:
        """Keys and values on disk of every line of a kind."""
        return [values_of(entry.event) for entry in self.entries if kind_of(entry.event) == kind]
