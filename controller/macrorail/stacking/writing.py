"""Writes results: pictures, depth maps, and their metadata. Incomplete files are never left behind.

Runs, batches and single stacks all write their results through this module. The output path of a
result is checked before the first frame is read. Metadata that cannot be written are reported and
left out.
"""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import tifffile
import tifftools
from numpy.typing import NDArray

from macrorail.errors import StackError
from macrorail.stacking.colour import Picture, to_8_bit
from macrorail.stacking.kinds import JPEG, TIFF
from macrorail.stacking.metadata import Metadata, exif_block, own_software, result_metadata

if TYPE_CHECKING:
    from macrorail.stacking.stacker import Fused

_JPEG_QUALITY = 95
#: Longest side in pixels that libjpeg can write.
JPEG_LIMIT_PX = 65_500
_STRIP_ROWS = 256
# A JPEG segment has at most 65535 bytes including its length; a piece of a profile has 14 more
# bytes of header.
_SEGMENT, _ICC_PIECE = 65_533, 65_519
_XMP_SEGMENT = b"http://ns.adobe.com/xap/1.0/\0"
_IPTC_SEGMENT = b"Photoshop 3.0\x008BIM\x04\x04\0\0"
_QUICK_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]
# For smooth pictures: a fixed filter, because choosing filters takes as long as everything else.
_SMOOTH_PNG = [*_QUICK_PNG, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
_XMP_TAG, _IPTC_TAG = 0x02BC, 0x83BB
#: Bytes per pixel of an uncompressed 16-bit picture and of a depth map.
_PICTURE_BYTES, _DEPTH_BYTES = 6, 4


def check_output(path: Path, width: int, height: int) -> None:
    """Check that a picture of this size can be written, before any work is done.

    Raises
    ------
    StackError
        The suffix is not known, the folder is missing, read-only or full, or the file type is
        limited to a smaller size.
    """
    suffix = path.suffix.lower()
    if suffix not in TIFF.suffixes | JPEG.suffixes | {".png"}:
        raise StackError(f"{path}: the result is written as .tif, .png or .jpg")
    longest = max(width, height)
    if suffix in JPEG.suffixes and longest > JPEG_LIMIT_PX:
        raise StackError(
            f"{path}: a JPEG has at most {JPEG_LIMIT_PX} px a side, and the result has {longest}; "
            f"write it as .tif"
        )
    size = width * height * _PICTURE_BYTES if suffix in TIFF.suffixes else 0
    check_place(path, size)


def check_depth_output(path: Path, width: int, height: int) -> None:
    """Check that a depth map of this size can be written; see :func:`check_output`.

    Raises
    ------
    StackError
        The suffix is not .tif, or :func:`check_output` refuses the path or size.
    """
    _check_depth_suffix(path)
    check_place(path, width * height * _DEPTH_BYTES)


def check_place(path: Path, size: int = 0) -> None:
    """Check that a file of ``size`` bytes can be written.

    Raises
    ------
    StackError
        The folder is missing or read-only, or has not enough free space.
    """
    folder = path.parent
    if not folder.is_dir():
        raise StackError(f"{path} cannot be written: the folder {folder} does not exist; create it")
    if path.is_dir():
        raise StackError(f"{path} cannot be written: there is a folder with that name")
    probe = folder / f".{path.name}.{os.getpid()}.part"
    try:
        probe.write_bytes(b"")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StackError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    if size > free:
        raise StackError(
            f"{path} needs {size / 1e6:.1f} MB, and {folder} has {free / 1e6:.1f} MB left; free "
            f"some space there, or write to another folder"
        )


def write_picture(
    path: Path,
    pixels: Picture,
    um_per_px: float | None = None,
    metadata: Metadata | None = None,
) -> tuple[str, ...]:
    """Write a picture: TIFF and PNG with the depth of the pixels, JPEG with 8 bits.

    The suffix selects the format. The picture is written to a temporary file, which is then
    renamed. So an older file with the same name is either replaced by a complete picture or kept.

    Parameters
    ----------
    pixels
        (height, width, 3), BGR, uint8 or uint16.
    um_per_px
        Size of a pixel on the specimen in micrometres; written as resolution into TIFF and JPEG.
    metadata
        Metadata from :func:`macrorail.stacking.metadata.result_metadata`.

    Returns
    -------
    tuple of str
        One sentence for each part of the metadata that was left out.

    Raises
    ------
    StackError
        The suffix is not known, or the folder cannot be written.
    """
    suffix = path.suffix.lower()
    metadata = metadata or Metadata()
    with _written_aside(path) as aside:
        if suffix in TIFF.suffixes:
            _write_tiff(aside, pixels, um_per_px, metadata.icc, bool(metadata.tags))
            return _add_tags(aside, metadata)
        if suffix == ".png":
            aside.write_bytes(_png_with(_encoded(".png", pixels, _QUICK_PNG), pixels, metadata))
            return ()
        if suffix in JPEG.suffixes:
            quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
            data = _encoded(".jpg", to_8_bit(pixels), quality)
            data, left_out = _jpeg_with(data, pixels, um_per_px, metadata)
            aside.write_bytes(data)
            return left_out
        raise StackError(f"{path}: the result is written as .tif, .png or .jpg")


def confidence_path(depth: Path) -> Path:
    """Return the path of the confidence picture that belongs to a depth map."""
    return depth.with_name(f"{depth.stem}-confidence.png")


def write_depth(
    path: Path,
    depth: NDArray[np.float32],
    confidence: NDArray[np.float32],
    um_per_px: float | None = None,
) -> None:
    """Write a depth map as a float32 TIFF, and its confidence as a PNG in the same folder.

    Parameters
    ----------
    confidence
        (height, width), 0..1. The PNG has 8 bits, with 255 for 1.

    Raises
    ------
    StackError
        The suffix is not .tif, or the folder cannot be written.
    """
    _check_depth_suffix(path)
    with _written_aside(path) as aside:
        _write_tiff(aside, depth, um_per_px, None, is_result=True)
    with _written_aside(confidence_path(path)) as aside:
        shown = np.asarray(cv2.convertScaleAbs(confidence, alpha=255), np.uint8)
        aside.write_bytes(_encoded(".png", shown, _SMOOTH_PNG))


def write_stack(
    fused: Fused,
    folder: Path,
    names: tuple[str, str, str],
    um_per_px: float | None,
    reference: Path | None,
    frames: int,
) -> tuple[str, ...]:
    """Write a stack's pictures: TIFF and JPEG of the fused picture, depth map, and confidence.

    Parameters
    ----------
    names
        File names of the TIFF, the JPEG and the depth map.
    reference
        Frame whose colour profile and metadata are written into the pictures; ``None`` for none.
    frames
        Number of frames stacked.

    Returns
    -------
    tuple of str
        One sentence for each thing that was left out or reduced.

    Raises
    ------
    StackError
        The folder cannot be written.
    """
    metadata = Metadata() if reference is None else result_metadata(reference, frames)
    said = [*metadata.left_out]
    said += write_picture(folder / names[0], fused.image, um_per_px, metadata)
    image, scale = fused.image, 1.0
    longest = max(image.shape[:2])
    if longest > JPEG_LIMIT_PX:
        scale = JPEG_LIMIT_PX / longest
        size = [max(1, int(side * scale)) for side in image.shape[1::-1]]
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        said.append(f"{names[1]} is reduced to {size[0]} x {size[1]} px, the most that JPEG allows")
    um_per_jpeg_px = None if um_per_px is None else um_per_px / scale
    said += write_picture(folder / names[1], image, um_per_jpeg_px, metadata)
    write_depth(folder / names[2], fused.depth, fused.confidence, um_per_px)
    return tuple(dict.fromkeys(said))


def write_beside(
    picture: tuple[Path, Picture, Metadata],
    depth: tuple[Path, NDArray[np.float32], NDArray[np.float32]] | None,
) -> tuple[str, ...]:
    """Write a picture and, at the same time, its depth map and confidence.

    Returns
    -------
    tuple of str
        One sentence for each part of the metadata that was left out.
    """
    path, pixels, metadata = picture
    with ThreadPoolExecutor(1, thread_name_prefix="depth") as beside:
        written = None if depth is None else beside.submit(write_depth, *depth)
        left_out = write_picture(path, pixels, None, metadata)
        if written is not None:
            written.result()
    return tuple(dict.fromkeys((*metadata.left_out, *left_out)))


@contextmanager
def _written_aside(path: Path) -> Iterator[Path]:
    """Yield a temporary path; its file replaces ``path`` on success and is removed on error."""
    aside = path.with_name(f".{path.name}.part{path.suffix}")
    try:
        yield aside
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise StackError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def _check_depth_suffix(path: Path) -> None:
    if path.suffix.lower() not in TIFF.suffixes:
        raise StackError(f"{path}: a depth map keeps its precision only as .tif")


def _write_tiff(
    path: Path, pixels: NDArray[Any], um_per_px: float | None, icc: bytes | None, is_result: bool
) -> None:
    """Write a plane or a BGR picture a few rows at a time, to save the memory for a copy."""
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
        software=own_software() if is_result else False,
        metadata=None,
        **size,
    )


