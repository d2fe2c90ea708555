"""Metadata of a fused picture: camera, lens, exposure and colour profile of the reference frame.

Readable EXIF, caption, XMP and IPTC data are copied from the reference frame. Data that cannot be
read are reported and left out; the picture is written all the same. Maker notes are left out,
because their internal offsets are wrong after copying. The orientation is copied, so that viewers
rotate the picture as they rotate the frames.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tifftools
from tifftools import Datatype

from macrorail.errors import StackError
from macrorail.exif import Exif, Field, read_exif
from macrorail.stacking.colour import profile_space, srgb_profile
from macrorail.stacking.kinds import HEIF, JXL, RAW, kind_in

_EXIF_IFD = 0x8769
_GPS_IFD = 0x8825
_CAPTION, _ORIENTATION, _SOFTWARE, _COMPOSITE = 0x010E, 0x0112, 0x0131, 0xA460
#: Tags of the first directory that are valid for every frame and for the fused picture: Make,
#: Model, DateTime, Artist, Copyright.
_KEPT = (0x010F, 0x0110, 0x0132, 0x013B, 0x8298)
#: Tags of the Exif directory that are left out: MakerNote, InteroperabilityIFD.
_LEFT_OUT = (0x927C, 0xA005)
#: Tags not allowed in a TIFF: PixelXDimension, PixelYDimension, ComponentsConfiguration.
_OF_A_JPEG = (0xA002, 0xA003, 0x9101)
#: Starts of captions that describe the layout of the original file.
_LAYOUTS = ('{"shape"', "ImageJ=", "<?xml", "<OME")
_CLASSIC_KINDS = range(1, 13)
_LARGEST_FIELD = 16_384
_SRGB, _UNCALIBRATED = 1, 0xFFFF
_CENTRED = 1
_GENERAL_COMPOSITE = 2  # CIPA DC-008-2023, tag CompositeImage
_PROGRAM = "macrorail"

Tags = dict[int, dict[str, Any]]


@dataclass(frozen=True)
class Composite:
    """How the fused picture was made.

    Attributes
    ----------
    frames, used
        Number of frames taken, and number of frames fused into the picture.
    software, operator, rights
        Values of the tags Software, Artist and Copyright. With ``None`` the frame's own value is
        kept.
    """

    frames: int
    used: int
    software: str
    operator: str | None = None
    rights: str | None = None


@dataclass(frozen=True)
class Metadata:
    """Metadata to be written into a picture.

    Attributes
    ----------
    tags
        Tags of the first directory, including the Exif directory, in tifftools's form.
    icc
        ICC profile that defines the colours.
    xmp, iptc
        XMP and IPTC data of the reference frame.
    left_out
        One sentence for each item of the reference frame's metadata that cannot be copied.
    """

    tags: Tags = field(default_factory=dict)
    icc: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    left_out: tuple[str, ...] = ()


def result_metadata(reference: Path, frames: int) -> Metadata:
    """Return the metadata for a picture fused from ``frames`` frames.

    Damaged metadata of the reference frame are reported in ``left_out`` and raise no error.
    """
    composite = Composite(frames, frames, f"{_PROGRAM} {version('macrorail')}")
    try:
        exif, kind = read_exif(reference), kind_in(reference)
    except OSError as error:
        why = f"the metadata of {reference.name} cannot be read: {error.strerror or error}"
        return Metadata(_with_composite(Exif(), composite), srgb_profile(), left_out=(why,))
    problems = [one for one in exif.problems if "0x927c" not in one and "0xa005" not in one]
    tags = _with_composite(exif, composite)
    # Decoders of these types apply the orientation themselves.
    orientation = 1 if kind in (HEIF, JXL) else exif.orientation
    if orientation != 1:
        tags[_ORIENTATION] = _value(Datatype.SHORT, [orientation])
    caption = exif.first.get(_CAPTION)
    if caption is not None and caption.text() and not caption.text().startswith(_LAYOUTS):
        tags[_CAPTION] = _as_tag(caption)
    if kind is RAW:
        _say_srgb(tags)
    icc = _profile(exif, kind is RAW)
    if icc is None:
        problems.append("its EXIF says that its colours are not sRGB, and it has no profile")
    elif exif.icc is not None and icc != exif.icc and profile_space(exif.icc) not in _CONVERTED:
        problems.append("its colour profile is damaged")
    xmp = exif.xmp
    if xmp is not None and b"<rdf:RDF" not in xmp:
        xmp = None
        problems.append("its XMP packet is damaged")
    if xmp is not None:
        digit = str(orientation).encode()
        xmp = re.sub(rb'(tiff:Orientation(?:="|>))\d', rb"\g<1>" + digit, xmp.rstrip(b"\0"))
    iptc = exif.iptc if exif.iptc and exif.iptc[:1] == b"\x1c" else None
    if exif.iptc and iptc is None:
        problems.append("its IPTC records are damaged")
    sentences = tuple(f"metadata of {reference.name} left out: {one}" for one in problems)
    return Metadata(tags, icc, xmp, iptc, sentences)


#: Profiles of pictures that are converted to sRGB when they are read.
_CONVERTED = ("GRAY", "CMYK", "Lab")


def exif_tags(frame: Path, composite: Composite) -> Tags:
    """Return the first directory's tags for the fused picture, including the Exif directory.

    Parameters
    ----------
    frame
        The reference frame. If it has no EXIF, the tags describe only the composite.

    Raises
    ------
    StackError
        The frame cannot be read.
    """
    tags = _with_composite(_read(frame), composite)
    if frame.suffix.lower() in RAW.suffixes:  # always developed into sRGB
        _say_srgb(tags)
    return tags


def is_own_result(path: Path) -> bool:
    """Return whether the metadata of a file show that macrorail wrote it as a result."""
    try:
        exif = read_exif(path)
    except OSError:
        return False
    return exif.text(_SOFTWARE).startswith(f"{_PROGRAM} ") and (
        _COMPOSITE in exif.details or _EXIF_IFD not in exif.first
    )


def own_software() -> str:
    """Return the Software tag that results have."""
    return f"{_PROGRAM} {version('macrorail')}"


def colour_profile(path: Path) -> bytes | None:
    """Return the ICC profile that defines the colours of a picture as it is read.

    This is the picture's own RGB profile, otherwise sRGB's. It is ``None`` if the EXIF says that
    the colours are not sRGB but there is no profile.

    Raises
    ------
    StackError
        The picture cannot be read.
    """
    return _profile(_read(path), path.suffix.lower() in RAW.suffixes)


def _profile(exif: Exif, is_raw: bool) -> bytes | None:
    if not is_raw and exif.icc is not None and profile_space(exif.icc) == "RGB":
        return exif.icc
    if not is_raw and exif.icc is None and _is_uncalibrated(exif):
        return None
    return srgb_profile()


def _is_uncalibrated(exif: Exif) -> bool:
    return exif.number(0xA001) == _UNCALIBRATED  # ColorSpace


def _say_srgb(tags: Tags) -> None:
    tags[_EXIF_IFD]["ifds"][0][0]["tags"][0xA001] = _value(Datatype.SHORT, [_SRGB])


def _with_composite(frame: Exif, composite: Composite) -> Tags:
    tags = _as_tags({tag: frame.first[tag] for tag in _KEPT if tag in frame.first})
    if gps := _as_tags(frame.gps):
        tags[_GPS_IFD] = _directory(gps)
    exif = _as_tags(frame.details)
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
    """Return the tags as the EXIF block of a JPEG of this size, with the resolution if known."""
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
    """Return the tags XResolution, YResolution and ResolutionUnit, in pixels per cm of specimen."""
    per_cm = [round(10_000 / um_per_px * 10_000), 10_000]
    return {
        0x011A: _value(Datatype.RATIONAL, per_cm),
        0x011B: _value(Datatype.RATIONAL, per_cm),
        0x0128: _value(Datatype.SHORT, [3]),
    }


def _read(frame: Path) -> Exif:
    try:
        return read_exif(frame)
    except OSError as error:
        raise StackError(f"{frame} cannot be read: {error.strerror or error}") from error


def _as_tags(fields: Mapping[int, Field]) -> Tags:
    """Return fields in tifftools's form, without those that a classic TIFF cannot contain."""
    return {
        tag: _as_tag(value)
        for tag, value in fields.items()
        if value.kind in _CLASSIC_KINDS and len(value.data) <= _LARGEST_FIELD
    }


def _as_tag(value: Field) -> dict[str, Any]:
    pack = Datatype[value.kind].pack
    if pack is None:
        data: Any = value.data.rstrip(b"\0") if value.kind == Datatype.ASCII else value.data
    else:
        size = struct.calcsize("=" + pack)
        whole = len(value.data) // size
        data = list(struct.unpack_from(value.order + pack * whole, value.data))
    return _value(value.kind, data)


def _value(kind: Any, data: Any) -> dict[str, Any]:
    return {"datatype": int(kind), "data": data}


def _directory(tags: Tags) -> dict[str, Any]:
    return {"datatype": int(Datatype.IFD), "ifds": [[{"tags": tags}]]}
