"""A Nikon body: its settings with libgphoto2's labels, and its variant of PTP.

The values follow ISO 15740 (PTP). The labels are those of libgphoto2 for PTP/IP, where libgphoto2
knows the maker but not the model.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import ClassVar

from macrorail_sims.bodies.base import BodyEventKind, Setting
from macrorail_sims.bodies.exif import CLOCK_ZERO
from macrorail_sims.bodies.faults import Reason, Refusal
from macrorail_sims.bodies.plain import PlainBody
from macrorail_sims.bodies.ptp import (
    OK,
    TEXT,
    UINT8,
    UINT16,
    UINT32,
    Property,
    PtpAnswer,
    Responder,
    array16,
)

_SHUTTER_DENOMINATORS = (
    *(4000, 2000, 1000, 800, 640, 500, 400, 320, 250, 200, 160, 125, 100, 80, 60, 50, 40, 30),
    *(25, 20, 15, 13, 10, 8, 6, 5, 4, 3, 2),
)
_SHUTTER_SECONDS = (1, 2, 4, 8, 15, 30)
_SHUTTERS = (
    *(f"1/{denominator}" for denominator in _SHUTTER_DENOMINATORS),
    *("10/25", "10/16", "10/13"),
    *(str(seconds) for seconds in _SHUTTER_SECONDS),
    "Bulb",
)
_BULB = 0xFFFFFFFF
_STOPS = (2.8, 3.2, 3.5, 4, 4.5, 5, 5.6, 6.3, 7.1, 8, 9, 10, 11, 13, 14, 16, 18, 20, 22, 25, 29, 32)
_ISOS = (64, 80, 100, 125, 160, 200, 250, 320, 400, 500, 640, 800, 1600, 3200, 6400, 12800, 25600)
_FORMATS = {
    # value: (label, kinds of file, JPEG quality)
    0: ("JPEG Basic", ("jpeg",), 80),
    1: ("JPEG Normal", ("jpeg",), 90),
    2: ("JPEG Fine", ("jpeg",), 95),
    4: ("NEF (Raw)", ("raw",), 95),
    5: ("NEF+Basic", ("raw", "jpeg"), 80),
    6: ("NEF+Normal", ("raw", "jpeg"), 90),
    7: ("NEF+Fine", ("raw", "jpeg"), 95),
}
_FINE = 2
_OBJECT_ADDED, _CAPTURE_COMPLETE = 0x4002, 0x400D
_ADDED_IN_MEMORY, _COMPLETE_IN_MEMORY = 0xC101, 0xC102
_PREVIEW_HEADER_BYTES = 384
_TOWARDS_NEAR = 1
_TO_MEMORY = 1
_MANUAL, _APERTURE_PRIORITY = 1, 3
_SINGLE_SHOT, _SELF_TIMER = 0x0001, 0x8011
_MANUAL_FOCUS, _SINGLE_AUTOFOCUS = 1, 0x8010


class NikonBody(PlainBody):
    """A Nikon body as seen over PTP/IP."""

    maker = "Nikon Corporation"
    model = "D850"
    version = "V1.20"
    file_formats = _FORMATS
    bulb_value = _BULB

    def _settings(self) -> dict[str, Setting]:
        return {
            "iso": Setting({str(iso): iso for iso in _ISOS}, 100),
            "shutter": self._shutter_setting(_SHUTTERS, "1/60"),
            "aperture": self._aperture_setting(_STOPS),
            "white_balance": Setting(
                {
                    "Automatic": 2,
                    "Daylight": 4,
                    "Fluorescent": 5,
                    "Tungsten": 6,
                    "Flash": 7,
                    "Cloudy": 0x8010,
                    "Shade": 0x8011,
                },
                4,
            ),
            "image_format": self._format_setting(_FINE),
        }

    def file_name(self, number: int, kind: str) -> str:
        return f"DSC_{number % 10000:04d}.{'NEF' if kind == 'raw' else 'JPG'}"


class NikonResponder(Responder):
    """Answers PTP operations for a Nikon body.

    Parameters
    ----------
    body
        The camera body.
    """

    vendor = 0x0000000A
    reasons: ClassVar[Mapping[Reason, int]] = {
        **Responder.reasons,
        Reason.OUT_OF_FOCUS: 0xA002,
        Reason.LIVE_VIEW_PROHIBITED: 0xA004,
        Reason.NOT_LIVE_VIEW: 0xA00B,
        Reason.END_STOP: 0xA00C,
        Reason.STEP_TOO_SMALL: 0xA00E,
    }

    def __init__(self, body: NikonBody) -> None:
        super().__init__(body)
        self.nikon = body
        self._live_view_prohibited = 0
        self._recording_media = 0
        self.properties.update(self._nikon_properties())
        self.operations.update(
            {
                0x90C2: ("mode", lambda _p, _d: PtpAnswer()),
                0x90C7: ("events", lambda _p, _d: PtpAnswer(data=self._events())),
                0x90C8: ("ready", lambda _p, _d: PtpAnswer(self._ready())),
                0x90CA: ("info", lambda _p, _d: PtpAnswer(data=self._vendor_properties())),
                0x9201: ("live_view", lambda _p, _d: self._live_view(True)),
                0x9202: ("live_view", lambda _p, _d: self._live_view(False)),
                0x9203: ("preview", lambda _p, _d: self._preview()),
                0x9204: ("drive", self._drive),
                0x9207: ("release", self._release),
                0x920C: ("end_bulb", lambda _p, _d: self._end_bulb()),
            }
        )
        if body.lens is None:
            del self.operations[0x9204]

    def _nikon_properties(self) -> dict[int, Property]:
        body = self.nikon
        shutters = body.settings["shutter"].choices.values()
        return {
            0x5001: Property(UINT8, lambda: body.battery_percent, limits=(0, 100, 1)),
            0x5004: self._setting("image_format", UINT8),
            0x5005: self._setting("white_balance", UINT16),
            0x5007: self._setting("aperture", UINT16),
            0x500A: Property(
                UINT16,
                lambda: _SINGLE_AUTOFOCUS if body.autofocus else _MANUAL_FOCUS,
                choices=[_MANUAL_FOCUS, _SINGLE_AUTOFOCUS],
            ),
            0x500D: Property(
                UINT32,
                lambda: _tenth_ms(body.settings["shutter"].value),
                self._set_tenth_ms,
                [_tenth_ms(shutter) for shutter in shutters],
            ),
            0x500E: Property(
                UINT16,
                lambda: _MANUAL if body.manual_exposure else _APERTURE_PRIORITY,
                self._set_program,
                [_MANUAL, _APERTURE_PRIORITY],
            ),
            0x500F: self._setting("iso", UINT16),
            0x5011: Property(TEXT, lambda: f"{CLOCK_ZERO:%Y%m%dT%H%M%S}"),
            0x5013: Property(
                UINT16,
                lambda: _SELF_TIMER if body.self_timer else _SINGLE_SHOT,
                choices=[_SINGLE_SHOT, _SELF_TIMER],
            ),
            0xD054: Property(UINT8, lambda: int(body.auto_iso), limits=(0, 1, 1)),
            0xD06A: Property(UINT8, lambda: int(body.mirror_delay), limits=(0, 1, 1)),
            0xD100: self._setting("shutter", UINT32),
            0xD10B: Property(
                UINT8, lambda: self._recording_media, self._set_recording_media, [0, 1]
            ),
            0xD1A2: Property(UINT8, lambda: int(body.live_view)),
            0xD1A4: Property(UINT32, lambda: self._live_view_prohibited),
        }

    def _set_program(self, value: int) -> None:
        self.nikon.manual_exposure = value == _MANUAL

    def _set_tenth_ms(self, value: int) -> None:
        shutters = self.nikon.settings["shutter"].choices.values()
        self.nikon.set("shutter", next(each for each in shutters if _tenth_ms(each) == value))

    def _set_recording_media(self, value: int) -> None:
        self._recording_media = value

    def _vendor_properties(self) -> bytes:
        return array16(sorted(code for code in self.properties if code >= 0xD000))

    def _events(self) -> bytes:
        events: list[tuple[int, int]] = []
        for notice in self.body.take_notices():
            if notice.kind is BodyEventKind.FILE_ADDED:
                on_card = self.body.file(notice.handle).on_card
                events.append((_OBJECT_ADDED if on_card else _ADDED_IN_MEMORY, notice.handle))
            else:
                events.append((_CAPTURE_COMPLETE, 0))
        return struct.pack("<H", len(events)) + b"".join(struct.pack("<HI", *e) for e in events)

    def _ready(self) -> int:
        if self.body.busy:
            return self.reasons[Reason.BUSY]
        stopped = self.body.drive_end()
        return self.reasons[stopped] if stopped else OK

    def _live_view(self, on: bool) -> PtpAnswer:
        self.body.set_live_view(on)
        return PtpAnswer()

    def _preview(self) -> PtpAnswer:
        # The header before the picture describes focus areas; it is left empty.
        return PtpAnswer(data=bytes(_PREVIEW_HEADER_BYTES) + self.live_view_frame())

    def _drive(self, parameters: tuple[int, ...], _data: bytes) -> PtpAnswer:
        direction, steps = parameters[:2]
        if not 1 <= steps <= 32767:
            raise Refusal(Reason.STEP_TOO_SMALL)
        self.body.drive_focus(-steps if direction == _TOWARDS_NEAR else steps)
        return PtpAnswer()

    def _release(self, parameters: tuple[int, ...], _data: bytes) -> PtpAnswer:
        to_memory = len(parameters) > 1 and parameters[1] == _TO_MEMORY
        if self.body.is_bulb:
            self.body.open_bulb(self.clock.now(), to_card=not to_memory)
        else:
            self.release(to_card=not to_memory)
        return PtpAnswer()

    def _end_bulb(self) -> PtpAnswer:
        self.end_bulb()
        return PtpAnswer()


def _tenth_ms(fraction: int) -> int:
    """Return a shutter time, given as Nikon's packed fraction, in PTP's unit of 0.1 ms."""
    if fraction == _BULB:
        return _BULB
    return max(1, round(10000 * (fraction >> 16) / (fraction & 0xFFFF)))