def _as_stored(rows: NDArray[Any]) -> NDArray[Any]:
    return cv2.cvtColor(rows, cv2.COLOR_BGR2RGB) if rows.ndim == 3 else np.ascontiguousarray(rows)


def _add_tags(path: Path, metadata: Metadata) -> tuple[str, ...]:
    """Add tags that tifffile cannot write to a TIFF; the pixels are copied unchanged.

    If this fails, the file keeps the picture without these tags.
    """
    tags = dict(metadata.tags)
    if metadata.xmp is not None:
        tags[_XMP_TAG] = {"datatype": int(tifftools.Datatype.BYTE), "data": list(metadata.xmp)}
    if metadata.iptc is not None:
        tags[_IPTC_TAG] = {"datatype": int(tifftools.Datatype.UNDEFINED), "data": metadata.iptc}
    if not tags:
        return ()
    tagged = path.with_name(f"{path.stem}.tagged{path.suffix}")
    try:
        info = tifftools.read_tiff(str(path))
        info["ifds"][0]["tags"] |= tags
        tifftools.write_tiff(info, str(tagged), allowExisting=True)
        tagged.replace(path)
    except (OSError, *_WRITING_ERRORS) as error:
        return (f"metadata left out of the TIFF: {error}",)
    finally:
        with suppress(OSError):
            tagged.unlink(missing_ok=True)
    return ()


