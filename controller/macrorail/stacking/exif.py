"""EXIF for what was fused: camera, lens and exposure from a frame, the rest about the composite.

Maker notes are left out: their offsets break when they are moved, and nobody but the camera may
write them. The orientation is left out too, as frames are stacked in the sensor's geometry.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tifftools
from PIL import Image, UnidentifiedImageError
from tifftools import Datatype

from macrorail.errors import StackError
from macrorail.stacking.raw import RAW_SUFFIXES

_EXIF_IFD = 0x8769
_GPS_IFD = 0x8825
#: IFD0 tags that hold for every frame and for what is made of them.
_KEPT = (0x010F, 0x0110, 0x0132, 0x013B, 0x8298, _GPS_IFD)  # Make Model DateTime Artist Copyright
#: Of the Exif IFD: MakerNote, InteroperabilityIFD.
_LEFT_OUT = (0x927C, 0xA005)
#: PixelXDimension, PixelYDimension, ComponentsConfiguration: not for a TIFF.
_OF_A_JPEG = (0xA002, 0xA003, 0x9101)
#: How files begin that are built like a TIFF; most cameras' raw files are.
_TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SRGB = 1
_CENTRED = 1
_GENERAL_COMPOSITE = 2  # CIPA DC-008-2023, tag CompositeImage

Tags = dict[int, dict[str, Any]]


@dataclass(frozen=True)
class Composite:
    """What the fused picture is.

    Attributes
    ----------
    frames, used
        How many frames were taken, and how many of them went into the picture.
    software, operator, rights
        For the tags of those names; ``None`` leaves the frames' own.
    """

    frames: int
    used: int
    software: str
    operator: str | None = None
    rights: str | None = None


def stack_tags(reference: Path, frames: int) -> Tags:
    """Tags for a picture fused from ``frames`` frames; where the reference's own cannot be read,
    only what is known about the composite."""
    composite = Composite(frames, frames, f"macrorail {version('macrorail')}")
    try:
        return exif_tags(reference, composite)
    except StackError:
        return _with_composite({}, composite)


def exif_tags(frame: Path, composite: Composite) -> Tags:
    """IFD0 tags for the fused picture, among them the Exif IFD.

    Parameters
    ----------
    frame
        The reference frame; one without EXIF gives only what is known about the composite.

    Raises
    ------
    StackError
        The frame cannot be read.
    """
    tags = _with_composite(_read(frame), composite)
    if frame.suffix.lower() in RAW_SUFFIXES:  # developed into sRGB, whatever the camera was set to
        tags[_EXIF_IFD]["ifds"][0][0]["tags"][0xA001] = _value(Datatype.SHORT, [_SRGB])
    return tags


def _with_composite(first: Tags, composite: Composite) -> Tags:
    tags = {tag: first[tag] for tag in _KEPT if tag in first}
    exif = dict(first[_EXIF_IFD]["ifds"][0][0]["tags"]) if _EXIF_IFD in first else {}
    for tag in _LEFT_OUT:
        exif.pop(tag, None)
    exif.setdefault(0x9000, _value(Datatype.UNDEFINED, b"0232"))  # ExifVersion
    exif.setdefault(0xA000, _value(Datatype.UNDEFINED, b"0100"))  # FlashpixVersion
    exif.setdefault(0xA001, _value(Datatype.SHORT, [_SRGB]))  # ColorSpace
    for tag in _OF_A_JPEG:
        exif.pop(tag, None)
    exif[0xA460] = _value(Datatype.SHORT, [_GENERAL_COMPOSITE])  # CompositeImage
    # CompositeImageCount: source images, and those used
    exif[0xA461] = _value(
        Datatype.SHORT, [min(n, 65535) for n in (composite.frames, composite.used)]
    )
    tags[0x0131] = _value(Datatype.ASCII, composite.software)
    if composite.operator is not None:
        tags[0x013B] = _value(Datatype.ASCII, composite.operator)
    if composite.rights is not None:
        tags[0x8298] = _value(Datatype.ASCII, composite.rights)
    tags[_EXIF_IFD] = _directory(exif)
    return tags


def exif_block(tags: Tags, width: int, height: int, um_per_px: float | None) -> bytes:
    """The tags as the block that a JPEG of this size carries, with the resolution if known."""
    tags = {**tags, **({} if um_per_px is None else resolution_tags(um_per_px))}
    exif = tags[_EXIF_IFD]["ifds"][0][0]["tags"] | {
        0x9101: _value(Datatype.UNDEFINED, b"\1\2\3\0"),  # ComponentsConfiguration: Y, Cb, Cr
        0xA002: _value(Datatype.LONG, [width]),  # PixelXDimension
        0xA003: _value(Datatype.LONG, [height]),
    }
    tags[_EXIF_IFD] = _directory(exif)
    tags[0x0213] = _value(Datatype.SHORT, [_CENTRED])  # YCbCrPositioning
    stream = io.BytesIO()
    tifftools.write_tiff({"tags": tags, "bigEndian": False, "bigtiff": False}, stream)
    return b"Exif\0\0" + stream.getvalue()


def resolution_tags(um_per_px: float) -> Tags:
    """XResolution, YResolution and their unit: pixels per centimetre of the specimen."""
    per_cm = [round(10_000 / um_per_px * 10_000), 10_000]
    return {
        0x011A: _value(Datatype.RATIONAL, per_cm),
        0x011B: _value(Datatype.RATIONAL, per_cm),
        0x0128: _value(Datatype.SHORT, [3]),
    }


def has_unknown_colours(frame: Path) -> bool:
    """Whether a frame says that its colours are not sRGB without saying what they are."""
    try:
        first = _read(frame)
    except StackError:
        return False
    if _EXIF_IFD not in first:
        return False
    space = first[_EXIF_IFD]["ifds"][0][0]["tags"].get(0xA001)  # ColorSpace
    return space is not None and space["data"][0] == 0xFFFF


def frame_profile(frame: Path) -> bytes | None:
    """The ICC profile in a frame, or ``None``."""
    try:
        with Image.open(frame) as picture:
            profile = picture.info.get("icc_profile")
    except (OSError, UnidentifiedImageError) as error:
        raise StackError(f"{frame} cannot be read: {error}") from error
    return bytes(profile) if profile else None


def _read(frame: Path) -> Tags:
    """IFD0 of a frame as the camera wrote it."""
    try:
        with frame.open("rb") as file:
            head = file.read(4)
        if head in _TIFF_HEADS:
            info = tifftools.read_tiff(str(frame))
        elif frame.suffix.lower() in RAW_SUFFIXES:
            return {}  # of a make that goes its own way
        else:
            with Image.open(frame) as picture:
                block = picture.info.get("exif", b"")
            if not block:
                return {}
            info = tifftools.read_tiff(io.BytesIO(block.removeprefix(b"Exif\0\0")))
    except (OSError, UnidentifiedImageError, tifftools.TifftoolsError) as error:
        raise StackError(f"the EXIF of {frame} cannot be read: {error}") from error
    tags: Tags = info["ifds"][0]["tags"]
    return tags


def _value(kind: Any, data: Any) -> dict[str, Any]:
    return {"datatype": int(kind), "data": data}


def _directory(tags: Tags) -> dict[str, Any]:
    return {"datatype": int(Datatype.IFD), "ifds": [[{"tags": tags}]]}
