"""The model of a simulated camera body, independent of its protocol: settings, exposures, files.

All times are seconds of world time. A body outlives its clients: if the controller is killed, the
body keeps its memory and its card, and an exposure in progress continues.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

import cv2
import numpy as np

from macrorail.clock import Clock
from macrorail_sims.bodies.exif import with_exif
from macrorail_sims.bodies.exposure import LIVE_VIEW, SimulatedExposure
from macrorail_sims.bodies.faults import Action, Fault, FaultScript, Reason, Refusal
from macrorail_sims.bodies.lens import SimulatedLens
from macrorail_sims.bodies.raw import as_raw

_LIVE_VIEW_QUALITY = 70
_LONGEST_LIVE_VIEW_S = 1.0
_STRAY_NUMBER = 9999


class BodyWorld(Protocol):
    """The part of the simulated world that a body uses."""

    @property
    def clock(self) -> Clock:
        """Clock that gives world time."""
        ...

    def render(self, light: SimulatedExposure) -> bytes:
        """Render a finished exposure and return its JPEG."""
        ...


@dataclass
class Setting:
    """A setting of the body.

    Attributes
    ----------
    choices
        PTP value of each choice in the menu, by the label that libgphoto2 uses for the choice.
    value
        PTP value to which the setting is set. With a manual lens, the aperture's value is not among
        the choices and has no label.
    """

    choices: Mapping[str, int]
    value: int

    @property
    def label(self) -> str | None:
        """Label of the current value; ``None`` if the value has no label."""
        return next((label for label, value in self.choices.items() if value == self.value), None)


class BodyEventKind(Enum):
    """Kinds of events that a body announces."""

    FILE_ADDED = auto()
    EXPOSURE_COMPLETE = auto()


@dataclass(frozen=True)
class BodyEvent:
    """An event that the body announces at ``due_s``; ``handle`` is the handle of the file."""

    due_s: float
    kind: BodyEventKind
    handle: int = 0


@dataclass(frozen=True)
class StoredFile:
    """A file in the body's memory or on its card; ``taken_s`` is the start of its exposure."""

    handle: int
    name: str
    data: bytes
    on_card: bool
    taken_s: float


@dataclass(frozen=True)
class BodyExposure:
    """An exposure in progress; ``ready_s`` is the world time from which its files can be read.

    Faults: ``announced`` is false if the frame is lost. ``stale`` is true if the previous picture
    is delivered in place of the new picture. ``stray`` is true if the previous picture is delivered
    in addition, under another name.
    """

    light: SimulatedExposure
    formats: tuple[str, ...]
    to_card: bool
    ready_s: float
    announced: bool
    stale: bool
    stray: bool


@dataclass(frozen=True)
class Timing:
    """Delays and transfer rate of a body.

    Attributes
    ----------
    shutter_lag_s
        Time from the release command to the opening of the shutter.
    readout_s
        Time from the closing of the shutter to the announcement of the file.
    bytes_per_s
        Download rate.
    live_view_s
        Time to raise the mirror and switch the sensor on.
    """

    shutter_lag_s: float = 0.04
    readout_s: float = 0.15
    bytes_per_s: float = 30e6
    live_view_s: float = 0.3


