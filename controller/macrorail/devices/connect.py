"""Constructs the drivers named in a rig file, and closes them in reverse order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from macrorail.clock import Clock, WorldClock
from macrorail.config.drivers import import_driver
from macrorail.config.rig import Rig
from macrorail.devices.interfaces import Bench, Camera, Context, FocusAxis, Stage
from macrorail.devices.rail.cable_camera import RailTriggeredCamera


@dataclass(frozen=True)
class Instrument:
    """The constructed drivers of a rig; no device is open yet and nothing has moved.

    Attributes
    ----------
    clock
        Clock that gives the run's time: real time, or the simulated world's time.
    camera, axis
        Drivers of the camera and the focus axis; the caller opens them.
    stage
        Driver of the stage that moves specimens under the lens; ``None`` if they are changed by
        hand.
    bench_address
        Address of the simulated world; ``None`` for real devices.
    """

    clock: Clock
    camera: Camera
    axis: FocusAxis
    bench_address: str | None
    stage: Stage | None = None


@contextmanager
def connect(rig: Rig, log_folder: Path | None = None) -> Iterator[Instrument]:
    """Start the bench, if the rig has one, and construct the rig's drivers.

    Parameters
    ----------
    rig
        The rig, as loaded by :func:`macrorail.config.rig.load_rig`.
    log_folder
        Folder for the logs of worker processes; ``None`` discards them.

    Yields
    ------
    Instrument
        The drivers. They are closed at the end of the block: axis, then camera, then bench.
    """
    with ExitStack() as closing:
        context = Context(clock=WorldClock(), log_folder=log_folder)
        address = None
        if rig.bench is not None:
            bench: Bench = import_driver("bench", rig.bench.driver)(rig.bench, rig)
            closing.callback(bench.close)
            bench.start()
            address = bench.address
            context = replace(context, clock=bench.clock, bench_ports=bench.ports)
        camera: Camera = import_driver("camera", rig.camera.driver)(rig.camera, context)
        closing.callback(camera.close)
        axis: FocusAxis = import_driver("axis", rig.axis.driver)(
            rig.axis, replace(context, camera=camera)
        )
        closing.callback(axis.close)
        if isinstance(camera, RailTriggeredCamera):
            camera.use_shutter(axis)
        stage: Stage | None = None
        if rig.stage is not None:
            stage = import_driver("stage", rig.stage.driver)(rig.stage, context)
            closing.callback(stage.close)
        yield Instrument(context.clock, camera, axis, address, stage)
