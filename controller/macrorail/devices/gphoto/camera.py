"""A camera driven through libgphoto2, which lives in a worker process of its own.

Every request has a wall-time limit; past it the worker is killed and :meth:`GphotoCamera.open`
starts a new one. Waiting lets an operator's stop through: what was asked of the camera goes on,
and :meth:`GphotoCamera.close` brings it to its end.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field

from macrorail.config.rig import CameraSection
from macrorail.devices.gphoto.preflight import Modes, refusals, warnings
from macrorail.devices.gphoto.settings import as_written, quantity
from macrorail.devices.interfaces import CameraReport, Context, Exposure
from macrorail.devices.stale_frame import Freshness
from macrorail.errors import (
    AutofocusFailed,
    BatteryExhausted,
    CameraBusy,
    CameraSettingRefused,
    CameraStorageFull,
    CameraUnsupported,
    ConnectError,
    DeviceError,
    FrameMissing,
    MacrorailError,
    OperatorStop,
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
"""A frame is announced so long after its usual download time, or not at all."""
_HEALTH_EVERY_S = 60.0
"""How often battery and card are looked after during a run (wall time): a request takes 5 ms."""
_CARD_FRAMES = 4
"""What lies on the card is deleted once it is safe: room for a RAW and JPEG pair and a lost one."""
_LONGEST_EXPOSURE_S = 60.0
"""Assumed for a shutter setting that is no number."""

_NOT_RELEASED = (CameraBusy, CameraStorageFull, CameraUnsupported, AutofocusFailed)
"""Refusals after which it is certain that the shutter has not opened."""


@dataclass
class _OnItsWay:
    """An exposure whose frame has not been received; ``request`` is the worker's number."""

    exposure_number: int
    request: int
    timeout_s: float


