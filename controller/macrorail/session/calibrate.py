"""Measures properties of the instrument: the lens, the settling time, the backlash."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from macrorail.calibration.lens import LensCalibration, LensMeasurement
from macrorail.calibration.ruling import SharpestColumn, find_sharpest_column
from macrorail.calibration.settle import LONG_S, WAITS_S, SettleCalibration, SettleMeasurement
from macrorail.clock import Clock
from macrorail.config.rig import Rig
from macrorail.devices.connect import connect
from macrorail.devices.interfaces import Camera, CameraReport, LiveView
from macrorail.devices.lens import FocusDrive
from macrorail.errors import CameraUnsupported, ConfigError
from macrorail.proof.measure import Measurement, measure
from macrorail.quantity import format_length
from macrorail.session.axis import (
    Permit,
    at_rest_after_errors,
    opened_axis,
    reach_of,
    serial_rail,
)
from macrorail.session.observer import RunObserver
from macrorail.session.signals import stopped_by_signals
from macrorail.stacking.images import read_picture

#: Motor steps between two pictures, and largest number of motor steps in one drive. The first pair
#: is for cameras that drive any number of steps. The second pair is for cameras with fixed sizes of
#: drive, in units of the smallest size.
_EVERY_STEPS, _AT_ONCE_STEPS = 200, 500
_EVERY_DRIVES, _AT_ONCE_DRIVES = 30, 60
#: Time within which a lens motor comes to rest; cameras with fixed sizes of drive do not report
#: when the motor is at rest.
_REST_S = 0.3
#: Factor by which the overshoot exceeds the measured backlash. Too long an overshoot only takes
#: more time; too short an overshoot makes positions wrong.
_MARGIN = 1.5


@dataclass(frozen=True)
class LensTarget:
    """The target for measuring a lens, and settings of the measurement.

    Attributes
    ----------
    pitch_um
        Distance between neighbouring lines on the target, micrometres.
    tilt_deg
        Angle between the target and the plane in focus, between 0 and 90 degrees.
    every
        Motor steps between two pictures. When not given: 200, or 30 of the camera's smallest
        drives.
    last
        Motor step at which the measurement ends. When not given, the measurement ends where the
        target, the picture or the lens's travel ends.
    largest_drive
        Largest number of motor steps in one drive. When not given: 500, or 60 of the camera's
        smallest drives.
    live_view
        Measure in live view, which saves shutter actuations.
    """

    pitch_um: float
    tilt_deg: float
    every: int | None = None
    last: int | None = None
    largest_drive: int | None = None
    live_view: bool = False


@dataclass(frozen=True)
class LensFindings:
    """The results of measuring a lens.

    Attributes
    ----------
    measured
        Measured planes of focus, focus breathing and play of the lens.
    camera
        The camera that drove the lens.
    largest_drive
        Largest number of motor steps in one drive.
    """

    measured: LensMeasurement
    camera: CameraReport
    largest_drive: int


def calibrate_lens(
    rig: Rig,
    target: LensTarget,
    settings: Mapping[str, str],
    permit: Permit,
    observer: RunObserver,
) -> LensFindings:
    """Measure a lens's planes of focus, focus breathing and play in front of a tilted target.

    Parameters
    ----------
    rig
        The instrument.
    target
        The target and the settings of the measurement.
    settings
        Camera settings by canonical name.
    permit
        Called before the lens moves.
    observer
        Receives the progress, and at the end the results as text.

    Raises
    ------
    ConfigError
        The tilt is not between 0 and 90 degrees.
    CameraUnsupported
        The camera cannot drive a lens, or has no live view.
    PlanError, DeviceError
    """
    if not 0 < target.tilt_deg < 90:
        raise ConfigError(f"--tilt must be between 0 deg and 90 deg, got {target.tilt_deg:g} deg")
    permit("This drives the lens from stop to stop and takes some hundred pictures.")
    with (
        connect(rig) as instrument,
        stopped_by_signals(instrument.clock),
        tempfile.TemporaryDirectory(prefix="macrorail-calibrate-") as folder,
    ):
        camera = instrument.camera
        report = camera.open()
        if not isinstance(camera, FocusDrive) or "focus_drive" not in report.abilities:
            raise CameraUnsupported(f"{report.model} cannot drive a lens; connect one that can")
        camera.configure(settings)
        if target.live_view and not isinstance(camera, LiveView):
            raise CameraUnsupported(f"{report.model} has no live view; omit --live-view")
        by_size = bool(camera.drive_sizes)
        largest_drive = target.largest_drive or (_AT_ONCE_DRIVES if by_size else _AT_ONCE_STEPS)
        measured = LensCalibration(
            camera,
            _find_lines(camera, target, rig, Path(folder), instrument.clock),
            target.tilt_deg,
            target.every or (_EVERY_DRIVES if by_size else _EVERY_STEPS),
            largest_drive,
            camera.drive_sizes,
            rig.camera.image_width * rig.camera.pixel_pitch_um / rig.optics.magnification,
            observer.message,
        ).measure(target.last)
    observer.message(
        f"{measured.end_reason}; {len(measured.steps)} rows to "
        f"{format_length(measured.plane_um[-1])}, repeats within "
        f"{format_length(measured.repeatability_um)}, play {measured.slack_steps:.1f} steps, "
        f"picture at the far end {measured.scale[-1]:.4f} times as large"
    )
    magnification = measured.px_per_um * rig.camera.pixel_pitch_um
    observer.message(
        f"magnification at the near stop {magnification:.4f}; the rig says "
        f"{rig.optics.magnification:g}"
    )
    return LensFindings(measured, report, largest_drive)


def _find_lines(
    camera: Camera, target: LensTarget, rig: Rig, folder: Path, clock: Clock
) -> Callable[[], SharpestColumn | None]:
    """Return a function that takes a picture and returns where the target is sharpest in it."""
    expected_px_per_um = rig.optics.magnification / rig.camera.pixel_pitch_um
    taken = 0

    def take() -> Path:
        if target.live_view:
            assert isinstance(camera, LiveView)
            path = folder / f"{taken:04d}.jpg"
            camera.preview(path)
            return path
        return camera.collect(camera.expose(folder / f"{taken:04d}")).path

    def find() -> SharpestColumn | None:
        nonlocal taken
        taken += 1
        clock.sleep(_REST_S)
        green = read_picture(take())[..., 1].astype(float)
        for path in folder.iterdir():
            path.unlink()
        # A frame of live view is smaller than a photograph.
        size = green.shape[1] / rig.camera.image_width
        return find_sharpest_column(green, target.pitch_um, expected_px_per_um * size)

    return find


def calibrate_settle(
    rig: Rig,
    at_um: float,
    move_um: float,
    repeats: int,
    settings: Mapping[str, str],
    permit: Permit,
    observer: RunObserver,
) -> SettleMeasurement:
    """Measure how long the instrument vibrates after a move, by comparing pictures.

    Parameters
    ----------
    rig
        The instrument.
    at_um
        Position at which a textured object is in focus, micrometres.
    move_um
        Distance that the axis moves before each picture, micrometres, > 0.
    repeats
        Number of pictures for each waiting time between move and picture, at least 2.
    settings
        Camera settings by canonical name.
    permit
        Called before the axis moves.
    observer
        Receives the progress.

    Raises
    ------
    ConfigError
        The move leaves the range that the rig allows.
    PlanError
        No texture is in focus at ``at_um``.
    DeviceError
    """
    low_um, high_um = rig.axis.allowed_um
    if not (low_um <= at_um - move_um and at_um <= high_um and move_um > 0):
        raise ConfigError(
            f"--at {format_length(at_um)} with moves of {format_length(move_um)} is not within "
            f"the range that the axis may use, {format_length(low_um)} to {format_length(high_um)}"
        )
    with (
        connect(rig) as instrument,
        stopped_by_signals(instrument.clock),
        tempfile.TemporaryDirectory(prefix="macrorail-settle-") as folder,
    ):
        axis, camera = instrument.axis, instrument.camera
        camera.open()
        report = axis.open()
        pictures = (len(WAITS_S) + 2) * repeats
        permit(
            f"This homes the axis, goes to {format_length(at_um)} and takes up to {pictures} "
            f"pictures. {reach_of(report)}"
        )
        camera.configure(settings)
        with at_rest_after_errors(axis):
            axis.home()
            measured = SettleCalibration(
                axis,
                instrument.clock,
                lambda: _measure_picture(camera, Path(folder)),
                at_um,
                move_um,
                repeats,
                observer.message,
            ).measure()
    if measured.settle_s == WAITS_S[-1]:
        observer.message(f"Only the longest waiting time was enough (compared with {LONG_S:g} s).")
    return measured


def _measure_picture(camera: Camera, folder: Path) -> Measurement:
    frame = camera.collect(camera.expose(folder / "look"))
    try:
        return measure(frame.path)
    finally:
        for path in folder.iterdir():
            path.unlink()


@dataclass(frozen=True)
class BacklashMeasurement:
    """The measured backlash of a rail's screw.

    Attributes
    ----------
    measured_um
        Backlash measured in each repeat, micrometres.
    overshoot_um
        Value to write as ``backlash`` in the rig file, micrometres; larger than every measured
        value.
    """

    measured_um: tuple[float, ...]
    overshoot_um: int

    @property
    def mean_um(self) -> float:
        """Mean backlash of all repeats, micrometres."""
        return mean(self.measured_um)


def calibrate_backlash(
    rig: Path,
    repeats: int,
    permit: Permit,
    observer: RunObserver,
) -> BacklashMeasurement:
    """Measure the backlash of a rail's screw with its home switch; the rail is homed at the end.

    Parameters
    ----------
    rig
        YAML file of an instrument whose rail has macrorail's own firmware.
    repeats
        Number of measurements, at least 1.
    permit
        Called before the axis moves.
    observer
        Receives the axis's model and each measurement.

    Raises
    ------
    ConfigError
        The axis is not a rail with macrorail's own firmware.
    DeviceError
    """
    with opened_axis(rig) as (axis, report):
        observer.message(f"{report.model}, {report.version}")
        rail = serial_rail(axis, "calibrate backlash")
        permit(f"This touches the rail's home switch {repeats} times. {reach_of(report)}")
        measured_um: list[float] = []
        for number in range(1, repeats + 1):
            measured_um.append(rail.measure_play())
            observer.message(f"{number}: {format_length(measured_um[-1])}")
        rail.home()
    overshoot_um = math.ceil(max(measured_um) * _MARGIN + 2 * report.resolution_um)
    return BacklashMeasurement(tuple(measured_um), overshoot_um)
