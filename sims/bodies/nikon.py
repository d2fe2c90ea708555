"""A Nikon body: its settings with the labels that libgphoto2 shows, and its file names.

Values after ISO 15740 (PTP) and libgphoto2's names for them over PTP/IP, where it knows the maker
but not the model.
"""

from __future__ import annotations

from sims.bodies.base import Body, Setting

_SHUTTERS = (
    "1/4000 1/2000 1/1000 1/800 1/640 1/500 1/400 1/320 1/250 1/200 1/160 1/125 1/100 1/80 1/60 "
    "1/50 1/40 1/30 1/25 1/20 1/15 1/13 1/10 1/8 1/6 1/5 1/4 1/3 1/2 1 2 4 8 15 30"
).split()
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
_MANUAL_LENS = 0


def _fraction(label: str) -> int:
    """A shutter time as Nikon's property 0xD100 holds it: numerator and denominator, 16 bit."""
    numerator, _, denominator = label.partition("/")
    return int(numerator) << 16 | int(denominator or 1)


class NikonBody(Body):
    """A Nikon as it answers over PTP/IP."""

    maker = "Nikon Corporation"
    model = "D850"
    version = "V1.20"

    def _settings(self) -> dict[str, Setting]:
        stops = {f"f/{stop:g}": round(stop * 100) for stop in _STOPS}
        return {
            "iso": Setting({str(iso): iso for iso in _ISOS}, 100),
            "shutter": Setting({label: _fraction(label) for label in _SHUTTERS}, _fraction("1/60")),
            "aperture": Setting(stops, _MANUAL_LENS if self.manual_aperture else stops["f/8"]),
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
            "image_format": Setting(
                {label: value for value, (label, _, _) in _FORMATS.items()}, _FINE
            ),
        }

    @property
    def shutter_s(self) -> float:
        value = self.settings["shutter"].value
        return (value >> 16) / (value & 0xFFFF)

    @property
    def f_number(self) -> float | None:
        value = self.settings["aperture"].value
        return None if value == _MANUAL_LENS else value / 100

    @property
    def iso(self) -> int:
        return self.settings["iso"].value

    @property
    def formats(self) -> tuple[str, ...]:
        return _FORMATS[self.settings["image_format"].value][1]

    @property
    def jpeg_quality(self) -> int:
        return _FORMATS[self.settings["image_format"].value][2]

    def file_name(self, number: int, kind: str) -> str:
        return f"DSC_{number % 10000:04d}.{'NEF' if kind == 'raw' else 'JPG'}"
