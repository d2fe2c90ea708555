"""Checks an instrument before it is used: versions, home, limits and one test frame."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from macrorail.config.rig import Rig
from macrorail.devices.connect import Instrument, connect
from macrorail.devices.frame_settings import FrameSettings, same_size, size_differs
from macrorail.devices.interfaces import AxisReport, CameraReport
from macrorail.errors import FrameError, FrameSizeDiffers, StackError
from macrorail.frame import Frame, verify_frame
from macrorail.quantity import format_length, format_size
from macrorail.session.axis import Permit
from macrorail.session.observer import RunObserver
from macrorail.session.signals import stopped_by_signals
from macrorail.stacking.images import picture_size, read_picture


@dataclass(frozen=True)
class CheckReport:
    """The report on an instrument that passed its check.

    Attributes
    ----------
    axis, camera
        Reports of the axis and the camera.
    stage
        Model and version of the stage; ``None`` for a rig without a motorised stage.
    home_um
        Position of the axis after homing, micrometres.
    frame_name, frame_bytes
        Name and size of the test frame, which was deleted.
    travel_um
        Lowest and highest position that the rig allows, micrometres.
    """

    axis: AxisReport
    camera: CameraReport
    stage: str | None
    home_um: float
    frame_name: str
    frame_bytes: int
    travel_um: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values, for ``macrorail check --json``."""
        axis, camera = self.axis, self.camera
        return {
            "axis": {
                "model": axis.model,
                "version": axis.version,
                "resolution_um": axis.resolution_um,
                "estimated": axis.estimated,
                "home_um": self.home_um,
            },
            "stage": self.stage,
            "camera": {
                "model": camera.model,
                "version": camera.version,
                "serial": camera.serial,
                "battery_percent": camera.battery_percent,
                "abilities": sorted(camera.abilities),
                "warnings": list(camera.warnings),
            },
            "frame": {"name": self.frame_name, "size_bytes": self.frame_bytes},
            "travel_um": list(self.travel_um),
        }


def check_instrument(rig: Rig, permit: Permit, observer: RunObserver) -> CheckReport:
    """Connect the rig, read versions, home the axis, take one test frame, and return a report.

    Parameters
    ----------
    rig
        The instrument.
    permit
        Called before anything moves.
    observer
        Receives a line of text for each device.

    Raises
    ------
    DeviceError, FrameError
        The instrument is not fit to run.
    """
    _, high_um = rig.axis.allowed_um
    stage = "" if rig.stage is None else "then the stage, "
    what = (
        f"This homes the axis, away from the specimen, {stage}and takes one picture. The axis "
        f"never goes beyond {format_length(high_um)}."
    )
    with connect(rig) as instrument, stopped_by_signals(instrument.clock):
        return _check(instrument, rig, what, permit, observer)


def _check(
    instrument: Instrument, rig: Rig, what: str, permit: Permit, observer: RunObserver
) -> CheckReport:
    axis = instrument.axis.open()
    low_um, high_um = axis.travel_um
    positions = "estimated" if axis.estimated else "proven by the device"
    observer.message(
        f"axis    {axis.model}, {axis.version}; {format_length(low_um)} to "
        f"{format_length(high_um)} in steps of {format_length(axis.resolution_um)}, positions "
        f"{positions}"
    )
    camera = instrument.camera.open()
    battery = "" if camera.battery_percent is None else f", battery {camera.battery_percent} %"
    observer.message(f"camera  {camera.model} {camera.version}, serial {camera.serial}{battery}")
    for warning in camera.warnings:
        observer.message(f"        {warning}", "warning")
    stage = None if instrument.stage is None else instrument.stage.open()
    if stage is not None:
        observer.message(f"stage   {stage}")
    permit(what)
    home_um = instrument.axis.home()
    observer.message(f"home    found at {format_length(home_um)}")
    if instrument.stage is not None:
        # The stage is homed after the focus axis, which is now out of the stage's way.
        instrument.stage.home()
        observer.message("stage   home found on all its axes")
    with tempfile.TemporaryDirectory(prefix="macrorail-check-") as folder:
        frame = instrument.camera.collect(instrument.camera.expose(Path(folder) / "test"))
        verify_frame(frame)
        _check_picture(frame, rig)
    observer.message(f"frame   {frame.camera_name}, {format_size(frame.size_bytes)}, complete")
    return CheckReport(
        axis, camera, stage, home_um, frame.camera_name, frame.size_bytes, rig.axis.allowed_um
    )


def _check_picture(frame: Frame, rig: Rig) -> None:
    """Check that the test frame can be stacked and has the size in pixels that the rig gives.

    Raises
    ------
    FrameError
        The frame cannot be stacked.
    FrameSizeDiffers
        The frame's size in pixels differs from the size in the rig file, so the scale bar and
        lengths in micrometres would be wrong.
    """
    try:
        read_picture(frame.path)
        width_px, height_px, _ = picture_size(frame.path)
    except StackError as error:
        reason = str(error).replace(str(frame.path), frame.camera_name)
        raise FrameError(
            f"the camera's frames cannot be stacked: {reason}. Or set the camera to JPEG or RAW"
        ) from error
    said = FrameSettings({}, (width_px, height_px))
    wanted_px = rig.camera.image_width, rig.camera.image_height
    if not same_size(said.size_px, wanted_px):
        raise FrameSizeDiffers(size_differs(frame.camera_name, said, wanted_px))
