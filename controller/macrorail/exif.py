"""Reads the metadata of a photograph: EXIF, XMP, IPTC and the colour profile of any file type.

All of macrorail reads EXIF with this module. The reader follows no chain of directories and reads
nothing beyond the end of the file. A damaged block is not an error: the readable parts are
returned, and the unreadable parts are listed in ``problems``.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

EXIF_IFD, GPS_IFD = 0x8769, 0x8825
XMP, IPTC, PHOTOSHOP, ICC = 0x02BC, 0x83BB, 0x8649, 0x8773
_SHUTTER, _APERTURE, _ISO = 0x829A, 0x829D, 0x8827
#: Tags of the times at which a photograph was taken, digitised and changed. Each pair is the tag of
#: the time and the tag of its fraction of a second.
_TAKEN, _DIGITISED, _CHANGED = (0x9003, 0x9291), (0x9004, 0x9292), (0x0132, 0x9290)

#: struct's format character for each TIFF type (TIFF 6.0, section 2; BigTIFF).
_KINDS = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "s", 8: "h", 9: "i", 10: "ii"}
_KINDS |= {11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_SIZES = {kind: struct.calcsize("<" + code) for kind, code in _KINDS.items()}
_ASCII, _RATIONALS = 2, (5, 10)
#: Magic numbers of TIFF, Panasonic's RW2 and Olympus's ORF, which have the same structure.
_CLASSIC = {42, 0x55, 0x4F52, 0x5352}
_BIG = 43
_MOST_ENTRIES = 4096
_LARGEST_VALUE = 1 << 26
_CR3_HEAD_BYTES = 1 << 17
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP_SEGMENT = b"http://ns.adobe.com/xap/1.0/\0"
_ICC_SEGMENT = b"ICC_PROFILE\0"
_PHOTOSHOP_SEGMENT = b"Photoshop 3.0\0"
_IPTC_RESOURCE = 0x0404


@dataclass(frozen=True)
class Field:
    """The value of one tag, as it is stored in the file.

    Attributes
    ----------
    kind
        TIFF type of the value, 1 to 18.
    data
        The value's bytes.
    order
        Byte order as :mod:`struct` writes it, ``<`` or ``>``.
    """

    kind: int
    data: bytes
    order: str

    def numbers(self) -> tuple[float, ...]:
        """Return the value's numbers without rationals of denominator 0; empty for text."""
        code = _KINDS[self.kind]
        if code == "s":
            return ()
        count = len(self.data) // _SIZES[self.kind]
        values = struct.unpack_from(self.order + code * count, self.data)
        if self.kind in _RATIONALS:
            pairs = zip(values[::2], values[1::2], strict=True)
            return tuple(top / bottom for top, bottom in pairs if bottom)
        return values

    def text(self) -> str:
        """Return the value's text without padding."""
        return self.data.split(b"\0")[0].decode("utf-8", "replace").strip()


