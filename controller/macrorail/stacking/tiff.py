"""Reads TIFF with any photometric interpretation, compression and plane layout, page by page."""

from __future__ import annotations

import logging
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from macrorail.errors import StackError
from macrorail.stacking.colour import (
    Picture,
    from_cmyk,
    from_grey,
    from_lab,
    opaque,
    reversed_in_place,
)

# tifffile logs the faults of a file, which macrorail's own error message already names.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

#: Errors that tifffile and its codecs raise for a damaged file.
DAMAGES = (
    ValueError,
    RuntimeError,
    IndexError,
    KeyError,
    TypeError,
    ZeroDivisionError,
    OverflowError,
    MemoryError,
    struct.error,
    tifffile.TiffFileError,
    NotImplementedError,
)

_PHOTOMETRIC = tifffile.PHOTOMETRIC
#: Values of NewSubfileType for a reduced copy and for a mask of another page.
_REDUCED, _MASK = 1, 4
_UNSPECIFIED_EXTRA = 0
_INK_SET, _CMYK_INKS = 332, 1
_JPEG_COMPRESSIONS = {6, 7, 34892, 33007}
_COLOURS = {
    _PHOTOMETRIC.MINISWHITE: 1,
    _PHOTOMETRIC.MINISBLACK: 1,
    _PHOTOMETRIC.PALETTE: 1,
    _PHOTOMETRIC.RGB: 3,
    _PHOTOMETRIC.YCBCR: 3,
    _PHOTOMETRIC.CIELAB: 3,
    _PHOTOMETRIC.ICCLAB: 3,
    _PHOTOMETRIC.SEPARATED: 4,
}


def page_count(path: Path) -> int:
    """Return how many full-size pictures a file contains: 1, or the planes of a z-stack.

    Reduced copies, masks, and pages smaller than others do not count.

    Raises
    ------
    StackError
        The file is unreadable, or its pages are channels, times or places rather than planes.
    """
    try:
        with _opened(path) as file:
            if (shape := _contiguous(file)) is not None:
                return int(shape[0])
            return len(_pictures(file, path))
    except OSError as error:
        raise StackError(f"{path} cannot be read: {error.strerror or error}") from error
    except DAMAGES as error:
        raise StackError(f"{path} is damaged or cut short: {error}") from error


def size_of(path: Path) -> tuple[int, int, int]:
    """Return width, height, and bits per channel (8 or 16) of the picture as it is read.

    Raises
    ------
    StackError
        The file is unreadable.
    """
    try:
        with _opened(path) as file:
            page = _pictures(file, path)[0]
            is_deep = page.photometric != _PHOTOMETRIC.PALETTE and page.bitspersample > 8
            return page.imagewidth, page.imagelength, 16 if is_deep else 8
    except OSError as error:
        raise StackError(f"{path} cannot be read: {error.strerror or error}") from error
    except DAMAGES as error:
        raise StackError(f"{path} is damaged or cut short: {error}") from error


def read_tiff(path: Path, page: int | None = None) -> Picture:
    """Read one picture from a TIFF.

    Parameters
    ----------
    page
        Index from 0 among the file's full-size pictures; ``None`` if there is only one.

    Returns
    -------
    array of shape (height, width, 3), BGR, uint8 or uint16

    Raises
    ------
    StackError
        The picture has a kind that cannot be stacked, or there are several pages and ``page`` is
        ``None``. The message is only the reason; the caller adds the file name.
    """
    with _opened(path) as file:
        shape = _contiguous(file)
        pictures = _pictures(file, path)
        count = len(pictures) if shape is None else int(shape[0])
        if page is None and count > 1:
            raise StackError(
                f"holds {count} pictures; give this file alone to use each picture as a frame"
            )
        if page is not None and page >= count:
            raise StackError(f"holds {count} pictures, and picture {page + 1} was requested")
        if shape is None:
            chosen = pictures[page or 0]
            return _as_bgr(chosen, _samples(chosen))
        planes = tifffile.memmap(path, mode="r", series=0)
        return _as_bgr(pictures[0], np.array(planes.reshape(shape)[page or 0]))