@dataclass
class CameraBody:
    """State and behaviour of a camera body; subclasses add a maker's settings and names.

    Parameters
    ----------
    world
        Clock and scene of the simulated world.
    lens
        The lens that the body drives; ``None`` when a lens or objective without motor is mounted.
    timing
        Delays and transfer rate.
    memory_frames
        Capacity of the internal memory, in frames that are not yet downloaded.
    card_bytes
        Capacity of the card.
    manual_aperture
        True for a lens or bellows whose aperture the body can neither read nor set.
    autofocus
        True when autofocus is on; autofocus always fails at these distances.
    manual_exposure, auto_iso
        Whether the mode dial is at M (otherwise it is at A), and whether automatic ISO is on.
    mirror_delay
        Whether exposure delay mode is on (Nikon).
    mirror_lock
        Whether mirror lock-up is on (Canon EOS).
    settings_take_s
        Delay until a new value of a setting takes effect.
    auto_power_off_s
        Idle time after which the body switches itself off; 0 for never.
    self_timer
        Whether the drive mode is the self-timer.
    image_scale
        Width of the images divided by the width of the largest images; 1 for size L.
    """

    world: BodyWorld
    lens: SimulatedLens | None = None
    timing: Timing = field(default_factory=Timing)
    memory_frames: int = 4
    card_bytes: int = 32_000_000_000
    manual_aperture: bool = False
    autofocus: bool = False
    manual_exposure: bool = True
    auto_iso: bool = False
    mirror_delay: bool = False
    mirror_lock: bool = False
    settings_take_s: float = 0.0
    auto_power_off_s: int = 0
    serial: str = "6001234"
    self_timer: bool = False
    image_scale: float = 1.0

    maker = ""
    model = ""
    version = "V1.00"
    battery_percent = 80

    def __post_init__(self) -> None:
        self.faults = FaultScript()
        self.live_view = False
        self.files: dict[int, StoredFile] = {}
        self.settings = self._settings()
        self._lock = threading.RLock()
        self._notices: list[BodyEvent] = []
        self._shots = 0
        self._handles = 0x1000
        self._last_picture = b""
        self.under_way: list[BodyExposure] = []
        self._busy_until_s = 0.0
        self._late_settings: list[tuple[float, str, int]] = []
        self._drive_result: Reason | None = None
        # Start of the bulb exposure in progress, and whether it is stored on the card.
        self._bulb: tuple[float, bool] | None = None

    # Overridden for each maker.

    def _settings(self) -> dict[str, Setting]:
        """Return the settings by canonical name, with their values when the body is switched on."""
        raise NotImplementedError

    @property
    def shutter_s(self) -> float:
        """Exposure time to which the body is set, seconds; infinite for bulb."""
        raise NotImplementedError

    @property
    def f_number(self) -> float | None:
        """F-number to which the body is set; ``None`` with a lens that the body cannot read."""
        raise NotImplementedError

    @property
    def iso(self) -> int:
        """ISO sensitivity to which the body is set."""
        raise NotImplementedError

    @property
    def formats(self) -> tuple[str, ...]:
        """Kinds of file that an exposure produces: ``jpeg``, ``raw`` or both."""
        raise NotImplementedError

    @property
    def jpeg_quality(self) -> int:
        """Quality of JPEG files, 1..100."""
        raise NotImplementedError

    def file_name(self, number: int, kind: str) -> str:
        """Return the file name for exposure ``number``; the suffix depends on the kind of file."""
        raise NotImplementedError

    # Common to all bodies.

    @property
    def exposures(self) -> int:
        """How many exposures the body has made so far."""
        return self._shots

    @property
    def busy(self) -> bool:
        """Whether the body is exposing, driving its lens or changing its mode."""
        return self.world.clock.now() < self._busy_until_s

    @property
    def busy_s(self) -> float:
        """Remaining time until the body is no longer busy, world seconds, >= 0."""
        return max(0.0, self._busy_until_s - self.world.clock.now())

    def set(self, name: str, value: int) -> None:
        """Change the setting ``name`` to a PTP value; refuse a value that it does not offer."""
        setting = self.settings[name]
        if value not in setting.choices.values():
            raise Refusal(Reason.VALUE_NOT_OFFERED)
        if self.settings_take_s > 0:
            self._late_settings.append((self.world.clock.now() + self.settings_take_s, name, value))
        else:
            setting.value = value

    def settle_settings(self) -> None:
        """Apply the new values of settings whose delay has passed."""
        now_s = self.world.clock.now()
        for due in [late for late in self._late_settings if late[0] <= now_s]:
            self._late_settings.remove(due)
            self.settings[due[1]].value = due[2]

    def release(
        self, to_card: bool, fault: Fault | None = None, at_s: float | None = None
    ) -> BodyExposure:
        """Open the shutter and return the exposure, which :meth:`develop` makes into files later.

        ``at_s`` is the world time at which the release was pressed; ``None`` means now.
        """
        with self._lock:
            self._refuse_release(to_card)
            pressed_s = self.world.clock.now() if at_s is None else at_s
            start_s = pressed_s + self.timing.shutter_lag_s
            return self._expose(start_s, start_s + self.shutter_s, to_card, fault)

    @property
    def is_bulb(self) -> bool:
        """Whether the shutter time is set to bulb."""
        return math.isinf(self.shutter_s)

    @property
    def holds_open(self) -> bool:
        """Whether a bulb exposure is in progress."""
        return self._bulb is not None

    def open_bulb(self, at_s: float, to_card: bool) -> None:
        """Open the shutter until :meth:`close_bulb`."""
        with self._lock:
            self._refuse_release(to_card)
            self._bulb = at_s + self.timing.shutter_lag_s, to_card
            self._busy_until_s = math.inf

    def close_bulb(self, at_s: float, fault: Fault | None = None) -> BodyExposure:
        """End the exposure that :meth:`open_bulb` began, and return this exposure."""
        with self._lock:
            if self._bulb is None:
                raise Refusal(Reason.GENERAL)
            (start_s, to_card), self._bulb = self._bulb, None
            return self._expose(start_s, max(start_s, at_s), to_card, fault)

    def _refuse_release(self, to_card: bool) -> None:
        if self.busy:
            raise Refusal(Reason.BUSY)
        if self.autofocus:
            raise Refusal(Reason.OUT_OF_FOCUS)
        if not self._has_room(to_card):
            raise Refusal(Reason.STORE_FULL)

    def _expose(
        self, start_s: float, end_s: float, to_card: bool, fault: Fault | None
    ) -> BodyExposure:
        self._shots += 1
        late_s = fault.delay_s if fault and fault.action is Action.LATE else 0.0
        light = SimulatedExposure(
            number=self._shots,
            start_s=start_s,
            end_s=end_s,
            f_number=self.f_number,
            iso=self.iso,
            lens=self.lens.state if self.lens else None,
            jpeg_quality=self.jpeg_quality,
        )
        announced = not (fault and fault.action is Action.LOSE)
        ready_s = end_s + self.timing.readout_s + late_s
        stale = fault is not None and fault.action is Action.STALE
        stray = fault is not None and fault.action is Action.STRAY
        shot = BodyExposure(light, self.formats, to_card, ready_s, announced, stale, stray)
        self.under_way.append(shot)
        self._busy_until_s = end_s
        return shot

    def develop(self, shot: BodyExposure) -> None:
        """Make the files of a finished exposure and announce them.

        Rendering takes wall time; the files are ready at ``shot.ready_s`` or when rendering is
        done, whichever is later.
        """
        rendered = _scaled(self.world.render(shot.light), self.image_scale)
        picture = with_exif(rendered, self.model, self.serial, shot.light)
        with self._lock:
            due_s = max(shot.ready_s, self.world.clock.now())
            if shot.stray:
                self._store(shot, self.file_name(_STRAY_NUMBER, "jpeg"), self._last_picture, due_s)
            if shot.stale:
                picture = self._last_picture
            self._last_picture = picture
            for kind in shot.formats:
                name = self.file_name(shot.light.number, kind)
                data = as_raw(picture) if kind == "raw" else picture
                self._store(shot, name, data, due_s)
            self._notices.append(BodyEvent(due_s, BodyEventKind.EXPOSURE_COMPLETE))
            self.under_way.remove(shot)

    def _store(self, shot: BodyExposure, name: str, data: bytes, due_s: float) -> None:
        if not (shot.announced or shot.to_card):
            return  # a frame in memory is lost if it is not announced
        handle = self._handles
        self._handles += 1
        self.files[handle] = StoredFile(handle, name, data, shot.to_card, shot.light.start_s)
        if shot.announced:
            self._notices.append(BodyEvent(due_s, BodyEventKind.FILE_ADDED, handle))

    def take_notices(self) -> list[BodyEvent]:
        """Return the body's events whose time has come; each event is returned once."""
        with self._lock:
            now_s = self.world.clock.now()
            due = [notice for notice in self._notices if notice.due_s <= now_s]
            self._notices = [notice for notice in self._notices if notice.due_s > now_s]
            return due

    def file(self, handle: int) -> StoredFile:
        """Return the stored file with this handle."""
        with self._lock:
            if handle not in self.files:
                raise Refusal(Reason.NO_SUCH_FILE)
            return self.files[handle]

    def delete(self, handle: int) -> None:
        """Delete the stored file with this handle."""
        with self._lock:
            self.file(handle)
            del self.files[handle]

    def transfer_s(self, size_bytes: int) -> float:
        """Return the time in world seconds that the transfer of ``size_bytes`` bytes takes."""
        return size_bytes / self.timing.bytes_per_s

    def set_live_view(self, on: bool) -> None:
        """Switch live view on or off."""
        with self._lock:
            if self.busy:
                raise Refusal(Reason.BUSY)
            if on and not self.live_view:
                self._busy_until_s = self.world.clock.now() + self.timing.live_view_s
            self.live_view = on

    def live_view_frame(self) -> bytes:
        """Return the current live-view frame as a JPEG."""
        with self._lock:
            if not self.live_view:
                raise Refusal(Reason.NOT_LIVE_VIEW)
            if self.busy:
                raise Refusal(Reason.BUSY)
            now_s = self.world.clock.now()
            light = SimulatedExposure(
                number=LIVE_VIEW,
                start_s=max(0.0, now_s - min(self.shutter_s, _LONGEST_LIVE_VIEW_S)),
                end_s=now_s,
                f_number=self.f_number,
                iso=self.iso,
                lens=self.lens.state if self.lens else None,
                jpeg_quality=_LIVE_VIEW_QUALITY,
            )
        return self.world.render(light)

    def drive_focus(self, steps: int) -> None:
        """Drive the focus motor by ``steps``, towards far when positive; see :meth:`drive_end`."""
        with self._lock:
            if self.lens is None:
                raise Refusal(Reason.GENERAL)
            if not self.live_view:
                raise Refusal(Reason.NOT_LIVE_VIEW)
            if self.busy:
                raise Refusal(Reason.BUSY)
            turned = self.lens.drive(steps)
            self._drive_result = None if turned == steps else Reason.END_STOP
            self._busy_until_s = self.world.clock.now() + abs(turned) * self.lens.step_s

    def drive_end(self) -> Reason | None:
        """Return why the last focus drive stopped early; ``None`` if it did not.

        Each reason is returned only once."""
        with self._lock:
            result, self._drive_result = self._drive_result, None
            return result

    def _has_room(self, to_card: bool) -> bool:
        if to_card:
            used = sum(len(file.data) for file in self.files.values() if file.on_card)
            return used < self.card_bytes
        waiting = sum(not file.on_card for file in self.files.values())
        waiting += sum(not shot.to_card for shot in self.under_way)
        return waiting < self.memory_frames


def _scaled(jpeg: bytes, scale: float) -> bytes:
    """Return a JPEG with its width and height multiplied by ``scale``."""
    if scale == 1.0:
        return jpeg
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None, "the rendered picture is not a JPEG"
    smaller = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", smaller)[1])
