"""A camera driver for a simulated body in the same process, without PTP and libgphoto2.

This driver uses the same body model and error classes as the real driver with the PTP/IP simulator,
but waits only in world time. With virtual time, thousands of runs take minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TypeVar

from pydantic import Field

from macrorail.config.rig import CameraSection
from macrorail.devices.frame_settings import quantity
from macrorail.devices.gphoto.settings import as_in_protocol, choose, exceeds, widgets_of
from macrorail.devices.interfaces import CameraReport, Context, Exposure
from macrorail.devices.stale_frame import StaleFrameCheck
from macrorail.errors import (
    AutofocusFailed,
    BatteryExhausted,
    CameraBusy,
    CameraError,
    CameraSettingRefused,
    CameraStorageFull,
    CameraUnsupported,
    ConnectError,
    DeviceLost,
    FocusLimit,
    FrameMissing,
    MacrorailError,
    NotInLiveView,
    OperatorStop,
)
from macrorail.frame import Frame, store_frame
from macrorail.quantity import Duration
from macrorail_sims.bodies.base import BodyEventKind, BodyExposure, CameraBody, StoredFile
from macrorail_sims.bodies.faults import Action, Fault, Reason, Refusal

_BULB = "bulb"
_CARD, _MEMORY = "Memory card", "Internal RAM"
_LIBRARY_TIMEOUT_S = 2.5
_BUSY_RETRIES = 5
_BACK_OFF_S = 0.2

Answer = TypeVar("Answer")

_REFUSED: dict[Reason, tuple[type[CameraError], str]] = {
    Reason.BUSY: (CameraBusy, "drain the camera and wait a moment"),
    Reason.STORE_FULL: (CameraStorageFull, "the card is full; empty or replace the card"),
    Reason.NOT_LIVE_VIEW: (NotInLiveView, "switch live view on before driving the lens"),
    Reason.LIVE_VIEW_PROHIBITED: (CameraError, "live view cannot start"),
    Reason.END_STOP: (FocusLimit, "the lens is at its end stop; home the axis"),
    Reason.STEP_TOO_SMALL: (CameraError, "drive the lens by more steps at once"),
    Reason.OUT_OF_FOCUS: (AutofocusFailed, "set lens and body to manual focus"),
    Reason.VALUE_NOT_OFFERED: (CameraSettingRefused, "check the setting's value"),
    Reason.NO_SUCH_FILE: (FrameMissing, "drain the camera before the next exposure"),
    Reason.GENERAL: (CameraError, "drain the camera before the next exposure"),
}


@dataclass
class _PendingFrame:
    """An exposure whose frame is pending, with its announced files and its frames on disk."""

    shot: BodyExposure
    announced: list[StoredFile] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)


class InProcessCamera:
    """A simulated body as a :class:`macrorail.devices.interfaces.Camera`.

    Parameters
    ----------
    options
        The rig's camera section; its ``port`` is ``bench``.
    context
        Clock and bench ports; the bench port ``camera`` is a
        :class:`macrorail_sims.bodies.base.CameraBody`.
    """

    class Options(CameraSection):
        """Camera section of a simulated camera in the same process, in virtual time, for tests.

        Attributes
        ----------
        frame_timeout_s
            Time after the end of an exposure until its frame counts as lost.
        """

        frame_timeout_s: Duration = Field(alias="frame_timeout", default=30.0, gt=0)

    def __init__(self, options: Options, context: Context) -> None:
        self._options = options
        self._context = context
        self._clock = context.clock
        self._opened: CameraBody | None = None
        self._target = _CARD
        self._bulb_s: float | None = None
        self._exposures = 0
        self._flash_ready_s = 0.0
        self._pending_frame: _PendingFrame | None = None
        self._known: set[int] | None = None
        self._left_behind: list[str] = []
        # An exposure whose frame may be on the card since the connection was lost, and the files
        # that have appeared there since.
        self._owed: _PendingFrame | None = None
        self._owed_handles: list[int] = []
        self._stale_check = StaleFrameCheck()

    def open(self) -> CameraReport:
        """See :class:`Camera`."""
        body = self._context.resolve_port(self._options.port, "camera")
        if not isinstance(body, CameraBody):
            raise ConnectError(
                f"'{body}' is not a simulated body; this driver needs a bench in the same process"
            )
        self._check_ready(body)
        self._opened = body
        self._target = _CARD
        if self._owed is None:
            self._stale_check = StaleFrameCheck()
        self._compare_card(body)
        abilities = {"bulb", "capture", "live_view", "trigger"}
        if body.lens is not None:
            abilities.add("focus_drive")
        return CameraReport(
            model=body.model,
            version=body.version,
            serial=body.serial,
            battery_percent=body.battery_percent,
            abilities=frozenset(abilities),
            settings={
                name: setting.label
                for name, setting in body.settings.items()
                if setting.label is not None
            },
        )

    def configure(self, settings: Mapping[str, str]) -> dict[str, str]:
        """See :class:`Camera`."""
        return {name: self._set(name, value) for name, value in settings.items()}

    def expose(self, stem: Path) -> Exposure:
        """See :class:`Camera`."""
        body = self._body()
        if self._pending_frame is not None:
            raise FrameMissing(
                f"the frame of exposure {self._exposures} has not been collected; collect the "
                f"frame or drain the camera first"
            )
        self._clock.sleep(max(0.0, self._flash_ready_s - self._clock.now()))
        self._check_ready(body)
        self._give_up_owed()
        body.take_notices()
        fault = self._apply_fault("release")
        started_s = self._clock.now()
        shot = self._call(lambda: self._release(body, fault), "release")
        self._exposures += 1
        self._pending_frame = _PendingFrame(shot)
        self._sleep_until(shot.light.end_s)
        ended_s = self._clock.now()
        self._flash_ready_s = ended_s + self._options.flash_recycle_s
        return Exposure(stem, self._exposures, started_s, ended_s)

    def _release(self, body: CameraBody, fault: Fault | None) -> BodyExposure:
        if not body.is_bulb:
            return body.release(self._target == _CARD, fault)
        if self._bulb_s is None:
            raise CameraSettingRefused("the camera is set to bulb; set a shutter time")
        body.open_bulb(self._clock.now(), self._target == _CARD)
        try:
            self._clock.sleep(self._bulb_s)
        except MacrorailError:
            body.close_bulb(self._clock.now(), fault)
            raise
        return body.close_bulb(self._clock.now(), fault)

    def collect(self, exposure: Exposure) -> Frame:
        """See :class:`Camera`."""
        pending = self._pending_frame
        if pending is None and self._owed is not None and exposure.number == self._exposures:
            pending = self._owed_frame(self._owed)
        if pending is None or exposure.number != self._exposures:
            raise FrameMissing(
                f"exposure {exposure.number} has no pending frame; drain the camera and repeat the "
                f"exposure"
            )
        try:
            if not pending.announced:
                self._await_announcements(pending)
            for file in pending.announced[len(pending.frames) :]:
                pending.frames.append(self._fetch(file, exposure.stem))
        except OperatorStop:
            raise  # the frame is still pending and can be collected later
        except MacrorailError as error:
            self._pending_frame = None
            self._owed = pending if isinstance(error, DeviceLost) else None
            raise
        self._pending_frame = self._owed = None
        self._owed_handles = []
        jpegs = (frame for frame in pending.frames if frame.path.suffix == ".jpg")
        frame = next(jpegs, pending.frames[0])
        self._stale_check.check(frame, exposure)
        return frame

    def _owed_frame(self, owed: _PendingFrame) -> _PendingFrame:
        """Return an exposure during which the connection was lost, with its files from the card."""
        files = [self._body().file(handle) for handle in self._owed_handles]
        if len(files) != len(owed.shot.formats):
            self._give_up_owed()
            raise FrameMissing(
                f"the card has {len(files)} new file(s), but the exposure produces "
                f"{len(owed.shot.formats)}; its slice is shot again"
            )
        return _PendingFrame(owed.shot, files)

    def _give_up_owed(self) -> None:
        self._left_behind += [self._body().file(handle).name for handle in self._owed_handles]
        self._owed, self._owed_handles = None, []

    def drain(self) -> list[str]:
        """See :class:`Camera`."""
        body = self._body()
        self._pending_frame = None
        for shot in list(body.under_way):
            self._finish(shot)
        names, self._left_behind = self._left_behind, []
        added = [
            each.handle for each in body.take_notices() if each.kind is BodyEventKind.FILE_ADDED
        ]
        for handle in added:
            if handle in self._owed_handles:
                continue
            file = body.file(handle)
            names.append(file.name)
            if not file.on_card:
                body.delete(handle)
        return list(dict.fromkeys(names))

    #: 0: the lens can be driven by any number of motor steps at once.
    drive_sizes = 0

    def drive_focus(self, steps: int, size: int = 1) -> None:
        """Drive the lens by ``steps`` motor steps, towards far if positive, and wait for the end.

        Raises
        ------
        FocusLimit
            The lens reached its end stop.
        """
        body = self._body()
        if body.lens is None:
            raise CameraUnsupported("this camera cannot drive its lens; use another focus axis")
        if size != 1:
            raise CameraUnsupported(f"this camera has no drives of size {size}; calibrate the lens")
        if steps == 0:
            raise CameraSettingRefused("a focus drive of zero steps was requested; do not drive")
        if not body.live_view:
            self._retry_while_busy("live_view", lambda: body.set_live_view(True))
            self._clock.sleep(body.busy_s)
        self._retry_while_busy("drive", lambda: body.drive_focus(steps))
        self._clock.sleep(body.busy_s)
        stopped = body.drive_end()
        if stopped is not None:
            raise _refused(stopped, f"driving the lens by {steps} steps")

    def preview(self, path: Path) -> None:
        """Write the current live-view frame as a JPEG."""
        body = self._body()
        if not body.live_view:
            self._retry_while_busy("live_view", lambda: body.set_live_view(True))
            self._clock.sleep(body.busy_s)
        path.write_bytes(self._call(body.live_view_frame, "preview"))

    def end_live_view(self) -> None:
        """See :class:`macrorail.devices.interfaces.LiveView`."""
        body = self._body()
        if body.live_view:
            self._retry_while_busy("live_view", lambda: body.set_live_view(False))

    def choices(self) -> dict[str, list[str]]:
        """See :class:`macrorail.devices.interfaces.OffersChoices`."""
        settings = self._body().settings
        return {
            name: as_in_protocol(name, list(settings[name].choices))
            for name in ("aperture", "shutter", "iso")
        }

    def close(self) -> None:
        """See :class:`Camera`; an exposure in progress continues in the body."""
        body, self._opened = self._opened, None
        self._pending_frame = None
        if body is None:
            return
        with suppress(Refusal):  # a body that is exposing keeps its live view
            body.set_live_view(False)

    def _check_ready(self, body: CameraBody) -> None:
        if body.battery_percent < 100 * self._options.battery_floor:
            raise BatteryExhausted(
                f"the camera's battery is at {body.battery_percent} %; charge or replace it"
            )
        if body.autofocus or not body.manual_exposure:
            raise CameraSettingRefused(
                "the camera is not ready to shoot: set it to manual focus and manual exposure"
            )

    def _body(self) -> CameraBody:
        if self._opened is None:
            raise ConnectError("the camera is not open; open it first")
        return self._opened

    def _compare_card(self, body: CameraBody) -> None:
        """Compare the card with its first contents; record new files, which were never fetched."""
        on_card = {file.handle: file.name for file in body.files.values() if file.on_card}
        if self._known is not None:
            new = [handle for handle in on_card if handle not in self._known]
            if self._owed is None:
                self._left_behind += [on_card[handle] for handle in new]
            else:
                self._owed_handles += new
            self._known |= set(on_card)
        else:
            self._known = set(on_card)

    # Time and faults.

    def _finish(self, shot: BodyExposure) -> None:
        """Finish an exposure and wait for its frame, at most for the time ``frame_timeout``."""
        body = self._body()
        self._sleep_until(shot.light.end_s)
        if shot in body.under_way:
            body.develop(shot)
        lost_at_s = shot.light.end_s + self._options.frame_timeout_s
        self._sleep_until(min(shot.ready_s, lost_at_s) if shot.announced else lost_at_s)

    def _await_announcements(self, pending: _PendingFrame) -> None:
        self._finish(pending.shot)
        body = self._body()
        for notice in body.take_notices():
            if notice.kind is BodyEventKind.FILE_ADDED:
                pending.announced.append(body.file(notice.handle))
        missing = len(pending.shot.formats) - len(pending.announced)
        if missing:
            raise FrameMissing(
                f"exposure {self._exposures}: {missing} of {len(pending.shot.formats)} files did "
                f"not arrive within {self._options.frame_timeout_s:g} s; drain the camera before "
                f"the next exposure"
            )

    def _sleep_until(self, world_s: float) -> None:
        self._clock.sleep(max(0.0, world_s - self._clock.now()))

    def _fetch(self, file: StoredFile, stem: Path) -> Frame:
        body = self._body()
        self._apply_fault("read")
        self._clock.sleep(body.transfer_s(len(file.data)))
        path = stem.with_name(stem.name + PurePath(file.name).suffix.lower())
        frame = store_frame(path, file.data, file.name)
        try:
            self._apply_fault("delete")
        except CameraError:
            return frame  # the frame is on disk; its copy on the card only takes up space
        body.delete(file.handle)
        return frame

    def _set(self, name: str, value: str) -> str:
        body = self._body()
        widgets_of(name)
        if name == "capture_target":
            self._target = choose(name, value, (_CARD, _MEMORY))
            return self._target
        setting = body.settings[name]
        if name == "shutter":
            self._bulb_s = None
            if exceeds(value, list(setting.choices)):
                value, self._bulb_s = _BULB, quantity(value)
        chosen = choose(name, value, list(setting.choices))
        self._retry_while_busy("set", lambda: body.set(name, setting.choices[chosen]))
        kept = setting.label
        if kept != chosen:
            raise CameraSettingRefused(f"{name} was set to '{chosen}' but the camera kept '{kept}'")
        return chosen

    def _retry_while_busy(self, operation: str, act: Callable[[], None]) -> None:
        """Call ``act``; while the body is busy, wait and repeat the call."""
        for _ in range(_BUSY_RETRIES):
            try:
                self._apply_fault(operation)
                return self._call(act, operation)
            except CameraBusy:
                self._clock.sleep(_BACK_OFF_S)
        self._apply_fault(operation)
        return self._call(act, operation)

    def _call(self, act: Callable[[], Answer], operation: str) -> Answer:
        try:
            return act()
        except Refusal as refusal:
            raise _refused(refusal.reason, operation) from refusal

    def _apply_fault(self, operation: str) -> Fault | None:
        """Apply the scripted fault for this operation, if there is one."""
        fault = self._body().faults.take(operation)
        if fault is None:
            return None
        if fault.action is Action.REFUSE:
            raise _refused(fault.reason, operation)
        waits_s = {Action.STALL: fault.delay_s, Action.SWALLOW: _LIBRARY_TIMEOUT_S}
        self._clock.sleep(min(waits_s.get(fault.action, 0.0), _LIBRARY_TIMEOUT_S))
        stalled = fault.action is Action.STALL and fault.delay_s > _LIBRARY_TIMEOUT_S
        if stalled or fault.action in (Action.DROP, Action.SWALLOW):
            self._opened = None
            raise DeviceLost(
                f"{operation}: the connection to the camera is lost; check cable and power, then "
                f"open the camera again"
            )
        return fault


def _refused(reason: Reason, operation: str) -> CameraError:
    error, advice = _REFUSED[reason]
    return error(f"{operation}: the camera refuses; {advice}")
