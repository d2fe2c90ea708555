"""A Canon EOS body: its settings with libgphoto2's labels, and its variant of PTP.

An EOS reports values and choices of settings and new files through one queue of records, which the
host polls (operation 0x9116). It reports neither the end of an exposure nor the end stop of its
lens.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import ClassVar

from macrorail_sims.bodies.base import BodyEventKind, CameraBody, Setting
from macrorail_sims.bodies.faults import Reason, Refusal
from macrorail_sims.bodies.ptp import NO_SUCH_PROPERTY, VALUE_REFUSED, PtpAnswer, Responder, array32

_BULB = "bulb"
_SHUTTERS = {
    _BULB: 0x0C,
    "30": 0x10, "15": 0x18, "8": 0x20, "4": 0x28, "2": 0x30, "1": 0x38, "0.5": 0x40, "1/4": 0x48,
    "1/8": 0x50, "1/15": 0x58, "1/30": 0x60, "1/40": 0x63, "1/50": 0x65, "1/60": 0x68, "1/80": 0x6B,
    "1/100": 0x6D, "1/125": 0x70, "1/160": 0x73, "1/200": 0x75, "1/250": 0x78, "1/500": 0x80,
    "1/1000": 0x88, "1/2000": 0x90, "1/4000": 0x98,
}  # fmt: skip
_STOPS = {
    "2.8": 0x20, "3.2": 0x23, "4": 0x28, "4.5": 0x2B, "5.6": 0x30, "6.3": 0x33, "7.1": 0x35,
    "8": 0x38, "9": 0x3B, "10": 0x3D, "11": 0x40, "14": 0x45, "16": 0x48, "22": 0x50, "32": 0x58,
}  # fmt: skip
_ISOS = {
    "100": 0x48, "125": 0x4B, "160": 0x4D, "200": 0x50, "250": 0x53, "320": 0x55, "400": 0x58,
    "800": 0x60, "1600": 0x68, "3200": 0x70, "6400": 0x78,
}  # fmt: skip
_WHITE_BALANCES = {"Auto": 0, "Daylight": 1, "Cloudy": 2, "Tungsten": 3, "Fluorescent": 4}
_JPEG_LARGE_FINE, _RAW_LARGE = (1, 0, 3), (6, 0, 4)
_FORMATS: dict[int, tuple[tuple[int, int, int], ...]] = {
    # Type, size and compression of each file, as listed in property 0xD120.
    0: (_JPEG_LARGE_FINE,),
    1: (_RAW_LARGE,),
    2: (_RAW_LARGE, _JPEG_LARGE_FINE),
}
_FORMAT_LABELS = {"L": 0, "RAW": 1, "RAW + L": 2}
_JPEG_QUALITY = 95

_APERTURE, _SHUTTER, _ISO, _WHITE_BALANCE = 0xD101, 0xD102, 0xD103, 0xD109
_MODE, _FOCUS_MODE, _BATTERY, _MODEL_ID = 0xD105, 0xD108, 0xD111, 0xD116
_SHOTS_LEFT, _DESTINATION, _IMAGE_FORMAT = 0xD11B, 0xD11C, 0xD120
_SERIAL, _LIVE_VIEW = 0xD1AF, 0xD1B0
_NAMES = {
    _APERTURE: "aperture",
    _SHUTTER: "shutter",
    _ISO: "iso",
    _WHITE_BALANCE: "white_balance",
}
_AUTO_POWER_OFF, _MIRROR_LOCK, _APERTURE_PRIORITY = 0xD114, 0xD13A, 2
_MANUAL_MODE, _MANUAL_FOCUS, _SINGLE_AUTOFOCUS = 3, 3, 0
_BATTERY_STEPS = ((88, 2), (63, 4), (38, 1), (13, 5), (0, 0))
"""Lowest percentage and PTP value of each step: full, three quarters, half, a quarter, low."""
_TO_CARD, _TO_HOST = 2, 4
_LIVE_VIEW_TO_HOST = 2

_VALUE_CHANGED, _CHOICES_CHANGED = 0xC189, 0xC18A
_FILE_ON_CARD, _FILE_FOR_HOST = 0xC181, 0xC186
_STORE, _PICTURES, _JPEG, _CR2 = 0x00010001, 0x0002, 0x3801, 0xB103
_FULL_PRESS = 2
_PREVIEW_PICTURE = 1
_ACCEPTED = (0x9114, 0x911A, 0x911B, 0x911C, 0x911D, 0x9127, 0x9130, 0x913D, 0x9154, 0x9160)
"""Remote mode, keep-alive and similar: accepted without effect."""

_TOWARDS_FAR = 0x8000


class CanonBody(CameraBody):
    """A Canon EOS body as seen over PTP/IP."""

    maker = "Canon Inc."
    model = "Canon EOS 80D"
    version = "3-1.0.2"

    #: Motor steps of the three drive sizes; lenses differ, and bodies do not report them.
    drive_steps: ClassVar[Mapping[int, int]] = {1: 7, 2: 30, 3: 208}

    def _settings(self) -> dict[str, Setting]:
        stops = dict(_STOPS)
        return {
            "iso": Setting(_ISOS, _ISOS["100"]),
            "shutter": Setting(_SHUTTERS, _SHUTTERS["1/60"]),
            "aperture": Setting(stops, 0 if self.manual_aperture else stops["8"]),
            "white_balance": Setting(_WHITE_BALANCES, _WHITE_BALANCES["Daylight"]),
            "image_format": Setting(_FORMAT_LABELS, _FORMAT_LABELS["L"]),
        }

    @property
    def shutter_s(self) -> float:
        label = self.settings["shutter"].label or ""
        if label == _BULB:
            return math.inf
        numerator, _, denominator = label.partition("/")
        return float(numerator) / float(denominator or 1)

    @property
    def f_number(self) -> float | None:
        label = self.settings["aperture"].label
        return None if label is None else float(label)

    @property
    def iso(self) -> int:
        return int(self.settings["iso"].label or 0)

    @property
    def formats(self) -> tuple[str, ...]:
        kinds = _FORMATS[self.settings["image_format"].value]
        return tuple("raw" if kind == _RAW_LARGE else "jpeg" for kind in kinds)

    @property
    def jpeg_quality(self) -> int:
        return _JPEG_QUALITY

    def file_name(self, number: int, kind: str) -> str:
        return f"IMG_{number % 10000:04d}.{'CR2' if kind == 'raw' else 'JPG'}"


class CanonResponder(Responder):
    """Answers PTP operations for a Canon EOS body.

    Parameters
    ----------
    body
        The camera body.
    """

    vendor = 0x0000000B
    reasons: ClassVar[Mapping[Reason, int]] = {
        **Responder.reasons,
        Reason.NOT_LIVE_VIEW: 0x2019,
        Reason.OUT_OF_FOCUS: 0x2002,
        Reason.STEP_TOO_SMALL: 0x201D,
    }

    def __init__(self, body: CanonBody) -> None:
        super().__init__(body)
        self.canon = body
        self._destination = _TO_HOST
        self._records: list[bytes] = []
        self.operations.update(
            {
                0x9101: ("store", lambda _p, _d: PtpAnswer(data=array32([_STORE]))),
                0x9102: ("store", lambda _p, _d: PtpAnswer(data=bytes(64))),
                0x101B: ("read", self._read_part),
                0x9107: ("read", self._read_part),
                0x9108: ("info", lambda _p, _d: PtpAnswer(data=self._about())),
                0x9110: ("set", self._set_value),
                0x9115: ("mode", self._event_mode),
                0x9116: ("events", lambda _p, _d: PtpAnswer(data=self._take_records())),
                0x9117: ("delete", self._transferred),
                0x9125: ("release", lambda _p, _d: self._start_bulb()),
                0x9126: ("end_bulb", lambda _p, _d: self._stop_bulb()),
                0x9128: ("release", self._press),
                0x9129: ("unpress", _taken),
                0x9151: ("live_view", lambda _p, _d: self._live_view(True)),
                0x9152: ("live_view", lambda _p, _d: self._live_view(False)),
                0x9153: ("preview", lambda _p, _d: self._preview()),
                0x9155: ("drive", self._drive),
            }
        )
        self.operations.update((code, ("mode", _taken)) for code in _ACCEPTED)
        if body.lens is None:
            del self.operations[0x9155]

    # The queue.

    def _values(self) -> dict[int, bytes]:
        """Return for each property code the encoded current value of the setting."""
        body = self.canon
        numbers = {code: body.settings[name].value for code, name in _NAMES.items()}
        numbers |= {
            _MODE: _MANUAL_MODE if body.manual_exposure else _APERTURE_PRIORITY,
            _AUTO_POWER_OFF: body.auto_power_off_s,
            _MIRROR_LOCK: int(body.mirror_lock),
            _FOCUS_MODE: _SINGLE_AUTOFOCUS if body.autofocus else _MANUAL_FOCUS,
            _BATTERY: self._battery(),
            _MODEL_ID: 0x80000350,
            _SHOTS_LEFT: 999,
            _DESTINATION: self._destination,
            _LIVE_VIEW: _LIVE_VIEW_TO_HOST if body.live_view else 0,
        }
        values = {code: struct.pack("<I", number) for code, number in numbers.items()}
        values[_SERIAL] = body.serial.encode() + b"\0"
        values[_IMAGE_FORMAT] = _pack_format(_FORMATS[body.settings["image_format"].value])
        return values

    def _battery(self) -> int:
        """Return the battery's charge as the coarse level that an EOS reports."""
        return next(step for above, step in _BATTERY_STEPS if self.canon.battery_percent >= above)

    def _tell(self, code: int) -> None:
        self._record(_VALUE_CHANGED, struct.pack("<I", code) + self._values()[code])

    def _record(self, kind: int, payload: bytes) -> None:
        self._records.append(struct.pack("<II", 8 + len(payload), kind) + payload)

    def _event_mode(self, parameters: tuple[int, ...], _data: bytes) -> PtpAnswer:
        """Enable or disable the queue of records; an enabled queue first reports all settings."""
        if parameters[0]:
            self._records.clear()
            for code in self._values():
                self._tell(code)
            offered = {
                code: list(self.canon.settings[name].choices.values())
                for code, name in _NAMES.items()
            }
            offered |= {_DESTINATION: [_TO_CARD, _TO_HOST], _LIVE_VIEW: [0, _LIVE_VIEW_TO_HOST]}
            for code, choices in offered.items():
                self._record(
                    _CHOICES_CHANGED,
                    struct.pack("<III", code, 3, len(choices))
                    + struct.pack(f"<{len(choices)}I", *choices),
                )
            self._record(
                _CHOICES_CHANGED,
                struct.pack("<III", _IMAGE_FORMAT, 3, len(_FORMATS))
                + b"".join(_pack_format(kinds) for kinds in _FORMATS.values()),
            )
        return PtpAnswer()

    def _take_records(self) -> bytes:
        for notice in self.body.take_notices():
            if notice.kind is BodyEventKind.FILE_ADDED:
                self._announce(notice.handle)
        records, self._records = self._records, []
        return b"".join(records) + struct.pack("<II", 8, 0)

    def _announce(self, handle: int) -> None:
        file = self.body.file(handle)
        size, name = len(file.data), file.name.encode() + b"\0" * 5
        kind = _CR2 if file.name.endswith("CR2") else _JPEG
        if file.on_card:
            head = struct.pack("<IIIIIIII", handle, _STORE, kind, 0, 0, size, _PICTURES, handle)
            self._record(_FILE_ON_CARD, head + name)
        else:
            self._record(_FILE_FOR_HOST, struct.pack("<IIIII", handle, kind, 0, size, 0) + name)

    # Operations.

    def _about(self) -> bytes:
        return (
            struct.pack("<I", 0)
            + array32([_VALUE_CHANGED])
            + array32(sorted(self._values()))
            + array32([])
        )

    def _set_value(self, _parameters: tuple[int, ...], data: bytes) -> PtpAnswer:
        code, value = struct.unpack_from("<II", data, 4)
        if code == _IMAGE_FORMAT:
            wanted = data[8:]
            known = {_pack_format(kinds): index for index, kinds in _FORMATS.items()}
            if wanted not in known:
                return PtpAnswer(VALUE_REFUSED)
            self.canon.set("image_format", known[wanted])
        elif code in _NAMES:
            self.canon.set(_NAMES[code], value)
        elif code == _DESTINATION:
            self._destination = value
        elif code == _LIVE_VIEW:
            self.body.set_live_view(bool(value & _LIVE_VIEW_TO_HOST))
        else:
            return PtpAnswer(NO_SUCH_PROPERTY)
        self._tell(code)
        return PtpAnswer()

    def _live_view(self, on: bool) -> PtpAnswer:
        self.body.set_live_view(on)
        self._tell(_LIVE_VIEW)
        return PtpAnswer()

    def _press(self, parameters: tuple[int, ...], _data: bytes) -> PtpAnswer:
        if parameters[0] & _FULL_PRESS:
            self.release(to_card=self._destination == _TO_CARD)
        return PtpAnswer(parameters=(0,))

    def _start_bulb(self) -> PtpAnswer:
        if not self.body.is_bulb:
            raise Refusal(Reason.GENERAL)
        self.body.open_bulb(self.clock.now(), to_card=self._destination == _TO_CARD)
        return PtpAnswer()

    def _stop_bulb(self) -> PtpAnswer:
        self.end_bulb()
        return PtpAnswer()

    def _read_part(self, parameters: tuple[int, ...], _data: bytes) -> PtpAnswer:
        handle, start, length = parameters[:3]
        part = self.body.file(handle).data[start : start + length]
        return PtpAnswer(data=part, pace_s=self.body.transfer_s(len(part)))

    def _transferred(self, parameters: tuple[int, ...], _data: bytes) -> PtpAnswer:
        self.body.delete(parameters[0])
        return PtpAnswer()

    def _preview(self) -> PtpAnswer:
        picture = self.live_view_frame()
        record = struct.pack("<II", 8 + len(picture), _PREVIEW_PICTURE) + picture
        return PtpAnswer(data=record + struct.pack("<II", 8, 0))

    def _drive(self, parameters: tuple[int, ...], _data: bytes) -> PtpAnswer:
        size, far = parameters[0] & 0x7FFF, parameters[0] & _TOWARDS_FAR
        if size not in self.canon.drive_steps:
            raise Refusal(Reason.STEP_TOO_SMALL)
        steps = self.canon.drive_steps[size]
        self.body.drive_focus(steps if far else -steps)
        self.body.drive_end()  # an EOS does not report its end stop
        return PtpAnswer()


def _taken(_parameters: tuple[int, ...], _data: bytes) -> PtpAnswer:
    """Answer an operation with success, without any effect on the body."""
    return PtpAnswer()


def _pack_format(kinds: tuple[tuple[int, int, int], ...]) -> bytes:
    """Return the bytes of an image format, in the encoding of property 0xD120."""
    return struct.pack("<I", len(kinds)) + b"".join(struct.pack("<IIII", 16, *k) for k in kinds)
