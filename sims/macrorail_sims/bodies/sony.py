"""A Sony Alpha body in PC remote mode: its settings, and its variant of PTP.

After a handshake (version 0xC8) the body sends all properties at once. ISO, aperture and shutter
time are changed one step at a time, with a delay. The shutter is a button: half press, press,
release. A frame stays in the body's memory until it is read; all frames have the same handle.
The card is not accessible. The lens has seven drive sizes. Names of values follow libgphoto2.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import ClassVar

from macrorail_sims.bodies.base import BodyEventKind, Setting
from macrorail_sims.bodies.faults import Reason, Refusal
from macrorail_sims.bodies.plain import PlainBody
from macrorail_sims.bodies.ptp import (
    ACCESS_DENIED,
    INT8,
    INT16,
    NO_SUCH_PROPERTY,
    UINT8,
    UINT16,
    UINT32,
    VALUE_REFUSED,
    Operation,
    Property,
    PtpAnswer,
    Responder,
    array16,
    array32,
    unpack,
)

_SHUTTERS = (
    *("Bulb", "30", "25", "20", "15", "13", "10", "8", "6", "5", "4", "32/10", "25/10", "2"),
    *("16/10", "13/10", "1", "8/10", "6/10", "5/10", "4/10", "1/3", "1/4", "1/5", "1/6", "1/8"),
    *("1/10", "1/13", "1/15", "1/20", "1/25", "1/30", "1/40", "1/50", "1/60", "1/80", "1/100"),
    *("1/125", "1/160", "1/200", "1/250", "1/320", "1/400", "1/500", "1/640", "1/800", "1/1000"),
    *("1/1250", "1/1600", "1/2000", "1/2500", "1/3200", "1/4000", "1/5000", "1/6400", "1/8000"),
)
_STOPS = (2.8, 3.2, 3.5, 4, 4.5, 5, 5.6, 6.3, 7.1, 8, 9, 10, 11, 13, 14, 16, 18, 20, 22)
_ISOS = (100, 125, 160, 200, 250, 320, 400, 500, 640, 800, 1600, 3200, 6400, 12800)
_FORMATS = {
    # value: (label, kinds of file, JPEG quality)
    0x02: ("Standard", ("jpeg",), 90),
    0x03: ("Fine", ("jpeg",), 95),
    0x10: ("RAW", ("raw",), 95),
    0x13: ("RAW+JPEG (Fine)", ("raw", "jpeg"), 95),
}
_FINE = 0x03
_WHITE_BALANCES = {"Automatic": 2, "Daylight": 4, "Tungsten": 6, "Cloudy": 0x8010, "Shade": 0x8011}

_VERSION = 0xC8
_APERTURE, _FOCUS_MODE, _EXPOSURE_MODE = 0x5007, 0x500A, 0x500E
_SHUTTER, _FOCUS_FOUND, _MEMORY, _BATTERY = 0xD20D, 0xD213, 0xD215, 0xD218
_ISO, _DESTINATION = 0xD21E, 0xD222
_HALF_PRESS, _PRESS, _ONE_SHOT, _DRIVE = 0xD2C1, 0xD2C2, 0xD2C7, 0xD2D1
_PRIORITY = 0xD25A
_TURNED = {_APERTURE: "aperture", _SHUTTER: "shutter", _ISO: "iso"}
"""Settings that are changed one step at a time."""
_READY = 0x8000
_DOWN = 2
_TO_HOST, _TO_BOTH = 0x01, 0x11
_FRAME, _PREVIEW = 0xFFFFC001, 0xFFFFC002
_PREVIEW_HEADER_BYTES = 128
_MANUAL_FOCUS, _SINGLE_AUTOFOCUS = 1, 2
_MANUAL, _APERTURE_PRIORITY = 1, 3
_ENABLED, _DISPLAY_ONLY = 1, 2
_BUTTON = 0x81
_READ, _CONTROL = 0x1009, 0x9207


class SonyBody(PlainBody):
    """A Sony Alpha body with libgphoto2's labels for PTP/IP."""

    maker = "Sony Corporation"
    model = "ILCE-7M3"
    version = "3.10"
    file_formats = _FORMATS
    bulb_value = 0

    #: Motor steps of the seven drive sizes; lenses differ, and bodies do not report them.
    drive_steps: ClassVar[Mapping[int, int]] = {1: 2, 2: 7, 3: 18, 4: 45, 5: 112, 6: 280, 7: 700}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.live_view = True  # a mirrorless body is always in live view

    def _settings(self) -> dict[str, Setting]:
        return {
            "iso": Setting({str(iso): iso for iso in _ISOS}, 100),
            "shutter": self._shutter_setting(_SHUTTERS, "1/60"),
            "aperture": self._aperture_setting(_STOPS),
            "white_balance": Setting(_WHITE_BALANCES, _WHITE_BALANCES["Daylight"]),
            "image_format": self._format_setting(_FINE),
        }

    def file_name(self, number: int, kind: str) -> str:
        return f"DSC{number % 100000:05d}.{'ARW' if kind == 'raw' else 'JPG'}"