@dataclass(frozen=True)
class Exif:
    """The metadata of a photograph.

    Attributes
    ----------
    first, details, gps
        Fields of the first directory, the Exif directory and the GPS directory, by tag
        (CIPA DC-008, section 4.6).
    xmp, iptc, icc
        The XMP packet, the IPTC records and the ICC profile; each is ``None`` if absent.
    problems
        One phrase for each part of the metadata that cannot be read.
    """

    first: Mapping[int, Field] = field(default_factory=dict)
    details: Mapping[int, Field] = field(default_factory=dict)
    gps: Mapping[int, Field] = field(default_factory=dict)
    xmp: bytes | None = None
    iptc: bytes | None = None
    icc: bytes | None = None
    problems: tuple[str, ...] = ()

    def text(self, tag: int) -> str:
        """Return the text of a tag in the Exif or first directory; empty if the tag is absent."""
        found = self.details.get(tag) or self.first.get(tag)
        return found.text() if found is not None and found.kind == _ASCII else ""

    def number(self, tag: int) -> float | None:
        """Return the first number of a tag in the Exif or first directory; ``None`` if absent."""
        found = self.details.get(tag) or self.first.get(tag)
        numbers = found.numbers() if found is not None else ()
        return float(numbers[0]) if numbers else None

    @property
    def orientation(self) -> int:
        """Orientation for viewing, 1 to 8 (TIFF 6.0, section 8); 1 if absent."""
        value = self.first.get(0x0112)
        number = value.numbers()[:1] if value is not None else ()
        return int(number[0]) if number and 1 <= number[0] <= 8 else 1

    def taken(self, or_changed: bool = False) -> tuple[float, bool] | None:
        """Return the time at which the photograph was taken, or was digitised.

        Parameters
        ----------
        or_changed
            Whether to return the time of the file's last change if the metadata give neither the
            time of taking nor the time of digitising.

        Returns
        -------
        tuple or None
            Seconds since 1970 on the camera's clock, and whether fractions of a second are given;
            ``None`` if the photograph gives no time.
        """
        for tag, fraction in (_TAKEN, _DIGITISED, *((_CHANGED,) if or_changed else ())):
            parts = re.match(r"(\d{4})\D(\d\d)\D(\d\d)\D(\d\d):(\d\d):(\d\d)", self.text(tag))
            try:
                when = datetime(*map(int, parts.groups()), tzinfo=UTC) if parts else None  # type: ignore[arg-type, misc]
            except ValueError:
                continue
            if when is None:
                continue
            # The time zone does not matter, because only differences between photographs are used.
            digits = re.match(r"\d+", self.text(fraction))
            return when.timestamp() + (float(f"0.{digits[0]}") if digits else 0.0), bool(digits)
        return None


@dataclass
class _Found:
    """The metadata blocks of a file."""

    tiff: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    icc: dict[int, bytes] = field(default_factory=dict)