class GphotoCamera:
    """A camera behind libgphoto2.

    Parameters
    ----------
    options
        ``port`` is ``auto`` (the first camera on USB), ``usb:BUS,DEVICE``,
        ``ptpip:ADDRESS`` or ``bench``.
    context
        The rig's surroundings.
    """

    class Options(CameraSection):
        """Camera section of a camera that libgphoto2 drives.

        Attributes
        ----------
        frame_timeout_s
            How long after the end of an exposure its frame counts as lost (wall time).
        focus_mode
            ``manual`` refuses a camera that may focus by itself; ``any`` allows it.
        exposure_mode
            ``manual`` refuses a camera that may set the exposure by itself; ``any`` allows it.
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
        # How long the shutter is held open when it is set to bulb.
        self._bulb_s: float | None = None
        self._exposures = 0
        self._drive_sizes = 0
        self._refusals_certain = True
        self._on_its_way: _OnItsWay | None = None
        self._card_before: set[str] | None = None
        self._known_names: set[str] = set()
        self._left_behind: list[str] = []
        self._freshness = Freshness()
        self._looked_after_s = 0.0
        self._flash_ready_s = 0.0
        # Until when (wall time) a frame may still come that nobody is waiting for any more.
        self._doubt_until_s = 0.0

    @property
    def worker_pid(self) -> int | None:
        """Process of the worker that holds the camera, ``None`` without one."""
        return None if self._worker is None else self._worker.pid

    def open(self) -> CameraReport:
        """Start a worker, connect, drain; see :class:`macrorail.devices.interfaces.Camera`."""
        self._discard_worker()
        # A home of its own keeps the library from reading and writing the user's ~/.gphoto;
        # without a locale its messages are English, which the error table reads.
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
        self._note_left_behind(answer["card"])
        self._freshness = Freshness()
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
        """Set and read back; see :class:`macrorail.devices.interfaces.Camera`."""
        answer = self._request("configure", _SETTINGS_TIMEOUT_S, settings=dict(settings))
        self._settings = answer["settings"]
        if "shutter" in settings:
            self._bulb_s = quantity(settings["shutter"]) if self._is_bulb() else None
        return {name: str(self._settings[name]) for name in settings}

    def expose(self, stem: Path) -> Exposure:
        """Take one picture; see :class:`macrorail.devices.interfaces.Camera`."""
        worker = self._open_worker()
        if self._on_its_way is not None:
            raise FrameMissing(
                f"exposure {self._on_its_way.exposure_number} has not been collected; "
                f"collect it or drain the camera first"
            )
        self._context.clock.sleep(max(0.0, self._flash_ready_s - self._context.clock.now()))
        if time.monotonic() - self._looked_after_s > _HEALTH_EVERY_S:
            self._check_health()
        if self._is_bulb() and self._bulb_s is None:
            raise CameraSettingRefused(
                "the camera is set to bulb and nothing says for how long; set a shutter time"
            )
        self._exposures += 1
        number, exposure_s = self._exposures, self._exposure_s()
        # Long-exposure noise reduction takes as long again before the frame is ready.
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
        self._doubt_until_s = time.monotonic() + due_s
        self._on_its_way = _OnItsWay(number, collect, timeout_s)
        try:
            self._receive(release, _RELEASE_TIMEOUT_S + exposure_s + frame_timeout_s)
        except DeviceError as refused:
            # Without a release the worker answers the other half at once.
            if worker.alive:
                _ignoring_device_errors(worker, collect, _RELEASE_TIMEOUT_S)
            self._on_its_way = None
            if self._refusals_certain and isinstance(refused, _NOT_RELEASED):
                self._doubt_until_s = 0.0
            raise
        ended_s = self._context.clock.now()
        self._flash_ready_s = ended_s + self._options.flash_recycle_s
        return Exposure(stem, number, started_s, ended_s)

    def collect(self, exposure: Exposure) -> Frame:
        """Wait for the frame; see :class:`macrorail.devices.interfaces.Camera`."""
        pending = self._on_its_way
        if pending is None or pending.exposure_number != exposure.number:
            raise FrameMissing(
                f"exposure {exposure.number} is not on its way; drain the camera and repeat it"
            )
        try:
            answer = self._receive(pending.request, pending.timeout_s)
        except OperatorStop:
            raise  # the frame is still on its way and can be collected later
        except MacrorailError:
            self._on_its_way = None
            raise
        self._on_its_way = None
        self._doubt_until_s = 0.0
        frames = [_frame(file) for file in answer["files"]]
        self._known_names.update(frame.camera_name for frame in frames)
        # Of a RAW and JPEG pair the JPEG is the one that everything downstream can read.
        frame = next((f for f in frames if f.path.suffix in (".jpg", ".jpeg")), frames[0])
        self._freshness.check(frame, exposure)
        return frame

    def drain(self) -> list[str]:
        """Take in what nobody asked for; see :class:`macrorail.devices.interfaces.Camera`."""
        names = self._left_behind + self._drain()
        self._left_behind = []
        return names

    @property
    def drive_sizes(self) -> int:
        """How many sizes of drive it has, 0 for any number of steps; known once it is open."""
        return self._drive_sizes

    def drive_focus(self, steps: int, size: int = 1) -> None:
        """Drive the lens by ``steps`` motor steps, towards far when positive, and wait for it.

        Of a body with sizes of drive: so many drives of a ``size``, from 1, the smallest.
        Switches live view on when the body needs it.

        Raises
        ------
        FocusLimit
            The lens has run into its end stop.
        CameraUnsupported, CameraBusy, CameraError, DeviceLost, DeviceTimeout, WorkerCrashed
        """
        self._request("drive_focus", _DRIVE_TIMEOUT_S, steps=steps, size=size)

    def preview(self, path: Path) -> None:
        """Write what the lens sees now as a JPEG, without an exposure: live view is on after it.

        Raises
        ------
        CameraUnsupported, CameraBusy, CameraError, DeviceLost, DeviceTimeout, WorkerCrashed
        """
        self._request("preview", _DRIVE_TIMEOUT_S, path=str(path))

    def end_live_view(self) -> None:
        """Live view off, if it is on; see :class:`macrorail.devices.interfaces.LiveView`."""
        self._request("end_live_view", _DRIVE_TIMEOUT_S)

    def choices(self) -> dict[str, list[str]]:
        """What it offers now; see :class:`macrorail.devices.interfaces.OffersChoices`."""
        offered: dict[str, list[str]] = self._request("choices", _SETTINGS_TIMEOUT_S)["choices"]
        return {name: as_written(name, texts) for name, texts in offered.items()}

    def close(self) -> None:
        """Live view off, release; see :class:`macrorail.devices.interfaces.Camera`.

        A frame that is on its way is received first: it lies on disk complete or not at all.
        """
        worker, pending = self._worker, self._on_its_way
        try:
            if worker is not None and worker.alive:
                # The answer may be an error; closing goes on either way.
                if pending is not None and _ignoring_device_errors(
                    worker, pending.request, pending.timeout_s
                ):
                    self._doubt_until_s = 0.0
                _ignoring_device_errors(worker, worker.send("close"), _CLOSE_TIMEOUT_S)
        finally:
            self._on_its_way = None
            self._discard_worker()

    def _drain(self) -> list[str]:
        """Take in what came; wait for a frame that was exposed and is still to come."""
        pending = self._on_its_way
        worker = self._open_worker()
        names: list[str] = []
        if pending is not None:
            self._on_its_way = None
            answer = _ignoring_device_errors(worker, pending.request, pending.timeout_s)
            names += [file["path"] for file in (answer or {}).get("files", [])]
        wait_s = max(0.0, self._doubt_until_s - time.monotonic())
        if names or self._left_behind:
            wait_s = 0.0
        answer = self._request("drain", _DRAIN_TIMEOUT_S + wait_s, wait_s=wait_s)
        self._doubt_until_s = 0.0
        return names + self._news(answer["files"])

    def _note_left_behind(self, card: list[str]) -> None:
        """Compare the card with what it held at first: the rest was exposed and never fetched."""
        if self._card_before is None:
            self._card_before = set(card)
            return
        new = set(card) - self._card_before
        self._left_behind += self._news(sorted(PurePosixPath(path).name for path in new))
        self._card_before |= new

    def _news(self, names: Iterable[str]) -> list[str]:
        """Those names that have neither been collected nor told: card and events both tell."""
        news = [name for name in dict.fromkeys(names) if name not in self._known_names]
        self._known_names.update(news)
        return news

    def _check_health(self) -> dict[str, str]:
        """Refuse to begin anything that the battery or the card would not let end, or that the
        camera would focus or expose by itself; returns the modes that it is in.

        Raises
        ------
        BatteryExhausted, CameraStorageFull, CameraSettingRefused
        """
        health = self._request("health", _SETTINGS_TIMEOUT_S)
        self._looked_after_s = time.monotonic()
        told, floor = health["battery"], self._options.battery_floor
        percent = _percent(told)
        if (percent is not None and percent < 100 * floor) or (told or "").lower() == "low":
            raise BatteryExhausted(
                f"the camera's battery is at {told} and the rig wants at least "
                f"{format_fraction(floor)} (battery_floor); charge or exchange it, or use a mains "
                f"adapter"
            )
        free_kb, wanted_bytes = health["free_kb"], _CARD_FRAMES * self._options.frame_size_bytes
        # A body that leaves no choice has only its card.
        on_card = "card" in (self._settings.get("capture_target") or "card").lower()
        if on_card and free_kb is not None and free_kb * 1024 < wanted_bytes:
            raise CameraStorageFull(
                f"the camera's card has {format_size(free_kb * 1024)} left, less than "
                f"{_CARD_FRAMES} frames ({format_size(wanted_bytes)}); empty it or put in another"
            )
        modes: dict[str, str] = health["modes"]
        options = self._options
        wanted = Modes(
            manual_focus=options.focus_mode == "manual",
            manual_exposure=options.exposure_mode == "manual",
            mirror_delayed=options.mirror == "delayed",
        )
        if reasons := refusals(modes, wanted):
            raise CameraSettingRefused(f"the camera is not fit to shoot: {'; '.join(reasons)}")
        return modes

    def _hold_open(self, duration_s: float) -> None:
        """Open the shutter and wait; whatever ends the wait closes it."""
        worker = self._open_worker()
        # No stop gets in between here, or nobody would know whether the shutter is open.
        worker.request("open_shutter", _RELEASE_TIMEOUT_S)
        self._doubt_until_s = time.monotonic() + self._options.download_s + _ANNOUNCEMENT_S
        try:
            self._context.clock.sleep(duration_s)
        except MacrorailError:
            timeout_s = self._options.frame_timeout_s
            request = worker.send("close_shutter", number=self._exposures, timeout_s=timeout_s)
            _ignoring_device_errors(worker, request, _RELEASE_TIMEOUT_S + timeout_s)
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


def _ignoring_device_errors(
    worker: Worker, request: int, timeout_s: float
) -> dict[str, Any] | None:
    """The answer, or ``None`` for a camera that fails while it is being let go."""
    try:
        return worker.receive(request, timeout_s)
    except MacrorailError:
        return None


def _frame(file: Mapping[str, Any]) -> Frame:
    return Frame(Path(file["path"]), file["sha256"], file["size_bytes"], file["camera_name"])


def _percent(text: str | None) -> int | None:
    match = re.match(r"(\d+)\s*%", text or "")
    return int(match.group(1)) if match else None