class SonyResponder(Responder):
    """Answers PTP operations for a Sony body.

    Parameters
    ----------
    body
        The camera body.
    """

    vendor = 0xFFFFFFFF  # over PTP/IP, libgphoto2 recognises the body by its maker's name
    vendor_text = "Sony PTP Extensions"
    reasons: ClassVar[Mapping[Reason, int]] = {
        **Responder.reasons,
        Reason.OUT_OF_FOCUS: 0x2002,
        Reason.STEP_TOO_SMALL: 0x201D,
    }

    def __init__(self, body: SonyBody) -> None:
        super().__init__(body)
        self.sony = body
        self._destination = _TO_HOST
        self._priority = 0
        self._waiting: list[int] = []
        self.properties.update(self._sony_properties())
        # Buttons and wheels by property, with their names in fault scripts.
        self._controls: dict[int, tuple[str, Operation]] = {
            _HALF_PRESS: ("release", self._half_press),
            _PRESS: ("release", self._press),
            _ONE_SHOT: ("release", self._press),
            **{code: ("set", partial(self._turn, name)) for code, name in _TURNED.items()},
        }
        if body.lens is not None:
            self._controls[_DRIVE] = ("drive", self._drive)
        for plain in (0x1014, 0x1015, 0x1016):
            del self.operations[plain]
        self.operations.update(
            {
                0x1004: ("store", lambda _p, _d: PtpAnswer(data=array32([]))),
                0x9201: ("session", lambda _p, _d: PtpAnswer(data=bytes(8))),
                0x9202: ("info", lambda _p, _d: PtpAnswer(data=self._about())),
                0x9205: ("set", self._set),
                0x9207: ("set", lambda _p, _d: PtpAnswer(NO_SUCH_PROPERTY)),
                0x9209: ("events", lambda _p, _d: PtpAnswer(data=self._everything())),
            }
        )

    def _sony_properties(self) -> dict[int, Property]:
        body = self.sony
        isos = list(body.settings["iso"].choices.values())
        stops = list(body.settings["aperture"].choices.values())
        return {
            0x5004: self._setting("image_format", UINT8),
            0x5005: self._setting("white_balance", UINT16),
            _APERTURE: Property(
                UINT16, self._reader("aperture"), limits=(min(stops), max(stops), 1)
            ),
            _FOCUS_MODE: Property(
                UINT16,
                lambda: _SINGLE_AUTOFOCUS if body.autofocus else _MANUAL_FOCUS,
                choices=[_MANUAL_FOCUS, _SINGLE_AUTOFOCUS],
            ),
            _EXPOSURE_MODE: Property(
                UINT16,
                lambda: _MANUAL if body.manual_exposure else _APERTURE_PRIORITY,
                choices=[_MANUAL, _APERTURE_PRIORITY],
            ),
            _SHUTTER: Property(UINT32, self._reader("shutter")),
            _FOCUS_FOUND: Property(UINT8, lambda: 1),
            _MEMORY: Property(UINT16, self._memory),
            _BATTERY: Property(INT8, lambda: body.battery_percent, limits=(-1, 100, 1)),
            _ISO: Property(UINT32, self._reader("iso"), choices=isos),
            _DESTINATION: Property(
                UINT16, lambda: self._destination, self._set_destination, [_TO_HOST, _TO_BOTH]
            ),
            _PRIORITY: Property(UINT8, lambda: self._priority, self._set_priority, [0, 1]),
        }

    def _reader(self, name: str) -> partial[int]:
        return partial(getattr, self.sony.settings[name], "value")

    def _set_destination(self, value: int) -> None:
        self._destination = value

    def _set_priority(self, value: int) -> None:
        self._priority = value

    # Reports.

    def _listed(self) -> list[int]:
        return []  # no properties are listed before the handshake

    def _about(self) -> bytes:
        return (
            struct.pack("<H", _VERSION)
            + array16(sorted(self.properties))
            + array16(sorted(self._controls.keys() - _TURNED.keys()))
        )

    def _everything(self) -> bytes:
        """Return the descriptions of all properties, each with a flag for whether it is enabled."""
        told = [
            self._describe_sony(code, known, known.write is not None or code in _TURNED)
            for code, known in self.properties.items()
        ]
        for code in self._controls.keys() - _TURNED.keys():
            button = Property(INT16 if code == _DRIVE else UINT16, lambda: 0).describe(code)
            told.append(button[:4] + bytes([_BUTTON, _ENABLED]) + button[5:])
        return struct.pack("<II", len(told), 0) + b"".join(told)

    @staticmethod
    def _describe_sony(code: int, known: Property, in_force: bool) -> bytes:
        plain = known.describe(code)
        return plain[:4] + bytes([0, _ENABLED if in_force else _DISPLAY_ONLY]) + plain[5:]

    def _memory(self) -> int:
        """Return how many frames wait in memory, plus 0x8000 if the first frame can be read."""
        for notice in self.body.take_notices():
            if notice.kind is BodyEventKind.FILE_ADDED:
                self._waiting.append(notice.handle)
        return len(self._waiting) | _READY if self._waiting else len(self.body.under_way)

    # Operations.

    def _set(self, parameters: tuple[int, ...], data: bytes) -> PtpAnswer:
        # libgphoto2 2.5.34 sends no data for 0xD222, the destination of the frames.
        return super()._set(parameters, data) if data else PtpAnswer(VALUE_REFUSED)

    def _operation(self, code: int, parameters: tuple[int, ...]) -> tuple[str, Operation] | None:
        if code == _CONTROL and parameters[0] in self._controls:
            return self._controls[parameters[0]]
        if code == _READ and parameters[0] == _PREVIEW:
            return "preview", lambda _p, _d: self._preview()
        return super()._operation(code, parameters)

    def _half_press(self, _parameters: tuple[int, ...], data: bytes) -> PtpAnswer:
        if unpack(UINT16, data) == _DOWN and self.body.busy:
            raise Refusal(Reason.BUSY)
        return PtpAnswer()

    def _press(self, _parameters: tuple[int, ...], data: bytes) -> PtpAnswer:
        to_card = self._destination == _TO_BOTH
        if unpack(UINT16, data) != _DOWN:
            if self.body.holds_open:
                self.end_bulb()
        elif self.body.is_bulb:
            self.body.open_bulb(self.clock.now(), to_card)
        else:
            self.release(to_card)
        return PtpAnswer()

    def _turn(self, name: str, _parameters: tuple[int, ...], data: bytes) -> PtpAnswer:
        """Move a setting along its menu by a number of clicks, at most to the end of the menu."""
        setting = self.sony.settings[name]
        values = list(setting.choices.values())
        if setting.value not in values:
            raise Refusal(Reason.GENERAL)  # a lens that the body cannot set
        clicks = unpack(INT8, data)
        assert isinstance(clicks, int)
        at = min(max(values.index(setting.value) + clicks, 0), len(values) - 1)
        self.sony.set(name, values[at])
        return PtpAnswer()

    def _drive(self, _parameters: tuple[int, ...], data: bytes) -> PtpAnswer:
        drive = unpack(INT16, data)
        assert isinstance(drive, int)
        if abs(drive) not in self.sony.drive_steps:
            raise Refusal(Reason.STEP_TOO_SMALL)
        steps = self.sony.drive_steps[abs(drive)]
        self.body.drive_focus(steps if drive > 0 else -steps)
        self.body.drive_end()  # a Sony body does not report its end stop
        return PtpAnswer()

    def _frame_handle(self, handle: int) -> int:
        if handle != _FRAME or not self._waiting:
            raise Refusal(Reason.NO_SUCH_FILE)
        return self._waiting[0]

    def _object_info(self, handle: int) -> bytes:
        if handle == _PREVIEW:
            return self._info(0, 0x3801, 0, 0, "", 0.0)
        return super()._object_info(self._frame_handle(handle))

    def _read(self, handle: int) -> PtpAnswer:
        waiting = self._frame_handle(handle)
        answer = super()._read(waiting)

        def sent() -> None:
            self._waiting.remove(waiting)
            if answer.sent is not None:
                answer.sent()

        return replace(answer, sent=sent)

    def _preview(self) -> PtpAnswer:
        try:
            picture = self.live_view_frame()
        except Refusal:
            return PtpAnswer(ACCESS_DENIED)  # the next frame was requested too soon
        header = struct.pack("<I", _PREVIEW_HEADER_BYTES).ljust(_PREVIEW_HEADER_BYTES, b"\0")
        return PtpAnswer(data=header + picture)