def channel_and_time(path: Path) -> tuple[int, int]:
    """Return the channel and time indices (from 0) of an OME-TIFF's plane; 0 if not stated."""
    try:
        with _opened(path) as file:
            text = file.ome_metadata if file.is_ome else None
    except (OSError, *DAMAGES):
        return 0, 0
    for block in re.findall(r"<(?:\w+:)?TiffData\b.*?</(?:\w+:)?TiffData>", text or "", re.DOTALL):
        if f'FileName="{path.name}"' in block:
            places = (re.search(rf'\bFirst{axis}="(\d+)"', block) for axis in "CT")
            channel, time = (int(place[1]) if place else 0 for place in places)
            return channel, time
    return 0, 0


def _opened(path: Path) -> Any:
    # OME sets name the files of their neighbours; each file is read on its own.
    return tifffile.TiffFile(path, _multifile=False)


def _contiguous(file: Any) -> tuple[int, ...] | None:
    """Return the shape (planes, height, width, ...) of an ImageJ file with one page for all planes.

    For other files return ``None``.
    """
    if not file.is_imagej or len(file.pages) > 1:
        return None
    images = int(file.imagej_metadata.get("images", 1) if file.imagej_metadata else 1)
    page = file.pages.first
    if images < 2 or page.compression != 1:
        return None
    return images, *page.shape


def _pictures(file: Any, path: Path) -> list[Any]:
    """Return the pages that are full-size pictures, not copies, masks or other channels."""
    pages = [page for page in file.pages if not int(page.subfiletype) & (_REDUCED | _MASK)]
    pages = [page for page in pages if page.photometric != _PHOTOMETRIC.MASK]
    if not pages:
        pages = list(file.pages)
    if not pages:
        raise StackError(f"{path} holds no picture")
    largest = max(page.imagewidth * page.imagelength for page in pages)
    pages = [page for page in pages if page.imagewidth * page.imagelength == largest]
    alike = {(p.imagewidth, p.samplesperpixel, p.bitspersample, p.photometric) for p in pages}
    if len(alike) > 1:
        raise StackError(
            f"{path} holds {len(pages)} pictures of different kinds; save each as a separate file"
        )
    _refuse_channels(file, path, len(pages))
    return pages


def _refuse_channels(file: Any, path: Path, count: int) -> None:
    """Raise if a file's metadata show that its pages differ in more than focus."""
    told: dict[str, int] = {}
    if file.is_imagej and file.imagej_metadata:
        found = file.imagej_metadata
        told = {name: int(found.get(name, 1)) for name in ("channels", "frames")}
        count = max(count, int(found.get("images", 1)))
        if told["frames"] == count:  # a z-stack that was opened as a film
            told["frames"] = 1
    elif file.is_ome and file.ome_metadata:
        pixels = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", file.ome_metadata)
        for name, word in (("channels", "SizeC"), ("frames", "SizeT")):
            size = re.search(rf'\b{word}="(\d+)"', pixels[0]) if pixels else None
            told[name] = int(size[1]) if size else 1
        samples = re.search(r'\bSamplesPerPixel="(\d+)"', file.ome_metadata)
        told["channels"] //= max(1, int(samples[1]) if samples else 1)
    several = {name: number for name, number in told.items() if number > 1}
    if count > 1 and several:
        words = " and ".join(f"{number} {name}" for name, number in several.items())
        raise StackError(f"{path} holds {words}; export the planes of one channel and one time")


def _samples(page: Any) -> NDArray[Any]:
    """Return the samples of a page as (height, width) or (height, width, samples)."""
    if page.imagedepth > 1 or page.tiledepth > 1:
        raise StackError("is a volume; export its planes as pictures")
    samples = np.asarray(page.asarray())
    if page.planarconfig == 2 and page.samplesperpixel > 1:
        samples = np.moveaxis(samples, 0, 2)
    return samples


