"""Reads a photograph's EXIF block: when it was taken, and with which settings."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_HEAD_BYTES = 1 << 17
_EXIF_IFD, _SHUTTER, _APERTURE, _ISO = 0x8769, 0x829A, 0x829D, 0x8827


@dataclass(frozen=True)
class Exif:
    """Raw values by tag (CIPA DC-008, section 4.6), and the byte order of their numbers."""

    tags: Mapping[int, bytes]
    order: str


def exif_of(path: Path) -> Exif | None:
    """The EXIF block of a JPEG, or of a raw file built as a TIFF; ``None`` without one to read."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    try:
        tiff = _tiff_in(head)
        if tiff is None:
            return None
        order = {b"II": "<", b"MM": ">"}[tiff[:2]]
        first = dict(_entries(tiff, order, *struct.unpack_from(order + "I", tiff, 4)))
        (at,) = struct.unpack_from(order + "I", first[_EXIF_IFD])
        return Exif(dict(_entries(tiff, order, at)), order)
    except (KeyError, struct.error):
        return None  # a block that cannot be read says as little as none


def settings_in(path: Path) -> dict[str, float]:
    """Shutter (seconds), aperture (f-number) and ISO as a photograph tells them, by canonical name;
    what it does not tell is missing."""
    exif = exif_of(path)
    if exif is None:
        return {}
    told = {}
    for name, tag in (("shutter", _SHUTTER), ("aperture", _APERTURE)):
        value = exif.tags.get(tag, b"")
        if len(value) >= 8:
            top, bottom = struct.unpack_from(exif.order + "II", value)
            if bottom:
                told[name] = top / bottom
    if len(exif.tags.get(_ISO, b"")) >= 2:
        told["iso"] = float(struct.unpack_from(exif.order + "H", exif.tags[_ISO])[0])
    return told


def _tiff_in(head: bytes) -> bytes | None:
    """The TIFF structure of a file's EXIF block (CIPA DC-008, section 4.5)."""
    if head[:4] in (b"II*\0", b"MM\0*"):
        return head
    at = 2
    while head[:2] == b"\xff\xd8" and head[at : at + 1] == b"\xff":
        marker, length = struct.unpack_from(">HH", head, at)
        if marker == 0xFFE1 and head[at + 4 : at + 10] == b"Exif\0\0":
            return head[at + 10 : at + 2 + length]
        at += 2 + length
    return None


def _entries(tiff: bytes, order: str, at: int) -> Iterator[tuple[int, bytes]]:
    """Tag and raw value of each entry of the directory at ``at`` (TIFF 6.0, section 2)."""
    sizes = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 10: 8}
    (count,) = struct.unpack_from(order + "H", tiff, at)
    for index in range(count):
        start = at + 2 + 12 * index
        tag, kind, number = struct.unpack_from(order + "HHI", tiff, start)
        size = sizes.get(kind, 0) * number
        where = start + 8
        if size > 4:
            (where,) = struct.unpack_from(order + "I", tiff, where)
        yield tag, tiff[where : where + size]
