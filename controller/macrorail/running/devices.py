"""The axis and camera of a run: opens them, checks them against the plan, and restores them.

Every action on the devices is written to the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from macrorail.devices.interfaces import AxisReport, Camera, CameraReport, FocusAxis
from macrorail.errors import LimitError, MacrorailError, OtherCamera
from macrorail.planning.plan import Plan, too_fine
from macrorail.quantity import format_length
from macrorail.run_folder.events import (
    AxisHomed,
    AxisOpened,
    AxisParked,
    CameraConfigured,
    CameraDrained,
    CameraOpened,
    CameraRestored,
    Event,
    Part,
)


class Devices:
    """Axis and camera of one run.

    Parameters
    ----------
    axis, camera
        Drivers that are constructed but not yet opened.
    plan
        Plan whose slices the axis must be able to reach.
    settings
        Camera settings by canonical name.
    closest_approach_um
        Highest position allowed for this specimen, micrometres, lower than the rig's own limit;
        with ``None`` the rig's limit applies.
    log_event
        Function that writes an event to the journal.
    found_settings
        Camera settings before the run changed them, for an interrupted run; ``None`` for a new run.
    body
        Model and serial number of the camera with which an interrupted run began.

    Attributes
    ----------
    busy_with
        Device that was opened or moved last; a fault is attributed to it.
    resolution_um
        Smallest step of the axis in micrometres; 0 before the axis is opened.
    set_by_hand
        Whether the camera can only be set by hand.
    reports_exposure
        Whether the camera reports when it exposes.
    """

    def __init__(
        self,
        axis: FocusAxis,
        camera: Camera,
        plan: Plan,
        settings: Mapping[str, str],
        closest_approach_um: float | None,
        log_event: Callable[[Event], None],
        found_settings: Mapping[str, str] | None = None,
        body: tuple[str, str] | None = None,
    ) -> None:
        self.axis = axis
        self.camera = camera
        self._plan = plan
        self._settings = settings
        self._closest_approach_um = closest_approach_um
        self._log_event = log_event
        self._found = found_settings
        self._body = body
        self.set_by_hand = False
        self.reports_exposure = True
        self._parking_um: float | None = None
        self.busy_with = Part.AXIS
        self.resolution_um = 0.0

    def open(self, part: Part | None = None) -> None:
        """Open the axis, the camera, or both if ``part`` is ``None``; prepare them for the run.

        The axis is homed last: after the devices are open and the plan was checked against the
        axis's travel.

        Raises
        ------
        DeviceError
            A device cannot be opened or does not fit the plan.
        """
        if part is not Part.CAMERA:
            self._open_axis()
        if part is not Part.AXIS or self.axis.shares_camera:
            self._open_camera()
        if part is not Part.CAMERA:
            self.home()

    def home(self) -> None:
        """Home the axis, so that its position is certain."""
        self.busy_with = Part.AXIS
        self._log_event(AxisHomed(position_um=self.axis.home()))

    def configure(self) -> None:
        """Set the camera as the plan requires, and read the settings back."""
        self._log_event(CameraConfigured(settings=self.camera.configure(self._settings)))

    def drain(self) -> None:
        """Fetch all files that the camera still holds."""
        self._log_event(CameraDrained(files=self.camera.drain()))

    def release(self, park: bool) -> list[str]:
        """Stop the axis, park it if requested, restore the camera's settings, close both devices.

        If a step fails or is interrupted by a second Ctrl-C, the other steps are still done.

        Returns
        -------
        list of str
            Messages about what could not be done.
        """
        troubles: list[str] = []

        def attempt(act: Callable[[], None], times: int = 1) -> None:
            for _ in range(times):
                try:
                    act()
                    return
                except MacrorailError as error:
                    troubles.append(str(error))

        if park:
            attempt(self._park)
        attempt(self._restore)
        # A second Ctrl-C interrupts the first attempt.
        attempt(self.axis.close, times=2)
        attempt(self.camera.close, times=2)
        return troubles

    def _open_axis(self) -> None:
        self.busy_with = Part.AXIS
        self.axis.close()
        report = self.axis.open(self._closest_approach_um)
        self._log_event(
            AxisOpened(
                model=report.model,
                version=report.version,
                travel_um=list(report.travel_um),
                resolution_um=report.resolution_um,
                estimated=report.estimated,
            )
        )
        self._check_travel(report)
        self._check_resolution(report)
        self.resolution_um = report.resolution_um
        self._parking_um = report.travel_um[0]

    def _check_travel(self, report: AxisReport) -> None:
        low_um, high_um = report.travel_um
        for planned in self._plan.slices:
            if not low_um <= planned.target_um <= high_um:
                raise LimitError(
                    f"slice {planned.index} at {planned.target_um:.1f} um is outside the "
                    f"{low_um:.1f}..{high_um:.1f} um that the axis allows; nothing has moved"
                )

    def _check_resolution(self, report: AxisReport) -> None:
        """Check that no planned step is smaller than the resolution that the axis reports.

        This concerns axes whose resolution is not in the rig file. For other axes the steps were
        checked when the run was planned.
        """
        positions_um = [planned.target_um for planned in self._plan.slices]

        def resolution_um_at(position_um: float) -> float:
            known_um = self._plan.resolution_um_at(position_um)
            return report.resolution_um if known_um is None else 0.0

        found = too_fine(positions_um, resolution_um_at)
        if found is not None:
            index, step_um, resolution_um = found
            raise LimitError(
                f"slices {index + 1} and {index + 2} would be {format_length(step_um)} apart, but "
                f"the smallest step of the {report.model} is {format_length(resolution_um)}; "
                f"nothing has moved. Plan larger steps, or "
                f"{self._plan.optics.axis.finer_steps}"
            )

    def _open_camera(self) -> None:
        self.busy_with = Part.CAMERA
        self.camera.close()
        report = self.camera.open()
        self._check_body(report)
        self.set_by_hand = report.by_hand
        self.reports_exposure = report.reports_exposure
        found = {name: report.settings[name] for name in self._settings if name in report.settings}
        if self._found is None:
            self._found = found
        self._log_event(
            CameraOpened(
                model=report.model,
                version=report.version,
                serial=report.serial,
                battery_percent=report.battery_percent,
                found_settings=dict(self._found),
                warnings=list(report.warnings),
            )
        )
        self.drain()
        self.configure()

    def _check_body(self, report: CameraReport) -> None:
        """Raise ``OtherCamera`` if this is not the camera body with which the run began.

        Model and serial number are compared only as far as the body reports them.
        """
        body = report.model, report.serial
        if self._body is None:
            self._body = body
        for now, first in zip(body, self._body, strict=True):
            if "unknown" not in (now, first) and now != first:
                raise OtherCamera(
                    f"{body[0]} with the serial number {body[1]} answers, and the run began with "
                    f"{self._body[0]}, serial number {self._body[1]}; connect that body again, or "
                    f"start a new run"
                )

    def _park(self) -> None:
        """Move as far from the specimen as the axis limits allow."""
        if self._parking_um is not None:
            self.axis.start_move(self._parking_um)
            self._log_event(AxisParked(position_um=self.axis.finish_move()))

    def _restore(self) -> None:
        if self._found and dict(self._found) != dict(self._settings):
            self._log_event(CameraRestored(settings=self.camera.configure(self._found)))
