"""Writes the EXIF data of a body into its JPEGs: camera, time and exposure.

The layout follows TIFF 6.0 and EXIF 2.3 (CIPA DC-008): an APP1 segment with IFD0 and the EXIF IFD.
"""

from __future__ import annotations

import struct
from datetime import datetime, timedelta

from macrorail_sims.bodies.exposure import SimulatedExposure

CLOCK_ZERO = datetime(2026, 1, 1)
"""Time on the clock of a body at world time 0."""

_ASCII, _SHORT, _LONG, _RATIONAL = 2, 3, 4, 5

_Entry = tuple[int, int, int, bytes]  # tag, type, count, value


def with_exif(jpeg: bytes, model: str, serial: str, light: SimulatedExposure) -> bytes:
    """Return ``jpeg`` with an EXIF segment after its start marker.

    Raises
    ------
    ValueError
        ``jpeg`` is not a JPEG.
    """
    if jpeg[:2] != b"\xff\xd8":
        raise ValueError("the rendered picture is not a JPEG")
    taken = CLOCK_ZERO + timedelta(seconds=light.start_s)
    exposure = [
        (0x829A, *_rational(light.end_s - light.start_s)),  # ExposureTime
        (0x8827, _SHORT, 1, struct.pack("<H", min(light.iso, 65535))),  # PhotographicSensitivity
        (0x9003, *_text(f"{taken:%Y:%m:%d %H:%M:%S}")),  # DateTimeOriginal
        (0x9291, *_text(f"{taken.microsecond // 10000:02d}")),  # SubSecTimeOriginal
        (0xA431, *_text(serial)),  # BodySerialNumber
    ]
    if light.f_number is not None:
        exposure.insert(1, (0x829D, *_rational(light.f_number)))  # FNumber
    camera = [(0x0110, *_text(model))]
    # IFD0 starts at byte 8. The EXIF IFD follows IFD0, which points to it (tag 0x8769).
    pointed = len(_directory([*camera, (0x8769, _LONG, 1, bytes(4))], 8)) + 8
    first = _directory([*camera, (0x8769, _LONG, 1, struct.pack("<I", pointed))], 8)
    tiff = b"II*\0\x08\0\0\0" + first + _directory(exposure, pointed)
    payload = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + jpeg[2:]


def _text(text: str) -> tuple[int, int, bytes]:
    data = text.encode("ascii") + b"\0"
    return _ASCII, len(data), data


def _rational(number: float) -> tuple[int, int, bytes]:
    return _RATIONAL, 1, struct.pack("<II", round(number * 10000), 10000)


def _directory(entries: list[_Entry], start: int) -> bytes:
    """Return an IFD for offset ``start`` of the TIFF, then the values longer than 4 bytes."""
    table, values = b"", b""
    behind = start + 2 + 12 * len(entries) + 4
    for tag, kind, count, value in entries:
        if len(value) <= 4:
            inline = value.ljust(4, b"\0")
        else:
            inline = struct.pack("<I", behind + len(values))
            values += value + b"\0" * (len(value) % 2)
        table += struct.pack("<HHI", tag, kind, count) + inline
    return struct.pack("<H", len(entries)) + table + bytes(4) + values
