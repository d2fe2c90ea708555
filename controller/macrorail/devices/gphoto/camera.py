"""A camera driven by libgphoto2, which runs in a worker process.

Every request has a wall-time limit. If a request takes longer the worker is killed, and
:meth:`GphotoCamera.open` starts a new one. An operator's stop interrupts the wait but not the
camera; :meth:`GphotoCamera.close` waits for what the camera is doing.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field

from macrorail.config.rig import CameraSection
from macrorail.devices.frame_settings import quantity
from macrorail.devices.gphoto.preflight import Modes, refusals, warnings
from macrorail.devices.gphoto.settings import as_in_protocol
from macrorail.devices.interfaces import CameraReport, Context, Exposure
from macrorail.devices.stale_frame import StaleFrameCheck
from macrorail.errors import (
    AutofocusFailed,
    BatteryExhausted,
    CameraBusy,
    CameraSettingRefused,
    CameraStorageFull,
    CameraUnsupported,
    ConnectError,
    DeviceError,
    DeviceLost,
    DeviceTimeout,
    FrameMissing,
    MacrorailError,
    OperatorStop,
    WorkerCrashed,
)
from macrorail.frame import Frame
from macrorail.quantity import Duration, format_fraction, format_size
from macrorail.workers import Worker

_OPEN_TIMEOUT_S = 30.0
_SETTINGS_TIMEOUT_S = 20.0
_DRIVE_TIMEOUT_S = 20.0
_DRAIN_TIMEOUT_S = 15.0
_CLOSE_TIMEOUT_S = 5.0
_RELEASE_TIMEOUT_S = 15.0
_TRANSFER_TIMEOUT_S = 60.0
_ANNOUNCEMENT_S = 1.0
"""A frame that is not announced this long after its usual download time is lost."""
_HEALTH_EVERY_S = 60.0
"""How often battery and card are checked during a run (wall time); a request takes 5 ms."""
_CARD_FRAMES = 4
"""Free space required on the card, in frames. Frames on the card are deleted once they are safe on
disk, so the card needs space for a RAW and JPEG pair and for a lost pair."""
_LONGEST_EXPOSURE_S = 60.0
"""Exposure time assumed for a shutter setting that is not a number."""

_LINK_LOST = (DeviceLost, DeviceTimeout, WorkerCrashed)
"""Errors of a lost connection, after which a frame may be on the card."""
_NOT_RELEASED = (CameraBusy, CameraStorageFull, CameraUnsupported, AutofocusFailed)
"""Errors after which it is certain that the shutter has not opened."""


@dataclass
class _PendingFrame:
    """An exposure whose frame is not received yet; ``request`` is the id of the worker request."""

    exposure_number: int
    request: int
    timeout_s: float


class GphotoCamera:
    """A camera driven by libgphoto2.

    Parameters
    ----------
    options
        ``port`` is ``auto`` (the first camera on USB), ``usb:BUS,DEVICE``,
        ``ptpip:ADDRESS`` or ``bench``.
    context
        Clock, bench ports and log folder.
    """

    class Options(CameraSection):
        """Camera section of a camera that libgphoto2 drives.

        Attributes
        ----------
        frame_timeout_s
            Time after the end of an exposure after which its frame counts as lost (wall time).
        focus_mode
            ``manual`` refuses a camera that may focus automatically; ``any`` allows it.
        exposure_mode
            ``manual`` refuses a camera that may set the exposure automatically; ``any`` allows it.
        mirror
            ``delayed`` refuses a camera whose exposure delay is off.
        """

        frame_timeout_s: Duration = Field(alias="frame_timeout", default=30.0, gt=0)
        focus_mode: Literal["manual", "any"] = "manual"
        exposure_mode: Literal["manual", "any"] = "manual"
        mirror: Literal["any", "delayed"] = "any"

    def __init__(self, options: Options, context: Context) -> None:
        self._options = options
        self._context = context
        self._worker: Worker | None = None
        self._home: tempfile.TemporaryDirectory[str] | None = None
        self._settings: dict[str, str | None] = {}
        # How long the shutter is held open when the camera is set to bulb.
        self._bulb_s: float | None = None
        self._exposures = 0
        self._drive_sizes = 0
        self._refusals_certain = True
        self._pending_frame: _PendingFrame | None = None
        self._card_before: set[str] | None = None
        self._reported_names: set[str] = set()
        self._left_behind: list[str] = []
        # Number of an exposure whose frame may be on the card because the connection was lost, and
        # the files that have appeared on the card since.
        self._owed: int | None = None
        self._owed_paths: list[str] = []
        self._stale_check = StaleFrameCheck()
        self._health_checked_s = 0.0
        self._flash_ready_s = 0.0
        # Until this time (wall time) a frame that belongs to no exposure may still arrive.
        self._late_frame_until_s = 0.0

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker that uses the camera; ``None`` if there is no worker."""
        return None if self._worker is None else self._worker.pid

    def open(self) -> CameraReport:
        """Start a worker, connect, drain; see :class:`macrorail.devices.interfaces.Camera`."""
        self._discard_worker()
        if find_spec("gphoto2") is None:
            raise ConnectError("the camera driver gphoto needs gphoto2: pip install gphoto2")
        # A home folder of its own keeps the library from using the user's ~/.gphoto. In the C
        # locale its messages are English, as the error table expects.
        self._home = tempfile.TemporaryDirectory(prefix="macrorail-camera-")
        environment = {"HOME": self._home.name, "LC_ALL": "C", "LANGUAGE": "C"}
        log = self._context.log_folder
        self._worker = Worker(
            "macrorail.devices.gphoto.worker",
            "camera",
            env=environment,
            log=None if log is None else log / "camera.log",
        )
        port = str(self._context.resolve_port(self._options.port, "camera"))
        answer = self._request("open", _OPEN_TIMEOUT_S, port=port)
        self._settings, self._drive_sizes = answer["settings"], int(answer["drive_sizes"])
        self._refusals_certain = bool(answer["refusals_certain"])
        self._compare_card(answer["card"])
        if self._owed is None:
            self._stale_check = StaleFrameCheck()
        self._left_behind += self._drain()
        modes = self._check_health()
        return CameraReport(
            model=answer["model"],
            version=answer["version"],
            serial=answer["serial"],
            battery_percent=_percent(answer["battery"]),
            abilities=frozenset(answer["abilities"]),
            settings={name: text for name, text in self._settings.items() if text is not None},
            warnings=tuple(warnings(modes)),
        )

    def configure(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Set the settings and read them back; see :class:`macrorail.devices.interfaces.Camera`."""
        answer = self._request("configure", _SETTINGS_TIMEOUT_S, settings=dict(settings))
        self._settings = answer["settings"]
        if "shutter" in settings:
            self._bulb_s = quantity(settings["shutter"]) if self._is_bulb() else None
        return {name: str(self._settings[name]) for name in settings}

    def expose(self, stem: Path) -> Exposure:
        """Take one picture; see :class:`macrorail.devices.interfaces.Camera`."""
        worker = self._open_worker()
        if self._pending_frame is not None:
            raise FrameMissing(
                f"exposure {self._pending_frame.exposure_number} has not been collected; "
                f"collect it, or drain the camera first"
            )
        self._context.clock.sleep(max(0.0, self._flash_ready_s - self._context.clock.now()))
        if time.monotonic() - self._health_checked_s > _HEALTH_EVERY_S:
            self._check_health()
        if self._is_bulb() and self._bulb_s is None:
            raise CameraSettingRefused(
                "the camera is set to bulb without an exposure time; set a shutter time"
            )
        self._give_up_owed()
        self._exposures += 1
        number, exposure_s = self._exposures, self._exposure_s()
        # Long-exposure noise reduction takes as long as the exposure before the frame is ready.
        frame_timeout_s = self._options.frame_timeout_s + exposure_s
        started_s = self._context.clock.now()
        if self._bulb_s is None:
            release = worker.send("expose", number=number, timeout_s=frame_timeout_s)
        else:
            self._hold_open(self._bulb_s)
            release = worker.send("close_shutter", number=number, timeout_s=frame_timeout_s)
        collect = worker.send("collect", number=number, stem=str(stem), timeout_s=frame_timeout_s)
        timeout_s = _RELEASE_TIMEOUT_S + frame_timeout_s + _TRANSFER_TIMEOUT_S
        due_s = exposure_s + self._options.download_s + _ANNOUNCEMENT_S
        self._late_frame_until_s = time.monotonic() + due_s
        self._pending_frame = _PendingFrame(number, collect, timeout_s)
        try:
            self._receive(release, _RELEASE_TIMEOUT_S + exposure_s + frame_timeout_s)
        except DeviceError as refused:
            # If the shutter was not released, the worker answers the collect request at once.
            if worker.alive:
                _receive_or_none(worker, collect, _RELEASE_TIMEOUT_S)
            self._pending_frame = None
            if self._refusals_certain and isinstance(refused, _NOT_RELEASED):
                self._late_frame_until_s = 0.0
            raise
        # Wait here if the body reported the end of its exposure too early.
        over_s = started_s + self._options.shutter_lag_s + exposure_s
        self._context.clock.sleep(max(0.0, over_s - self._context.clock.now()))
        ended_s = self._context.clock.now()
        self._flash_ready_s = ended_s + self._options.flash_recycle_s
        return Exposure(stem, number, started_s, ended_s)

    def collect(self, exposure: Exposure) -> Frame:
        """Wait for the frame; see :class:`macrorail.devices.interfaces.Camera`."""
        pending = self._pending_frame
        if self._owed == exposure.number:
            return self._fetch_owed(exposure)
        if pending is None or pending.exposure_number != exposure.number:
            raise FrameMissing(
                f"exposure {exposure.number} has no pending frame; drain the camera and repeat it"
            )
        try:
            answer = self._receive(pending.request, pending.timeout_s)
        except OperatorStop:
            raise  # the frame is still pending and can be collected later
        except MacrorailError as error:
            self._pending_frame = None
            if isinstance(error, _LINK_LOST):
                self._owed, self._owed_paths = exposure.number, []
            raise
        self._pending_frame = None
        return self._received(answer, exposure)

    def _fetch_owed(self, exposure: Exposure) -> Frame:
        """Fetch the frame of an exposure from the card, after a lost connection."""
        paths = self._owed_paths
        try:
            timeout_s = _TRANSFER_TIMEOUT_S
            answer = self._request("fetch", timeout_s, paths=paths, stem=str(exposure.stem))
        except _LINK_LOST:
            raise  # the frame may still be fetched after the camera is opened again
        except MacrorailError:
            self._give_up_owed()
            raise
        self._owed, self._owed_paths = None, []
        return self._received(answer, exposure)

    def _give_up_owed(self) -> None:
        """Give up a frame that may be on the card, and report its files as left behind."""
        self._left_behind += [PurePosixPath(path).name for path in self._owed_paths]
        self._owed, self._owed_paths = None, []

    def _received(self, answer: Mapping[str, Any], exposure: Exposure) -> Frame:
        self._late_frame_until_s = 0.0
        frames = [_frame(file) for file in answer["files"]]
        self._reported_names.update(frame.camera_name for frame in frames)
        # Of a RAW and JPEG pair the JPEG is used, because all later steps can read it.
        frame = next((f for f in frames if f.path.suffix in (".jpg", ".jpeg")), frames[0])
        self._stale_check.check(frame, exposure)
        return frame

    def drain(self) -> list[str]:
        """Receive pending files; see :class:`macrorail.devices.interfaces.Camera`."""
        names = self._left_behind + self._drain()
        self._left_behind = []
        return names

    @property
    def drive_sizes(self) -> int:
        """Number of drive sizes of the opened body; 0 if it accepts any number of steps at once."""
        return self._drive_sizes

    def drive_focus(self, steps: int, size: int = 1) -> None:
        """Drive the lens by ``steps`` motor steps, towards far if positive; wait for the motor.

        If the body has drive sizes, make ``steps`` drives of one ``size`` (1 is the smallest). Live
        view is switched on if the body needs it.

        Raises
        ------
        FocusLimit
            The lens reached its end stop.
        CameraUnsupported, CameraBusy, CameraError, DeviceLost, DeviceTimeout, WorkerCrashed
        """
        self._request("drive_focus", _DRIVE_TIMEOUT_S, steps=steps, size=size)

    def preview(self, path: Path) -> None:
        """Write the current live-view frame as a JPEG; switch live view on if it is off.

        Raises
        ------
        CameraUnsupported, CameraBusy, CameraError, DeviceLost, DeviceTimeout, WorkerCrashed
        """
        self._request("preview", _DRIVE_TIMEOUT_S, path=str(path))

    def end_live_view(self) -> None:
        """Switch live view off, if it is on; see :class:`macrorail.devices.interfaces.LiveView`."""
        self._request("end_live_view", _DRIVE_TIMEOUT_S)

    def choices(self) -> dict[str, list[str]]:
        """Return offered values; see :class:`macrorail.devices.interfaces.OffersChoices`."""
        offered: dict[str, list[str]] = self._request("choices", _SETTINGS_TIMEOUT_S)["choices"]
        return {name: as_in_protocol(name, texts) for name, texts in offered.items()}

    def close(self) -> None:
        """Switch live view off and close; see :class:`macrorail.devices.interfaces.Camera`.

        A pending frame is received first, so it is either completely on disk or not at all.
        """
        worker, pending = self._worker, self._pending_frame
        try:
            if worker is not None and worker.alive:
                # The answer may be an error; the camera is closed anyway.
                if pending is not None and _receive_or_none(
                    worker, pending.request, pending.timeout_s
                ):
                    self._late_frame_until_s = 0.0
                _receive_or_none(worker, worker.send("close"), _CLOSE_TIMEOUT_S)
        finally:
            self._pending_frame = None
            self._discard_worker()

    def _drain(self) -> list[str]:
        """Receive files, and wait for a frame still in transfer; return the names of the files."""
        pending = self._pending_frame
        worker = self._open_worker()
        names: list[str] = []
        if pending is not None:
            self._pending_frame = None
            answer = _receive_or_none(worker, pending.request, pending.timeout_s)
            names += [file["path"] for file in (answer or {}).get("files", [])]
        wait_s = max(0.0, self._late_frame_until_s - time.monotonic())
        if names or self._left_behind:
            wait_s = 0.0
        answer = self._request("drain", _DRAIN_TIMEOUT_S + wait_s, wait_s=wait_s)
        self._late_frame_until_s = 0.0
        return names + self._new_names(answer["files"])

    def _compare_card(self, card: list[str]) -> None:
        """Compare the card's files with those seen before, to find frames that were not fetched."""
        if self._card_before is None:
            self._card_before = set(card)
            return
        new = sorted(set(card) - self._card_before)
        if self._owed is None:
            self._left_behind += self._new_names(PurePosixPath(path).name for path in new)
        else:
            names = self._new_names(PurePosixPath(path).name for path in new)
            self._owed_paths += [path for path in new if PurePosixPath(path).name in names]
        self._card_before.update(new)

    def _new_names(self, names: Iterable[str]) -> list[str]:
        """Return the names that were neither collected nor reported yet."""
        news = [name for name in dict.fromkeys(names) if name not in self._reported_names]
        self._reported_names.update(news)
        return news

    def _check_health(self) -> dict[str, str]:
        """Check battery, free space on the card, and that focus and exposure are manual.

        Returns the modes of the camera.

        Raises
        ------
        BatteryExhausted, CameraStorageFull, CameraSettingRefused
        """
        health = self._request("health", _SETTINGS_TIMEOUT_S)
        self._health_checked_s = time.monotonic()
        reported, floor = health["battery"], self._options.battery_floor
        percent = _percent(reported)
        if (percent is not None and percent < 100 * floor) or (reported or "").lower() == "low":
            raise BatteryExhausted(
                f"the camera's battery is at {reported}, and the rig requires at least "
                f"{format_fraction(floor)} (battery_floor); charge or replace it, or use a mains "
                f"adapter"
            )
        free_kb, wanted_bytes = health["free_kb"], _CARD_FRAMES * self._options.frame_size_bytes
        # A body without this setting always saves to its card.
        on_card = "card" in (self._settings.get("capture_target") or "card").lower()
        if on_card and free_kb is not None and free_kb * 1024 < wanted_bytes:
            raise CameraStorageFull(
                f"the camera's card has {format_size(free_kb * 1024)} left, less than "
                f"{_CARD_FRAMES} frames ({format_size(wanted_bytes)}); empty or replace it"
            )
        modes: dict[str, str] = health["modes"]
        options = self._options
        wanted = Modes(
            manual_focus=options.focus_mode == "manual",
            manual_exposure=options.exposure_mode == "manual",
            mirror_delayed=options.mirror == "delayed",
            lag_known=options.shutter_lag_s > 0,
        )
        if reasons := refusals(modes, wanted):
            raise CameraSettingRefused(f"the camera is not ready to shoot: {'; '.join(reasons)}")
        return modes

    def _hold_open(self, duration_s: float) -> None:
        """Open the shutter and wait; close the shutter only if the wait is interrupted."""
        worker = self._open_worker()
        # A stop does not interrupt this request, or the shutter's state would not be known.
        worker.request("open_shutter", _RELEASE_TIMEOUT_S)
        self._late_frame_until_s = time.monotonic() + self._options.download_s + _ANNOUNCEMENT_S
        try:
            self._context.clock.sleep(duration_s)
        except MacrorailError:
            timeout_s = self._options.frame_timeout_s
            request = worker.send("close_shutter", number=self._exposures, timeout_s=timeout_s)
            _receive_or_none(worker, request, _RELEASE_TIMEOUT_S + timeout_s)
            raise

    def _is_bulb(self) -> bool:
        return (self._settings.get("shutter") or "").lower() == "bulb"

    def _exposure_s(self) -> float:
        if self._bulb_s is not None:
            return self._bulb_s
        text = self._settings.get("shutter")
        seconds = quantity(text) if text else None
        return _LONGEST_EXPOSURE_S if seconds is None else seconds

    def _open_worker(self) -> Worker:
        if self._worker is None or not self._worker.alive:
            raise ConnectError("the camera is not open (or its worker has ended); open it first")
        return self._worker

    def _request(self, verb: str, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        return self._receive(self._open_worker().send(verb, **arguments), timeout_s)

    def _receive(self, request: int, timeout_s: float) -> dict[str, Any]:
        worker = self._worker
        if worker is None:
            raise ConnectError("the camera is not open; open it first")
        return worker.receive(request, timeout_s, self._context.clock.check)

    def _discard_worker(self) -> None:
        if self._worker is not None:
            self._worker.close(_CLOSE_TIMEOUT_S)
            self._worker = None
        if self._home is not None:
            self._home.cleanup()
            self._home = None


def _receive_or_none(worker: Worker, request: int, timeout_s: float) -> dict[str, Any] | None:
    """Return the worker's answer to a request, or ``None`` if the request failed."""
    try:
        return worker.receive(request, timeout_s)
    except MacrorailError:
        return None


def _frame(file: Mapping[str, Any]) -> Frame:
    return Frame(Path(file["path"]), file["sha256"], file["size_bytes"], file["camera_name"])


def _percent(text: str | None) -> int | None:
    match = re.match(r"(\d+)\s*%", text or "")
    return int(match.group(1)) if match else None