def _as_bgr(page: Any, samples: NDArray[Any]) -> Picture:
    photometric = page.photometric
    if photometric not in _COLOURS:
        name = getattr(photometric, "name", photometric)
        raise StackError(f"has the colour model {name}; convert it to RGB")
    is_lab = photometric in (_PHOTOMETRIC.CIELAB, _PHOTOMETRIC.ICCLAB)
    if samples.dtype.kind not in ("u", "b") and not (is_lab and samples.dtype.kind == "i"):
        raise StackError(f"has {samples.dtype} pixels; 8 or 16 bits per channel are needed")
    if samples.dtype.itemsize > 2:
        raise StackError(f"has {samples.dtype} pixels; 8 or 16 bits per channel are needed")
    samples = _full_scale(samples, page.bitspersample, photometric)
    colours = _COLOURS[photometric]
    if samples.ndim == 2:
        samples = samples[:, :, np.newaxis]
    if samples.ndim != 3 or samples.shape[2] < colours:
        raise StackError(f"has samples of the shape {samples.shape}; {colours} colours are needed")
    if samples.shape[2] > colours:
        extras = tuple(int(one) for one in page.extrasamples)
        if not extras or extras[0] != _UNSPECIFIED_EXTRA:
            opaque(samples, samples[:, :, colours])
        samples = samples[:, :, :colours]
    return _colours(page, photometric, samples)


def _full_scale(samples: NDArray[Any], bits: int, photometric: Any) -> NDArray[Any]:
    """Scale samples with other than 8 or 16 bits to the full range of the next larger depth."""
    if photometric == _PHOTOMETRIC.PALETTE or bits in (8, 16):
        return samples
    wide = 8 if bits < 8 else 16
    top = (1 << bits) - 1
    spread = samples.astype(np.uint32) * ((1 << wide) - 1) + top // 2
    return np.asarray((spread // top).astype(np.uint8 if wide == 8 else np.uint16))


def _colours(page: Any, photometric: Any, samples: NDArray[Any]) -> Picture:
    profile = page.tags.get("InterColorProfile")
    icc = None if profile is None else bytes(profile.value)
    if photometric in (_PHOTOMETRIC.MINISBLACK, _PHOTOMETRIC.MINISWHITE):
        grey = samples[:, :, 0]
        if photometric == _PHOTOMETRIC.MINISWHITE:
            grey = np.iinfo(grey.dtype).max - grey
        return from_grey(np.ascontiguousarray(grey), icc)
    if photometric == _PHOTOMETRIC.PALETTE:
        # Palette entries have 16 bits, made from 8; some writers leave them at 8 (TIFF 6.0, section
        # 5).
        table = np.asarray(page.colormap)
        table = table >> 8 if int(table.max()) > 255 else table
        return np.ascontiguousarray(table[::-1, samples[:, :, 0]].transpose(1, 2, 0), np.uint8)
    if photometric == _PHOTOMETRIC.SEPARATED:
        inks = page.tags.get(_INK_SET)
        if inks is not None and int(inks.value) != _CMYK_INKS:
            raise StackError("has other inks than cyan, magenta, yellow and black; convert to RGB")
        return from_cmyk(np.ascontiguousarray(samples), icc)
    if photometric in (_PHOTOMETRIC.CIELAB, _PHOTOMETRIC.ICCLAB):
        return from_lab(_lab(samples, photometric == _PHOTOMETRIC.CIELAB))
    if photometric == _PHOTOMETRIC.YCBCR and int(page.compression) not in _JPEG_COMPRESSIONS:
        raise StackError("has YCbCr samples without JPEG compression; convert it to RGB")
    return reversed_in_place(samples)


def _lab(samples: NDArray[Any], is_signed: bool) -> NDArray[Any]:
    """Convert CIELab samples of a TIFF to LittleCMS's encoding.

    Lightness is scaled to the full range; a and b are counted from the middle.
    """
    deep = samples.dtype.itemsize == 2
    if not is_signed:  # ICC.1 v2: 0xff00 means 100
        return (
            np.minimum(samples.astype(np.uint32) * 257 // 256, 65535).astype(np.uint16)
            if deep
            else samples.astype(np.uint8)
        )
    kind, signed, half = (np.uint16, np.int16, 1 << 15) if deep else (np.uint8, np.int8, 1 << 7)
    lab = samples.astype(kind)
    chroma = lab[:, :, 1:].view(signed) if lab.flags.c_contiguous else lab[:, :, 1:].astype(signed)
    shifted = chroma.astype(np.int32) + half
    lab[:, :, 1:] = np.minimum(shifted * 257 // 256, 65535) if deep else shifted
    return lab
