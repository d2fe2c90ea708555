"""Reads the time, camera, lens and focus distance of photographs from their metadata."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from macrorail.errors import StackError
from macrorail.exif import Exif, read_exif
from macrorail.stacking.images import picture_size
from macrorail.stacking.kinds import RAW, TIFF, kind_of

_WIDTH, _HEIGHT, _MAKE, _MODEL = 0x0100, 0x0101, 0x010F, 0x0110
_BODY, _LENS, _FOCAL_LENGTH, _F_NUMBER = 0xA431, 0xA434, 0x920A, 0x829D
_SUBJECT_DISTANCE, _INFINITY = 0x9206, 0xFFFFFFFF
_FOCUS_XMP = "{http://ns.adobe.com/exif/1.0/aux/}ApproximateFocusDistance"
#: What exiftool calls the distance, by make; read in this order.
_FOCUS_NAMES = ("FocusDistance", "FocusDistance2", "FocusDistanceUpper", "ApproximateFocusDistance")
_PATIENCE_S = 120


@dataclass(frozen=True)
class Photo:
    """One photograph.

    Attributes
    ----------
    path
        Path of the file.
    kind
        Properties that are the same for all frames of a stack: type of file, size, camera, lens,
        focal length, f-number.
    taken_s
        Capture time in seconds since 1970 by the camera's clock; ``None`` when it is not recorded.
    vergence
        1 / focus distance, in 1/m; focus bracketing uses about equal steps of this value. ``None``
        when the focus distance is not recorded.
    series, number
        File name without its last number, and the number: ``IMG_`` and 12 for ``IMG_0012.jpg``. The
        number is -1 for a name without a number.
    sequence
        Sequence number in the camera's focus bracket; ``None`` if exiftool does not find one.
    """

    path: Path
    kind: tuple[str, ...]
    taken_s: float | None
    vergence: float | None = None
    series: str = ""
    number: int = -1
    sequence: int | None = None


def read_photos(paths: Iterable[Path]) -> list[Photo]:
    """Read and return the metadata of photographs.

    Files that cannot be read are left out, because they may still be arriving. If exiftool is
    installed, it reads the data that are only in maker notes (focus distance, sequence number).
    """
    photos = [photo for photo in map(_read, paths) if photo is not None]
    told = _ask_exiftool([photo.path for photo in photos])
    return [_with_maker_notes(photo, told.get(str(photo.path), {})) for photo in photos]


def _read(path: Path) -> Photo | None:
    try:
        kind, exif = kind_of(path), read_exif(path)
        size = _size(path, exif) if kind in (TIFF, RAW) else _size_in_head(path)
    except (OSError, SyntaxError, ValueError, StackError):
        return None
    if kind is None or not size:
        return None
    names = (exif.text(tag) for tag in (_MAKE, _MODEL, _BODY, _LENS))
    optics = (exif.number(tag) for tag in (_FOCAL_LENGTH, _F_NUMBER))
    told = (*names, *("" if value is None else f"{value:g}" for value in optics))
    stem = re.fullmatch(r"(.*?)(\d+)", path.stem)
    series, number = (stem[1], int(stem[2])) if stem else (path.stem, -1)
    focus_m = _distance(exif)
    if focus_m is None:
        focus_m = _focus_in_xmp(exif.xmp or b"")
    taken = exif.taken(or_changed=True)
    return Photo(
        path,
        (path.suffix.lower(), size, *told),
        None if taken is None else taken[0],
        _vergence(focus_m),
        series,
        number,
    )


def _size(path: Path, exif: Exif) -> str:
    """Return the size of a TIFF's first page as text; ``raw`` for other raw files."""
    width, height = (exif.first.get(tag) for tag in (_WIDTH, _HEIGHT))
    if width is None or height is None:
        return "raw" if path.suffix.lower() in RAW.suffixes and exif.first else ""
    return f"{int(width.numbers()[0])}x{int(height.numbers()[0])}"


def _size_in_head(path: Path) -> str:
    width, height, _ = picture_size(path)
    return f"{width}x{height}"


def _distance(exif: Exif) -> float | None:
    """Return the EXIF SubjectDistance in metres; ``None`` if absent or unknown.

    In EXIF, 0 stands for unknown, and a numerator of 2**32 - 1 for infinity.
    """
    metres = exif.number(_SUBJECT_DISTANCE)
    if metres is not None and metres >= _INFINITY:
        return float("inf")
    return metres if metres is not None and metres > 0 else None


def _focus_in_xmp(data: bytes) -> float | None:
    """Return the focus distance in metres from Lightroom's XMP; ``None`` if absent."""
    begin, end = data.find(b"<x:xmpmeta"), data.rfind(b"</x:xmpmeta>")
    if begin < 0 or end < 0:
        return None
    try:
        root = ElementTree.fromstring(data[begin : end + len(b"</x:xmpmeta>")])
    except ElementTree.ParseError:
        return None
    for element in root.iter():
        text = element.get(_FOCUS_XMP) or (element.text if element.tag == _FOCUS_XMP else None)
        if text:
            return _metres(text)
    return None


def _metres(text: object) -> float | None:
    top, _, bottom = str(text).strip().partition("/")
    try:
        if bottom and float(top) == 0xFFFFFFFF:
            return float("inf")
        metres = float(top) / float(bottom or 1)
    except (ValueError, ZeroDivisionError):
        return None
    return metres if metres > 0 else None


def _vergence(metres: float | None) -> float | None:
    return None if metres is None else 1 / metres


def _ask_exiftool(paths: list[Path]) -> dict[str, dict[str, Any]]:
    program = shutil.which("exiftool")
    if program is None or not paths:
        return {}
    wanted = [f"-{name}" for name in (*_FOCUS_NAMES, "SequenceNumber")]
    try:
        done = subprocess.run(
            [program, "-json", "-n", "-fast", *wanted, "--", *map(str, paths)],
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        found = json.loads(done.stdout or b"[]")
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return {}  # the metadata that were read without exiftool suffice
    return {str(one["SourceFile"]): one for one in found}


def _with_maker_notes(photo: Photo, told: dict[str, Any]) -> Photo:
    focus = next((told[name] for name in _FOCUS_NAMES if name in told), None)
    sequence = told.get("SequenceNumber")
    if photo.vergence is None and focus is not None:
        photo = replace(photo, vergence=_vergence(_metres(focus)))
    if isinstance(sequence, int) and sequence > 0:
        photo = replace(photo, sequence=sequence)
    return photo