def read_exif(path: Path) -> Exif:
    """Read the metadata of a JPEG, PNG, TIFF, WebP, AVIF, HEIF, JPEG XL or raw file.

    Raises
    ------
    OSError
        The file itself cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(32)
        if head[:2] in (b"II", b"MM") and _magic(head) in _CLASSIC | {_BIG}:
            return _parse(file)
        if head.startswith(b"\xff\xd8"):
            return _from_blocks(_jpeg_blocks(file, 0))
        if head.startswith(b"FUJIFILMCCD-RAW"):
            file.seek(84)  # offset of the JPEG preview, which has the camera's EXIF
            return _from_blocks(_jpeg_blocks(file, int.from_bytes(file.read(4), "big")))
        if head.startswith(_PNG_SIGNATURE):
            return _from_blocks(_png_blocks(file))
        if head[4:12] == b"ftypcrx ":
            return _cr3(file)
    return _from_blocks(_pillow_blocks(path))


def parse_exif(block: bytes) -> Exif:
    """Read an EXIF block, with or without its ``Exif`` signature."""
    return _parse(io.BytesIO(block.removeprefix(b"Exif\0\0")))


def settings_in(path: Path) -> dict[str, float]:
    """Return a photograph's shutter time (seconds), aperture (f-number) and ISO by canonical name.

    A setting that the photograph does not give is left out.
    """
    exif = read_exif(path)
    names = {"shutter": _SHUTTER, "aperture": _APERTURE, "iso": _ISO}
    numbers = {name: exif.number(tag) for name, tag in names.items()}
    return {name: number for name, number in numbers.items() if number is not None}


def _magic(head: bytes) -> int:
    return int.from_bytes(head[2:4], "little" if head[:2] == b"II" else "big")


def _from_blocks(found: _Found) -> Exif:
    exif = Exif() if found.tiff is None else parse_exif(found.tiff)
    icc = b"".join(found.icc[number] for number in sorted(found.icc))
    return Exif(
        exif.first, exif.details, exif.gps, found.xmp, found.iptc, icc or None, exif.problems
    )


def _parse(file: BinaryIO) -> Exif:
    problems: list[str] = []
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8 or _magic(head) not in _CLASSIC | {_BIG}:
        return Exif(problems=("its EXIF block does not begin with a TIFF header",))
    if _magic(head) == _BIG:
        if len(head) < 16:
            return Exif(problems=("its header is cut short",))
        (at,) = struct.unpack_from(order + "Q", head, 8)
    else:
        (at,) = struct.unpack_from(order + "I", head, 4)
    reader = _DirectoryReader(file, order, _magic(head) == _BIG, problems.append)
    first = reader.directory(at, "first")
    details, gps = (
        reader.directory(int(value.numbers()[0]), name)
        if (value := first.get(tag)) is not None and value.numbers()
        else {}
        for tag, name in ((EXIF_IFD, "Exif"), (GPS_IFD, "GPS"))
    )
    xmp, iptc, icc = (first[tag].data if tag in first else None for tag in (XMP, IPTC, ICC))
    if iptc is None and PHOTOSHOP in first:
        iptc = _iptc_in(first[PHOTOSHOP].data)
    return Exif(first, details, gps, xmp, iptc, icc, tuple(problems))


class _DirectoryReader:
    """Reads directories of a TIFF structure, never beyond the end of the file."""

    def __init__(
        self, file: BinaryIO, order: str, is_big: bool, report: Callable[[str], None]
    ) -> None:
        self._file, self._order, self._is_big, self._report = file, order, is_big, report
        self._end = file.seek(0, io.SEEK_END)

    def directory(self, at: int, name: str) -> dict[int, Field]:
        """Return the fields of the directory at byte ``at``; report fields that are unreadable."""
        count_code, entry_code, inside = ("Q", "HHQ", 8) if self._is_big else ("H", "HHI", 4)
        entry_bytes = struct.calcsize("<" + entry_code) + inside
        count_bytes = struct.calcsize("<" + count_code)
        head = self._read(at, count_bytes)
        if not at >= 8 or len(head) < count_bytes:
            self._report(f"the {name} directory has an invalid position: byte {at} of {self._end}")
            return {}
        (count,) = struct.unpack(self._order + count_code, head)
        entries = self._read(at + count_bytes, min(count, _MOST_ENTRIES) * entry_bytes)
        whole = len(entries) // entry_bytes
        if whole < count:
            self._report(f"the {name} directory has only {whole} of its {count} declared entries")
        fields: dict[int, Field] = {}
        for start in range(0, whole * entry_bytes, entry_bytes):
            tag, kind, number = struct.unpack_from(self._order + entry_code, entries, start)
            size = _SIZES.get(kind, 0) * number
            value = entries[start + entry_bytes - inside :][:inside]
            if size > inside:
                (where,) = struct.unpack(self._order + ("Q" if self._is_big else "I"), value)
                value = self._read(where, size) if size <= _LARGEST_VALUE else b""
            if kind not in _KINDS or size == 0 or len(value) < size:
                self._report(f"tag 0x{tag:04x} of the {name} directory has no readable value")
            elif tag not in fields:
                fields[tag] = Field(kind, value[:size], self._order)
        return fields

    def _read(self, at: int, size: int) -> bytes:
        if not 0 <= at < self._end:
            return b""
        self._file.seek(at)
        return self._file.read(min(size, self._end - at))


def _jpeg_blocks(file: BinaryIO, start: int) -> _Found:
    """Return the metadata segments in front of a JPEG's pixels (ITU-T T.81, annex B)."""
    found = _Found()
    file.seek(start + 2)
    while True:
        mark = file.read(4)
        # Fill bytes may precede a marker.
        while len(mark) == 4 and mark[:2] == b"\xff\xff":
            mark = mark[1:] + file.read(1)
        if len(mark) < 4 or mark[0] != 0xFF or mark[1] in (0xDA, 0xD9):
            return found
        size = int.from_bytes(mark[2:], "big") - 2
        if mark[1] not in (0xE1, 0xE2, 0xED):
            file.seek(max(size, 0), io.SEEK_CUR)
            continue
        data = file.read(max(size, 0))
        if data.startswith(b"Exif\0") and found.tiff is None:
            found.tiff = data[6:]
        elif data.startswith(_XMP_SEGMENT) and found.xmp is None:
            found.xmp = data[len(_XMP_SEGMENT) :]
        elif data.startswith(_ICC_SEGMENT) and len(data) > 14:
            found.icc.setdefault(data[12], data[14:])
        elif data.startswith(_PHOTOSHOP_SEGMENT) and found.iptc is None:
            found.iptc = _iptc_in(data[len(_PHOTOSHOP_SEGMENT) :])


