"""What a photograph says about when, with what and at which focus it was taken."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tifffile
from PIL import Image

from macrorail.stacking.images import TIFF_SUFFIXES
from macrorail.stacking.raw import RAW_SUFFIXES

_EXIF_IFD = 0x8769
_FOCUS_XMP = "{http://ns.adobe.com/exif/1.0/aux/}ApproximateFocusDistance"
#: What exiftool calls the distance, by make; read in this order.
_FOCUS_NAMES = ("FocusDistance", "FocusDistance2", "FocusDistanceUpper", "ApproximateFocusDistance")
_PATIENCE_S = 120
#: What tifffile calls the tags that are read here.
_NAMES = {
    0x829D: "FNumber",
    0x9003: "DateTimeOriginal",
    0x9004: "DateTimeDigitized",
    0x9206: "SubjectDistance",
    0x9290: "SubsecTime",
    0x9291: "SubsecTimeOriginal",
    0x920A: "FocalLength",
    0xA431: "BodySerialNumber",
    0xA434: "LensModel",
}


@dataclass(frozen=True)
class Photo:
    """One photograph.

    Attributes
    ----------
    path
        Where it lies.
    kind
        What all frames of a stack share: type of file, size, camera, lens, focal length, f-number.
    taken_s
        Seconds since 1970 by the camera's clock; ``None`` when it does not say.
    vergence
        1 / distance in focus, per metre: bracketing takes about even steps in it. ``None`` when
        the photograph does not say.
    series, number
        ``IMG_`` and 12 of ``IMG_0012.jpg``; -1 for a name without a number.
    sequence
        Its place in the camera's own bracket, if exiftool finds one.
    """

    path: Path
    kind: tuple[str, ...]
    taken_s: float | None
    vergence: float | None = None
    series: str = ""
    number: int = -1
    sequence: int | None = None


def read_photos(paths: Iterable[Path]) -> list[Photo]:
    """Read what photographs say; those that cannot be read are left out: they may be on the way.

    What only maker notes tell (focus, place in a bracket) is read by exiftool where it is
    installed.
    """
    photos = [photo for photo in map(_read, paths) if photo is not None]
    told = _ask_exiftool([photo.path for photo in photos])
    return [_with_maker_notes(photo, told.get(str(photo.path), {})) for photo in photos]


def _read(path: Path) -> Photo | None:
    try:
        tags, size, xmp = _tags_of_tiff(path) if _is_tiff(path) else _tags(path)
    except (OSError, SyntaxError, ValueError, KeyError, tifffile.TiffFileError):
        return None
    # Make, Model, BodySerialNumber, LensModel; FocalLength, FNumber
    names = (tags.get(0x010F), tags.get(0x0110), tags.get(0xA431), tags.get(0xA434))
    optics = (_number(tags.get(0x920A)), _number(tags.get(0x829D)))
    kind = (
        path.suffix.lower(),
        size,
        *(str(name or "").strip("\0 ") for name in names),
        *("" if value is None else f"{value:g}" for value in optics),
    )
    stem = re.fullmatch(r"(.*?)(\d+)", path.stem)
    series, number = (stem[1], int(stem[2])) if stem else (path.stem, -1)
    focus_m = _distance(tags.get(0x9206))
    if focus_m is None:
        focus_m = _focus_in_xmp(xmp)
    return Photo(path, kind, _taken(tags), _vergence(focus_m), series, number)


def _is_tiff(path: Path) -> bool:
    """TIFF, and the many raw files that are built like one."""
    return path.suffix.lower() in TIFF_SUFFIXES | RAW_SUFFIXES


def _tags(path: Path) -> tuple[dict[int, Any], str, bytes | str]:
    """EXIF tags, size and XMP of a JPEG or PNG."""
    with Image.open(path) as picture:
        exif = picture.getexif()
        tags = {**dict(exif), **exif.get_ifd(_EXIF_IFD)}
        return tags, f"{picture.size[0]}x{picture.size[1]}", picture.info.get("xmp", b"")


def _tags_of_tiff(path: Path) -> tuple[dict[int, Any], str, bytes | str]:
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        tags = {tag.code: tag.value for tag in page.tags.values()}
        # tifffile gives the tags of the Exif IFD by their names.
        details = tags.get(_EXIF_IFD)
        if isinstance(details, dict):
            tags |= {code: details[name] for code, name in _NAMES.items() if name in details}
        return tags, f"{page.shape[1]}x{page.shape[0]}", tags.get(0x02BC, b"")


def _number(value: Any) -> float | None:
    """A rational as Pillow or tifffile gives it."""
    if isinstance(value, tuple) and len(value) == 2:
        return value[0] / value[1] if value[1] else None
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _taken(tags: dict[int, Any]) -> float | None:
    text = tags.get(0x9003) or tags.get(0x9004) or tags.get(0x0132)
    try:
        when = datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    digits = re.match(r"\d+", str(tags.get(0x9291) or tags.get(0x9290) or ""))
    parts = float(f"0.{digits[0]}") if digits else 0.0
    # The zone does not matter: only the time between photographs does.
    return when.replace(tzinfo=UTC).timestamp() + parts


def _distance(value: Any) -> float | None:
    """SubjectDistance in metres; 0 stands for unknown, 2**32 - 1 / 1 for infinity."""
    top = value[0] if isinstance(value, tuple) else getattr(value, "numerator", None)
    if top == 0xFFFFFFFF:
        return float("inf")
    metres = _number(value)
    return metres if metres is not None and metres > 0 else None


def _focus_in_xmp(packet: bytes | str) -> float | None:
    """What Lightroom writes, as an attribute or an element."""
    if not packet:
        return None
    data = packet.encode() if isinstance(packet, str) else packet
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
        return {}  # it only adds to what the photographs say by themselves
    return {str(one["SourceFile"]): one for one in found}


def _with_maker_notes(photo: Photo, told: dict[str, Any]) -> Photo:
    focus = next((told[name] for name in _FOCUS_NAMES if name in told), None)
    sequence = told.get("SequenceNumber")
    if photo.vergence is None and focus is not None:
        photo = replace(photo, vergence=_vergence(_metres(focus)))
    if isinstance(sequence, int) and sequence > 0:
        photo = replace(photo, sequence=sequence)
    return photo