_WRITING_ERRORS = (tifftools.TifftoolsError, ValueError, KeyError, TypeError, struct.error)


def _exif_block(
    metadata: Metadata, pixels: Picture, um_per_px: float | None
) -> tuple[bytes | None, tuple[str, ...]]:
    if not metadata.tags:
        return None, ()
    height, width = pixels.shape[:2]
    try:
        return exif_block(metadata.tags, width, height, um_per_px), ()
    except _WRITING_ERRORS as error:
        return None, (f"EXIF left out: {error}",)


def _jpeg_with(
    data: bytes, pixels: Picture, um_per_px: float | None, metadata: Metadata
) -> tuple[bytes, tuple[str, ...]]:
    """Return a JPEG with metadata after its JFIF header, and a list of metadata that do not fit."""
    exif, problems = _exif_block(metadata, pixels, um_per_px)
    xmp = None if metadata.xmp is None else _XMP_SEGMENT + metadata.xmp
    iptc = None
    if metadata.iptc is not None:
        size = len(metadata.iptc).to_bytes(4, "big")
        iptc = _IPTC_SEGMENT + size + metadata.iptc + b"\0" * (len(metadata.iptc) % 2)
    segments: list[tuple[bytes, bytes]] = []
    left_out = list(problems)
    for mark, name, block in (
        (b"\xff\xe1", "EXIF", exif),
        (b"\xff\xe1", "XMP", xmp),
        (b"\xff\xed", "IPTC", iptc),
    ):
        if block is not None and len(block) > _SEGMENT:
            left_out.append(f"{name} of {len(block)} bytes left out: too large for a JPEG")
        elif block is not None:
            segments.append((mark, block))
    icc = metadata.icc or b""
    # A profile is split into pieces, each with its number and the number of pieces (ICC.1, B.4).
    pieces = [icc[k : k + _ICC_PIECE] for k in range(0, len(icc), _ICC_PIECE)]
    for number, piece in enumerate(pieces, 1):
        segments.append((b"\xff\xe2", b"ICC_PROFILE\0" + bytes([number, len(pieces)]) + piece))
    header = 4 + int.from_bytes(data[4:6], "big")  # length of the start and the JFIF segment
    inserted = b"".join(
        mark + (len(block) + 2).to_bytes(2, "big") + block for mark, block in segments
    )
    return data[:header] + inserted + data[header:], tuple(left_out)


def _png_with(data: bytes, pixels: Picture, metadata: Metadata) -> bytes:
    """Return a PNG with profile, EXIF and XMP after its header (PNG, 3rd edition, section 11.3)."""
    exif, _ = _exif_block(replace(metadata, iptc=None), pixels, None)
    chunks = b""
    if metadata.icc is not None:
        chunks += _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc))
    if exif is not None:
        chunks += _chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    if metadata.xmp is not None:
        chunks += _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp)
    header = 8 + 25  # signature and IHDR
    return data[:header] + chunks + data[header:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + kind + data + check


def _encoded(suffix: str, pixels: NDArray[Any], parameters: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, pixels, parameters)
    if not done:
        raise StackError(f"the picture cannot be encoded as {suffix}")
    return data.tobytes()