def _iptc_in(resources: bytes) -> bytes | None:
    """Return the IPTC records among Photoshop's image resources; ``None`` if absent."""
    at = 0
    while resources[at : at + 4] == b"8BIM" and at + 12 <= len(resources):
        kind = int.from_bytes(resources[at + 4 : at + 6], "big")
        name_bytes = resources[at + 6] + 1
        start = at + 6 + name_bytes + name_bytes % 2
        size = int.from_bytes(resources[start : start + 4], "big")
        if kind == _IPTC_RESOURCE:
            return resources[start + 4 : start + 4 + size]
        at = start + 4 + size + size % 2
    return None


def _png_blocks(file: BinaryIO) -> _Found:
    """Return the metadata chunks of a PNG (PNG, third edition, section 11.3)."""
    import zlib

    found = _Found()
    file.seek(len(_PNG_SIGNATURE))
    while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
        size = int.from_bytes(head[:4], "big")
        if head[4:] not in (b"eXIf", b"iCCP", b"iTXt"):
            file.seek(size + 4, io.SEEK_CUR)
            continue
        data = file.read(size)
        file.seek(4, io.SEEK_CUR)
        if head[4:] == b"eXIf":
            found.tiff = data
        elif head[4:] == b"iCCP":
            unpacker = zlib.decompressobj()
            try:
                found.icc[1] = unpacker.decompress(data.split(b"\0", 1)[1][1:], _LARGEST_VALUE)
            except (zlib.error, IndexError):
                continue
        elif data.startswith(b"XML:com.adobe.xmp\0\0"):  # not compressed
            found.xmp = data.split(b"\0", 5)[-1]
    return found


def _cr3(file: BinaryIO) -> Exif:
    """Read Canon's CR3, which keeps each directory as a TIFF structure in a separate box."""
    file.seek(0)
    head = file.read(_CR3_HEAD_BYTES)
    parts = []
    for name in (b"CMT1", b"CMT2"):
        at = head.find(name)
        size = int.from_bytes(head[at - 4 : at], "big") if at >= 4 else 0
        parts.append(parse_exif(head[at + 4 : at - 4 + size]) if size else Exif())
    problems = parts[0].problems + parts[1].problems
    return Exif(parts[0].first, parts[1].first, problems=problems)


@cache
def _register_plugins() -> None:
    """Let Pillow open HEIF and JPEG XL if the plugins for these types are installed."""
    with suppress(ImportError):
        import_module("pillow_heif").register_heif_opener()
    with suppress(ImportError):
        import_module("pillow_jxl")  # registers by itself


def _pillow_blocks(path: Path) -> _Found:
    """Return the metadata blocks of other file types, read by Pillow or its plugins."""
    from PIL import Image

    found = _Found()
    _register_plugins()
    try:
        with Image.open(path) as picture:
            info = picture.info
    except (OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError):
        # RuntimeError is what the JPEG XL plugin raises. A damaged file is reported when its
        # pixels are read.
        return found
    found.tiff = info.get("exif") or None
    xmp = info.get("xmp") or None
    found.xmp = xmp.encode() if isinstance(xmp, str) else xmp
    if info.get("icc_profile"):
        found.icc[1] = info["icc_profile"]
    return found
