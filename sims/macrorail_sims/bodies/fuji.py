"""A Fujifilm X body: its settings, and its variant of PTP.

A Fujifilm body has no setting for where frames are stored, does not announce files (libgphoto2
looks for new files) and applies settings with a delay. Its lens is driven to a position, not by a
number of steps. Names of values follow libgphoto2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import ClassVar

from macrorail_sims.bodies.base import BodyEventKind, Setting
from macrorail_sims.bodies.faults import Reason, Refusal
from macrorail_sims.bodies.plain import PlainBody
from macrorail_sims.bodies.ptp import (
    INT16,
    INT32,
    UINT8,
    UINT16,
    UINT32,
    Property,
    PtpAnswer,
    Responder,
)

_BULB = 0xFFFFFFFF
_SHUTTERS_US = {
    "bulb": _BULB,
    "30s": 32000000, "8s": 8000000, "4s": 4000000, "2s": 2000000, "1s": 1000000, "1/2": 500000,
    "1/4": 250000, "1/8": 125000, "1/10": 99212, "1/15": 62500, "1/30": 31250, "1/60": 15625,
    "1/125": 7812, "1/250": 3906, "1/500": 1953, "1/1000": 976, "1/2000": 488, "1/4000": 244,
}  # fmt: skip
_STOPS = (2.8, 3.2, 3.5, 4, 4.5, 5, 5.6, 6.4, 7.1, 8, 9, 10, 11, 13, 14, 16, 18, 20, 22)
_ISOS = (160, 200, 250, 320, 400, 500, 640, 800, 1600, 3200, 6400, 12800)
_FORMATS = {
    # value: (label, kinds of file, JPEG quality)
    1: ("RAW", ("raw",), 95),
    2: ("JPEG Fine", ("jpeg",), 95),
    4: ("RAW + JPEG Fine", ("raw", "jpeg"), 95),
}
_FINE = 2
_WHITE_BALANCES = {"Automatic": 2, "Daylight": 4, "Tungsten": 6}

_QUALITY, _FOCUS_POSITION, _PRIORITY = 0xD018, 0xD171, 0xD207
_SHUTTER_BUTTON, _FOCUS_STATE, _STATE = 0xD208, 0xD209, 0xD212
_FULL_PRESS, _HOLD, _LET_GO = 0x0304, 0x0500, 0x000C
_IN_FOCUS, _OUT_OF_FOCUS = 2, 3
_MANUAL_FOCUS, _SINGLE_AUTOFOCUS = 1, 0x8001


class FujiBody(PlainBody):
    """A Fujifilm X body with libgphoto2's labels."""

    maker = "FUJIFILM"
    model = "X-T3"
    version = "1.20"
    file_formats = _FORMATS
    bulb_value = _BULB

    def _settings(self) -> dict[str, Setting]:
        return {
            "iso": Setting({str(iso): iso for iso in _ISOS}, 160),
            "shutter": Setting(_SHUTTERS_US, _SHUTTERS_US["1/60"]),
            "aperture": self._aperture_setting(_STOPS),
            "white_balance": Setting(_WHITE_BALANCES, _WHITE_BALANCES["Daylight"]),
            "image_format": self._format_setting(_FINE),
        }

    @property
    def shutter_s(self) -> float:
        value = self.settings["shutter"].value
        return math.inf if value == _BULB else value / 1e6

    def file_name(self, number: int, kind: str) -> str:
        return f"DSCF{number % 10000:04d}.{'RAF' if kind == 'raw' else 'JPG'}"


class FujiResponder(Responder):
    """Answers PTP operations for a Fujifilm body.

    Parameters
    ----------
    body
        The camera body.
    """

    vendor = 0x0000000E
    vendor_text = "fujifilm.co.jp: 1.0; "
    reasons: ClassVar[Mapping[Reason, int]] = {
        **Responder.reasons,
        Reason.END_STOP: 0x201C,
        Reason.OUT_OF_FOCUS: 0x2002,
    }

    def __init__(self, body: FujiBody) -> None:
        super().__init__(body)
        self.fuji = body
        self._there: list[int] = []
        self._held: dict[int, int] = {_PRIORITY: 1, _SHUTTER_BUTTON: 0, 0xD38C: 1}
        self.properties.update(self._fuji_properties())
        self.operations[0x100E] = ("release", lambda _p, _d: self._button())

    def _fuji_properties(self) -> dict[int, Property]:
        body = self.fuji
        held = {
            code: Property(UINT16, self._reader(code), self._writer(code)) for code in self._held
        }
        known = {
            0x5001: Property(UINT8, lambda: body.battery_percent, limits=(0, 100, 1)),
            0x5005: self._setting("white_balance", UINT16),
            0x5007: self._setting("aperture", UINT16),
            0x500A: Property(
                UINT16,
                lambda: _SINGLE_AUTOFOCUS if body.autofocus else _MANUAL_FOCUS,
                choices=[_MANUAL_FOCUS, _SINGLE_AUTOFOCUS],
            ),
            0x500D: self._setting("shutter", UINT32),
            0x500E: Property(UINT16, lambda: 1 if body.manual_exposure else 3, choices=[1, 3]),
            0x500F: self._setting("iso", INT32),
            _QUALITY: self._setting("image_format", UINT16),
            _FOCUS_STATE: Property(UINT16, lambda: _OUT_OF_FOCUS if body.autofocus else _IN_FOCUS),
            _STATE: Property(UINT16, lambda: int(not body.busy)),
        }
        if body.lens is not None:
            lens = body.lens
            known[_FOCUS_POSITION] = Property(
                INT16,
                lambda: lens.motor_steps,
                self._focus_at,
                limits=(0, lens.travel_steps + lens.slack_steps, 1),
            )
        return {**held, **known}

    def _reader(self, code: int) -> Callable[[], int]:
        return lambda: self._held[code]

    def _writer(self, code: int) -> Callable[[int], None]:
        def write(value: int) -> None:
            self._held[code] = value

        return write

    def _focus_at(self, steps: int) -> None:
        lens = self.fuji.lens
        assert lens is not None
        if not 0 <= steps <= lens.travel_steps + lens.slack_steps:
            raise Refusal(Reason.END_STOP)
        # A Fujifilm body can focus with or without live view.
        self.body.live_view, before = True, self.body.live_view
        try:
            self.body.drive_focus(steps - lens.motor_steps)
        finally:
            self.body.live_view = before
        self.body.drive_end()

    def _button(self) -> PtpAnswer:
        button = self._held[_SHUTTER_BUTTON]
        if button == _FULL_PRESS:
            self.release(to_card=True)
        elif button == _HOLD:
            if not self.body.is_bulb:
                raise Refusal(Reason.GENERAL)
            self.body.open_bulb(self.clock.now(), to_card=True)
        elif button == _LET_GO:
            self.end_bulb()
        return PtpAnswer()

    def _list(self, parameters: tuple[int, ...]) -> list[int]:
        """Return the handles of the stored files, in which the host looks for new files."""
        for notice in self.body.take_notices():
            if notice.kind is BodyEventKind.FILE_ADDED:
                self._there.append(notice.handle)
        self._there = [handle for handle in self._there if handle in self.body.files]
        return [
            handle
            for handle in super()._list(parameters)
            if handle not in self.body.files or handle in self._there
        ]
