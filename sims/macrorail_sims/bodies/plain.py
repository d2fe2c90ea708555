"""Common parts of Nikon, Sony and Fujifilm bodies, whose PTP values are plain numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar

from macrorail_sims.bodies.base import CameraBody, Setting

_MANUAL_LENS = 0


class PlainBody(CameraBody):
    """A body with plain PTP values: 100 times the f-number, ISO, shutter time as a fraction."""

    #: Image formats by PTP value: label, kinds of file, JPEG quality.
    file_formats: ClassVar[Mapping[int, tuple[str, tuple[str, ...], int]]] = {}
    bulb_value: ClassVar[int]

    def _format_setting(self, value: int) -> Setting:
        return Setting({entry[0]: value for value, entry in self.file_formats.items()}, value)

    def _aperture_setting(self, stops: Iterable[float]) -> Setting:
        choices = {f"f/{stop:g}": round(stop * 100) for stop in stops}
        return Setting(choices, _MANUAL_LENS if self.manual_aperture else choices["f/8"])

    def _shutter_setting(self, times: Iterable[str], now: str) -> Setting:
        choices = {time: self.bulb_value if time == "Bulb" else as_fraction(time) for time in times}
        return Setting(choices, choices[now])

    @property
    def shutter_s(self) -> float:
        value = self.settings["shutter"].value
        return math.inf if value == self.bulb_value else (value >> 16) / (value & 0xFFFF)

    @property
    def f_number(self) -> float | None:
        value = self.settings["aperture"].value
        return None if value == _MANUAL_LENS else value / 100

    @property
    def iso(self) -> int:
        return self.settings["iso"].value

    @property
    def formats(self) -> tuple[str, ...]:
        return self.file_formats[self.settings["image_format"].value][1]

    @property
    def jpeg_quality(self) -> int:
        return self.file_formats[self.settings["image_format"].value][2]


def as_fraction(label: str) -> int:
    """Return a shutter time as a PTP value: numerator in the upper 16 bits, denominator below."""
    numerator, _, denominator = label.partition("/")
    return int(numerator) << 16 | int(denominator or 1)
