"""Pictures on disk: reading them as the sensor saw them, writing them so that they are whole.

Pixels are BGR, uint8 or uint16, sRGB-encoded. An EXIF orientation is ignored, always: all frames
of a stack then share one geometry, the sensor's, even when a camera pointing straight down changes
its mind about which side is up.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
import tifffile
import tifftools
from numpy.typing import NDArray
from PIL import Image, ImageCms

from macrorail.errors import StackError
from macrorail.stacking.exif import Tags, exif_block, has_unknown_colours
from macrorail.stacking.raw import RAW_SUFFIXES, develop

Picture = NDArray[np.uint8] | NDArray[np.uint16]

JPEG_SUFFIXES = frozenset({".jpg", ".jpeg"})
TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
SUFFIXES = JPEG_SUFFIXES | TIFF_SUFFIXES | RAW_SUFFIXES | {".png"}

_JPEG_QUALITY = 95
_STRIP_ROWS = 256
# Only what stands in front of the pixels is read with it, so a large picture is no danger.
Image.MAX_IMAGE_PIXELS = None
# A segment of a JPEG holds 65535 bytes, with its length and 14 of a profile's own.
_ICC_PIECE = 65_519
_QUICK_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]
# For what is smooth: no choice of filters, which takes as long as all the rest.
_SMOOTH_PNG = [*_QUICK_PNG, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
_PNG_END = b"IEND\xaeB`\x82"


def is_picture(path: Path) -> bool:
    """Whether the suffix is one that :func:`read_picture` knows."""
    return path.suffix.lower() in SUFFIXES


def read_picture(path: Path, spent: Picture | None = None) -> Picture:
    """Read a JPEG, PNG, TIFF or a camera's raw file.

    Parameters
    ----------
    spent
        A picture that is not needed any more: a JPEG of its size takes its place, since fresh
        memory costs a fifth of the reading.

    Returns
    -------
    array of shape (height, width, 3), BGR, uint8 or uint16
        Grey pictures are repeated into three channels; an EXIF orientation is not applied.

    Raises
    ------
    StackError
        Unknown type, unreadable, truncated or of a pixel type that cannot be stacked; names the
        file.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise StackError(
            f"{path}: '{path.suffix}' is not a type that can be stacked; give JPEG, PNG, "
            f"TIFF or a camera's raw files"
        )
    if suffix in RAW_SUFFIXES:
        return develop(path)
    try:
        if suffix in TIFF_SUFFIXES:
            return _as_bgr(_decode_tiff(path), path)
        data = path.read_bytes()
        if suffix in JPEG_SUFFIXES:
            height, width = simplejpeg.decode_jpeg_header(data)[:2]
            fits = spent is not None and spent.shape == (height, width, 3) and spent.itemsize == 1
            pixels = simplejpeg.decode_jpeg(data, "BGR", buffer=spent if fits else None)
        else:
            pixels = _decode_png(data)
    except OSError as error:
        raise StackError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RuntimeError, cv2.error, tifffile.TiffFileError) as error:
        raise StackError(f"{path} is damaged or cut short: {error}") from error
    return _as_bgr(pixels, path)


def _decode_png(data: bytes) -> NDArray[np.generic]:
    # libpng hands out the rows it has and only warns, so the end is looked for here.
    if not data.rstrip(b"\0").endswith(_PNG_END):
        raise ValueError("the end of the PNG is missing")
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        raise ValueError("not a PNG")
    return pixels


def _decode_tiff(path: Path) -> NDArray[np.generic]:
    pixels = tifffile.imread(path)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        return np.ascontiguousarray(pixels[:, :, 2::-1])
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        # In place: a second copy of a large picture has no room.
        for y in range(0, len(pixels), _STRIP_ROWS):
            rows = pixels[y : y + _STRIP_ROWS]
            rows[:] = rows[:, :, ::-1].copy()
    return np.asarray(pixels)


def _as_bgr(pixels: NDArray[np.generic], path: Path) -> Picture:
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, np.newaxis], 3, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise StackError(f"{path} has the shape {pixels.shape}; a colour or grey picture is needed")
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    if pixels.dtype == np.uint16:
        return pixels.astype(np.uint16, copy=False)
    raise StackError(f"{path} has {pixels.dtype} pixels; 8 or 16 bits per channel are needed")


