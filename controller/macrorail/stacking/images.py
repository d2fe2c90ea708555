"""Reads the pixels of a picture file of any supported type, in the orientation of the sensor.

Pixels are BGR, uint8 or uint16. RGB pictures keep their numbers; their colour space is the profile
returned by :func:`macrorail.stacking.metadata.colour_profile`. All other pictures are converted to
sRGB. The EXIF orientation is not applied, so that all frames of a stack have the sensor's geometry.
A camera that points straight down may write different orientations into frames of one stack.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from macrorail.errors import StackError
from macrorail.exif import read_exif
from macrorail.stacking import kinds
from macrorail.stacking.colour import Picture, from_cmyk, from_grey, opaque, to_8_bit
from macrorail.stacking.kinds import JPEG, PNG, RAW, TIFF, is_picture, kind_in
from macrorail.stacking.raw import develop, raw_size
from macrorail.stacking.tiff import DAMAGES, read_tiff, size_of

__all__ = ["Picture", "is_picture", "picture_size", "read_picture", "to_8_bit"]

# Pillow reads only the part of a file before the pixels, so a large picture is not a risk here.
Image.MAX_IMAGE_PIXELS = None
_PNG_END = b"IEND\xaeB`\x82"
_NAMED = {"CMYK", "YCCK"}
#: Baseline, extended and progressive JPEG with either entropy coding. Other processes are lossless
#: or hierarchical.
_JPEG_PROCESSES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
#: Numbers of ITU-T H.273: primaries of BT.709 or not specified, and the transfer curves of HDR.
_USUAL_PRIMARIES, _HDR_CURVES = {1, 2}, {16: "PQ", 18: "HLG"}


def read_picture(path: Path, spent: Picture | None = None, page: int | None = None) -> Picture:
    """Read a picture of any type in :mod:`~macrorail.stacking.kinds`, found from its first bytes.

    Parameters
    ----------
    spent
        A picture that is no longer needed. A JPEG of the same size is decoded into its memory;
        allocating new memory would take a fifth of the reading time.
    page
        Index from 0 of the picture to read, if a TIFF contains several pictures.

    Returns
    -------
    array of shape (height, width, 3), BGR, uint8 or uint16
        Grey pictures are repeated into three channels. The EXIF orientation is not applied.

    Raises
    ------
    StackError
        The type is not known, or the file is unreadable, truncated or transparent, or its pixels
        have a type that cannot be stacked. The message names the file.
    """
    try:
        kind = kind_in(path)
        if kind is None:
            raise StackError(
                f"'{path.suffix}' is not a type that can be stacked; give JPEG, PNG, TIFF, "
                f"HEIF, WebP, AVIF, JPEG XL or camera raw files"
            )
        if (obstacle := kind.obstacle()) is not None:
            raise StackError(obstacle)
        if kind is RAW:
            return develop(path)
        if kind is TIFF:
            return read_tiff(path, page)
        if kind is JPEG:
            return _read_jpeg(path, spent)
        if kind is PNG:
            return _read_png(path)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return _read_by_plugin(path, kind)
    except StackError as error:
        text = str(error)
        if text.startswith(str(path)):
            raise
        raise StackError(f"{path}: {text}") from error
    except OSError as error:
        if error.errno is None:  # an error of the decoder, not of the file system
            raise StackError(f"{path} is damaged or cut short: {error}") from error
        raise StackError(f"{path} cannot be read: {error.strerror or error}") from error
    except (*DAMAGES, cv2.error, SyntaxError, Warning) as error:
        if "imagecodecs" in str(error):
            raise StackError(
                f"{path} uses a compression that needs imagecodecs; install it with "
                f"pip install imagecodecs"
            ) from error
        raise StackError(f"{path} is damaged or cut short: {error}") from error


def picture_size(path: Path) -> tuple[int, int, int]:
    """Return width, height and bits per channel (8 or 16) of a picture, read from its header.

    Raises
    ------
    StackError
        The file cannot be read; the message names the file.
    """
    try:
        kind = kind_in(path)
        if kind is None:
            raise StackError(f"{path} is not a picture that can be stacked")
        if (obstacle := kind.obstacle()) is not None:
            raise StackError(f"{path}: {obstacle}")
        if kind is TIFF:
            return size_of(path)
        if kind is RAW:
            return *raw_size(path), 16
        if kind is kinds.HEIF:
            import pillow_heif

            opened = pillow_heif.open_heif(path, convert_hdr_to_8bit=False)
            return *opened.size, 16 if ";16" in opened.mode else 8
        if kind is kinds.JXL:
            import pillow_jxl  # noqa: F401  registers JPEG XL with Pillow
        with Image.open(path) as picture:
            return *picture.size, 16 if _is_deep(path, kind) else 8
    except OSError as error:
        if error.errno is None:  # an error of the decoder, not of the file system
            raise StackError(f"{path} is damaged or cut short: {error}") from error
        raise StackError(f"{path} cannot be read: {error.strerror or error}") from error
    except (*DAMAGES, SyntaxError) as error:
        raise StackError(f"{path} is damaged or cut short: {error}") from error


def _is_deep(path: Path, kind: kinds.Kind) -> bool:
    with path.open("rb") as file:
        head = file.read(4096)
    if kind is PNG:
        return head[24] == 16
    if kind is kinds.AVIF:
        return _avif_bits(head) > 8
    return kind is kinds.JXL  # most headers do not state the depth; assume the larger one


def _avif_bits(data: bytes) -> int:
    """Return 8, 10 or 12, from high_bitdepth and twelve_bit of av1C (AV1 in ISOBMFF, 2.3.3)."""
    flags = data[data.find(b"av1C") + 6]
    return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10


def _read_jpeg(path: Path, spent: Picture | None) -> Picture:
    data = path.read_bytes()
    marker, bits = _jpeg_process(data)
    if bits not in (0, 8) or marker not in _JPEG_PROCESSES:
        raise StackError(
            f"is a JPEG of {bits} bits, process SOF{marker - 0xC0}, which is not supported; "
            f"convert it to a 16-bit TIFF"
        )
    try:
        height, width, colours = simplejpeg.decode_jpeg_header(data)[:3]
    except ValueError:
        # turbojpeg knows only the usual colour subsampling.
        return _read_jpeg_by_pillow(data)
    if colours.upper() in _NAMED:
        return _read_jpeg_by_pillow(data)
    fits = spent is not None and spent.shape == (height, width, 3) and spent.itemsize == 1
    if colours.lower() == "gray":
        grey = simplejpeg.decode_jpeg(data, "GRAY")
        return from_grey(grey.reshape(height, width), read_exif(path).icc)
    pixels = simplejpeg.decode_jpeg(data, "BGR", buffer=spent if fits else None)
    return np.asarray(pixels)


def _read_jpeg_by_pillow(data: bytes) -> Picture:
    with Image.open(io.BytesIO(data)) as picture:
        pixels = np.asarray(picture)
        mode, icc = picture.mode, picture.info.get("icc_profile")
    if mode == "CMYK":
        return from_cmyk(pixels, icc)
    return _by_mode(pixels, mode, icc)


def _jpeg_process(data: bytes) -> tuple[int, int]:
    """Return the marker of a JPEG's frame header and its bits per sample; 0 bits if not found.

    Source: ITU-T T.81, table B.1.
    """
    at = 2
    while at + 5 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return marker, data[at + 4]
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0xC0, 0


def _read_png(path: Path) -> Picture:
    data = path.read_bytes()
    # On a truncated file libpng returns the rows it has and only warns, so check for the end.
    if not data.rstrip(b"\0").endswith(_PNG_END):
        raise ValueError("the end of the PNG is missing")
    if b"acTL" in data[:4096]:
        raise StackError("is an animation; give its pictures as separate files")
    pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("not a PNG")
    if pixels.ndim == 2:
        return from_grey(pixels, read_exif(path).icc)
    if pixels.shape[2] == 4:
        pixels = np.ascontiguousarray(opaque(pixels[:, :, :3], pixels[:, :, 3]))
    # Bit 1 of the colour type in the header means colour (PNG, section 11.2.1).
    if not data[25] & 2:
        return from_grey(np.ascontiguousarray(pixels[:, :, 0]), read_exif(path).icc)
    return np.asarray(pixels)


def _read_by_plugin(path: Path, kind: kinds.Kind) -> Picture:
    """Read a WebP, AVIF, HEIF or JPEG XL picture."""
    if kind is kinds.HEIF:
        return _read_heif(path)
    data = path.read_bytes()
    if kind is kinds.AVIF:
        _refuse_unusual_colours(data)
        import imagecodecs

        pixels = _spread(imagecodecs.avif_decode(data), _avif_bits(data))
        return _by_channels(pixels, read_exif(path).icc)
    if kind is kinds.JXL:
        import pillow_jxl  # noqa: F401  registers JPEG XL with Pillow
    with Image.open(io.BytesIO(data)) as picture:
        if getattr(picture, "n_frames", 1) > 1:
            raise StackError("is an animation; give its pictures as separate files")
        pixels, icc = np.asarray(picture), picture.info.get("icc_profile")
        mode = picture.mode
    if kind is kinds.JXL:
        import imagecodecs

        deep = imagecodecs.jpegxl_decode(data)
        if deep.dtype == np.uint16:
            # Pillow's plugin returns 8 bits. If its picture differs, the colours are in doubt.
            shown = pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]
            rough = deep.reshape(shown.shape).astype(np.int32) / 257 - shown
            if np.abs(rough).max() > 1.5:
                raise StackError("has colours that cannot be read in 16 bits; convert it to TIFF")
            return _by_channels(deep, icc)
        if deep.dtype != np.uint8:
            raise StackError(f"has {deep.dtype} pixels; 8 or 16 bits per channel are needed")
    return _by_mode(pixels, mode, icc)


def _read_heif(path: Path) -> Picture:
    import pillow_heif

    _refuse_unusual_colours(path.read_bytes())
    opened: Any = pillow_heif.open_heif(path, convert_hdr_to_8bit=False)
    picture = opened[opened.primary_index]
    pixels = np.asarray(picture)
    bits = int(picture.info.get("bit_depth", 8))
    if pixels.dtype == np.uint16:
        pixels = _spread(pixels >> (16 - bits), bits)
    return _by_channels(pixels, picture.info.get("icc_profile"))


def _refuse_unusual_colours(data: bytes) -> None:
    """Refuse pictures without a profile whose numeric colour description is not that of sRGB."""
    at = data.find(b"colrnclx") + 8
    if at < 8 or b"colrprof" in data or b"colrrICC" in data:
        return
    primaries, curve = (int.from_bytes(data[at + k : at + k + 2], "big") for k in (0, 2))
    if curve in _HDR_CURVES or primaries not in _USUAL_PRIMARIES:
        what = _HDR_CURVES.get(curve, f"primaries {primaries} of ITU-T H.273")
        raise StackError(f"has colours that are not sRGB ({what}) and no profile; convert it")


def _spread(pixels: NDArray[Any], bits: int) -> NDArray[Any]:
    """Scale samples of 10 or 12 bits to the full range of 16 bits; return 8-bit samples as is."""
    if pixels.dtype == np.uint8:
        return pixels
    top = (1 << bits) - 1
    return np.asarray(((pixels.astype(np.uint32) * 65535 + top // 2) // top).astype(np.uint16))


def _by_mode(pixels: NDArray[Any], mode: str, icc: bytes | None) -> Picture:
    if mode not in ("L", "LA", "RGB", "RGBA", "RGBX"):
        raise StackError(f"has pixels of the kind {mode}; convert it to RGB of 8 or 16 bits")
    return _by_channels(pixels[:, :, :3] if mode == "RGBX" else pixels, icc)


def _by_channels(pixels: NDArray[Any], icc: bytes | None) -> Picture:
    """Convert grey or RGB pixels, with or without alpha, to BGR."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    if pixels.shape[2] in (2, 4):
        pixels = opaque(pixels[:, :, :-1], pixels[:, :, -1])
    if pixels.shape[2] == 1:
        return from_grey(np.ascontiguousarray(pixels[:, :, 0]), icc)
    return np.ascontiguousarray(pixels[:, :, ::-1])