def write_picture(
    path: Path,
    pixels: Picture,
    um_per_px: float | None = None,
    icc: bytes | None = None,
    exif: Tags | None = None,
) -> None:
    """Write a picture, its format chosen by the suffix: TIFF and PNG as they are, JPEG in 8 bits.

    Written aside and renamed: an older file of that name is replaced by a whole one, or kept.

    Parameters
    ----------
    pixels
        (height, width, 3), BGR, uint8 or uint16.
    um_per_px
        Size of a pixel on the specimen, micrometres; goes into a TIFF as its resolution.
    icc
        Colour profile; goes into a TIFF or JPEG.
    exif
        What :func:`stack_tags` gives; goes into a TIFF or JPEG.

    Raises
    ------
    StackError
        Unknown suffix, or the folder cannot be written.
    """
    suffix = path.suffix.lower()
    aside = path.with_name(f".{path.name}.part{path.suffix}")
    try:
        if suffix in TIFF_SUFFIXES:
            _write_tiff(aside, pixels, um_per_px, icc)
            if exif is not None:
                _add_tags(aside, exif)
        elif suffix == ".png":
            _encode(aside, pixels, _QUICK_PNG)
        elif suffix in JPEG_SUFFIXES:
            _encode(aside, to_8_bit(pixels), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
            height, width = pixels.shape[:2]
            block = None if exif is None else exif_block(exif, width, height, um_per_px)
            _add_segments(aside, block, icc)
        else:
            raise StackError(f"{path}: the result is written as .tif, .png or .jpg")
        _replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise StackError(f"{path} cannot be written: {error.strerror or error}") from error


def confidence_path(depth: Path) -> Path:
    """Of the picture beside a depth map that says how much of it is to be believed."""
    return depth.with_name(f"{depth.stem}-confidence.png")


def write_depth(
    path: Path,
    depth: NDArray[np.float32],
    confidence: NDArray[np.float32],
    um_per_px: float | None = None,
) -> None:
    """Write a depth map as a float32 TIFF and its confidence beside it, aside and renamed.

    Parameters
    ----------
    confidence
        (height, width), 0..1; the picture has it in 8 bits, 255 for 1.

    Raises
    ------
    StackError
        Another suffix than .tif, or the folder cannot be written.
    """
    if path.suffix.lower() not in TIFF_SUFFIXES:
        raise StackError(f"{path}: a depth map keeps its precision only as .tif")
    aside = path.with_name(f".{path.name}.part{path.suffix}")
    try:
        _write_tiff(aside, depth, um_per_px)
        _replace(aside, path)
        path = confidence_path(path)
        aside = path.with_name(f".{path.name}.part.png")
        _encode(
            aside, np.asarray(cv2.convertScaleAbs(confidence, alpha=255), np.uint8), _SMOOTH_PNG
        )
        _replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise StackError(f"{path} cannot be written: {error.strerror or error}") from error


def colour_profile(path: Path) -> bytes | None:
    """The ICC profile that a picture's colours are meant in: its own, otherwise sRGB's; ``None``
    where it says that they are not sRGB, and not what they are.

    Raises
    ------
    StackError
        The picture cannot be read.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in TIFF_SUFFIXES:
            with tifffile.TiffFile(path) as file:
                tag = file.pages.first.tags.get("InterColorProfile")
                found = None if tag is None else tag.value
        elif suffix in RAW_SUFFIXES:
            found = None
        else:
            with Image.open(path) as picture:
                found = picture.info.get("icc_profile")
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise StackError(f"{path} cannot be read: {error}") from error
    if found:
        return bytes(found)
    return None if suffix not in RAW_SUFFIXES and has_unknown_colours(path) else _srgb_profile()


@cache
def _srgb_profile() -> bytes:
    made = bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # Bytes 24 to 35 say when it was made (ICC.1): the same picture is to be the same file.
    return made[:24] + bytes(12) + made[36:]


def to_8_bit(pixels: Picture) -> NDArray[np.uint8]:
    """The same picture in 8 bits, rounded."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    # 65535 / 257 = 255: both ends of the range stay where they are. (x + 128) // 257 is
    # (y - y // 256) // 256 of y = x + 128, no larger than 65535: that has room in 16 bits.
    scaled = np.minimum(pixels, np.uint16(65535 - 128))
    scaled += 128
    scaled -= scaled >> 8
    scaled >>= 8
    return scaled.astype(np.uint8)


def _write_tiff(
    path: Path, pixels: NDArray[Any], um_per_px: float | None, icc: bytes | None = None
) -> None:
    """Write a plane, or a BGR picture, a few rows at a time: a copy of it all has no room."""
    size: dict[str, Any] = {}
    if um_per_px is not None:
        per_cm = 10_000 / um_per_px
        size = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(
        path,
        (_as_stored(pixels[y : y + _STRIP_ROWS]) for y in range(0, len(pixels), _STRIP_ROWS)),
        shape=pixels.shape,
        dtype=pixels.dtype,
        rowsperstrip=_STRIP_ROWS,
        photometric="rgb" if pixels.ndim == 3 else "minisblack",
        iccprofile=icc,
        **size,
    )


def _as_stored(rows: NDArray[Any]) -> NDArray[Any]:
    return cv2.cvtColor(rows, cv2.COLOR_BGR2RGB) if rows.ndim == 3 else np.ascontiguousarray(rows)


def _add_tags(path: Path, exif: Tags) -> None:
    """Put tags into a TIFF that tifffile has no way to write; the pixels are copied as they are."""
    info = tifftools.read_tiff(str(path))
    info["ifds"][0]["tags"] |= exif
    tagged = path.with_name(f"{path.stem}.tagged{path.suffix}")
    tifftools.write_tiff(info, str(tagged), allowExisting=True)
    tagged.replace(path)


def _add_segments(path: Path, exif: bytes | None, icc: bytes | None) -> None:
    """Put metadata into a JPEG, behind its JFIF header."""
    segments = [] if exif is None else [(b"\xff\xe1", exif)]
    if icc is not None:
        # ICC.1, annex B.4: in pieces, each with its number and how many there are.
        pieces = [icc[k : k + _ICC_PIECE] for k in range(0, len(icc), _ICC_PIECE)]
        for number, piece in enumerate(pieces, 1):
            told = b"ICC_PROFILE\0" + bytes([number, len(pieces)]) + piece
            segments.append((b"\xff\xe2", told))
    data = path.read_bytes()
    header = 4 + int.from_bytes(data[4:6], "big")  # of start and JFIF segment together
    inserted = b"".join(mark + (len(told) + 2).to_bytes(2, "big") + told for mark, told in segments)
    path.write_bytes(data[:header] + inserted + data[header:])


def _encode(path: Path, pixels: Picture, parameters: list[int]) -> None:
    done, data = cv2.imencode(path.suffix, pixels, parameters)
    if not done:
        raise StackError(f"{path} cannot be encoded")
    path.write_bytes(data.tobytes())


def _replace(aside: Path, path: Path) -> None:
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    aside.replace(path)
