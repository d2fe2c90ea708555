"""Picture files of every kind that people have, made at random: does each give what it shows?

``python -m tests.studies.strangers_files --files 5000 --folders 2000 --seed 1``. A file is judged
by what was written into it and by Pillow with LittleCMS: the pixels and the profile that macrorail
reads, and the results it writes from them, must show the same colours. A file may be refused by
name; it may not end in another error, nor show something else. Folders are in
:mod:`tests.studies.strangers_folders`.
"""

from __future__ import annotations

import argparse
import io
import random
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, ImageCms, ImageOps

from macrorail.errors import StackError
from macrorail.stacking.images import picture_size, read_picture
from macrorail.stacking.metadata import colour_profile, result_metadata
from macrorail.stacking.tiff import page_count
from macrorail.stacking.writing import write_picture
from tests.studies.strangers_folders import folder_trouble

Pixels = npt.NDArray[Any]
_WIDTH, _HEIGHT = 64, 48
_SRGB = ImageCms.createProfile("sRGB")


@dataclass
class Case:
    """A file and what it shows.

    Attributes
    ----------
    name
        What kind it is, for the count.
    shown
        (height, width, 3) uint8 RGB in sRGB, before an orientation is applied; ``None`` where the
        only right answer is a refusal.
    tolerance
        Mean difference allowed, in steps of 255.
    may_refuse
        Whether a refusal is right as well.
    """

    name: str
    path: Path
    shown: Pixels | None
    tolerance: float = 1.0
    may_refuse: bool = False
    page: int | None = None
    orientation: int | None = None


def picture(rng: random.Random) -> Pixels:
    """(48, 64, 3) uint8: soft colours, so that lossy types keep them."""
    seed = np.random.default_rng(rng.getrandbits(32))
    coarse = seed.integers(20, 236, (4, 5, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC))


def wide_profile(gamma: float = 2.2) -> bytes:
    """A matrix profile with wider primaries than sRGB's (ICC.1 v2)."""

    def number(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(map(number, values))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"Wide for tests\0"
    described = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(79)
    described += bytes(-len(described) % 4)
    tags = {
        b"desc": described,
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.6097, 0.3111, 0.0195),
        b"gXYZ": xyz(0.2053, 0.6257, 0.0609),
        b"bXYZ": xyz(0.1492, 0.0632, 0.7446),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    return _profile(b"RGB ", tags)


def grey_profile(gamma: float) -> bytes:
    """A grey profile of that gamma."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    white = b"XYZ \0\0\0\0" + b"".join(
        struct.pack(">i", round(v * 65536)) for v in (0.9642, 1.0, 0.8249)
    )
    text = b"Grey\0"
    described = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(79)
    described += bytes(-len(described) % 4)
    return _profile(
        b"GRAY",
        {
            b"desc": described,
            b"cprt": b"text\0\0\0\0none\0\0\0\0",
            b"wtpt": white,
            b"kTRC": curve,
        },
    )


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"lcms", 0x02400000, b"mntr", space, b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28)
    head += b"".join(struct.pack(">i", round(v * 65536)) for v in (0.9642, 1.0, 0.8249))
    return head.ljust(128, b"\0") + table + body


def as_srgb(pixels: Pixels, profile: bytes | None, mode: str = "RGB") -> Pixels:
    """8-bit samples in sRGB by LittleCMS."""
    shown = Image.fromarray(pixels, mode if mode == "CMYK" else None)
    if profile is None:
        return np.asarray(shown.convert("RGB"))
    given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    converted = ImageCms.profileToProfile(shown, given, _SRGB, outputMode="RGB")
    assert converted is not None
    return np.asarray(converted)


def exif_block(rng: random.Random) -> tuple[bytes | None, int]:
    """An EXIF block, sound or broken, and the orientation that it says."""
    if rng.random() < 0.4:
        return None, 1
    exif = Image.Exif()
    orientation = rng.choice([1, 1, 1, 3, 6, 8])
    exif[0x010F], exif[0x0110], exif[0x0112] = "Maker", "Model 7", orientation
    exif[0x010E] = rng.choice(["a beetle", '{"shape": [3, 3]}'])
    exif.get_ifd(0x8769)[0x9003] = "2026:05:06 07:08:09"
    block = exif.tobytes()
    if rng.random() < 0.4:
        data = bytearray(block)
        how = rng.randrange(5)
        start = 8 if data.startswith(b"Exif") else 2
        if how == 0:
            del data[rng.randrange(10, len(data)) :]
        elif how == 1:
            data[start + rng.randrange(8, 40)] = rng.randrange(256)
        elif how == 2:
            for _ in range(6):
                data[rng.randrange(6, len(data))] = rng.randrange(256)
        elif how == 3:
            data[-4:] = b"\x08\0\0\0"
        else:
            data = data[:6] + b"XX" + data[8:]
        # What a broken block says of the orientation is anybody's guess: judged without it.
        return bytes(data), 0
    return block, orientation


def tiff(rng: random.Random, path: Path) -> Case:
    """TIFF: depth, photometric interpretation, compression, planes, alpha, pages, profile."""
    rgb = picture(rng)
    deep = rng.random() < 0.5
    what = rng.choice(["rgb", "rgb", "grey", "white", "palette", "cmyk", "lab"])
    compression = rng.choice([None, None, "lzw", "deflate", "zstd", "packbits", "lzma"])
    options: dict[str, Any] = {"compression": compression, "metadata": None}
    options["byteorder"] = rng.choice("<>")
    if compression in ("lzw", "deflate", "zstd") and rng.random() < 0.5 and what != "palette":
        options["predictor"] = 2
    options["bigtiff"] = rng.random() < 0.15
    if rng.random() < 0.3:
        options["tile"] = (32, 32)
    elif rng.random() < 0.5:
        options["rowsperstrip"] = rng.choice([1, 7, 64])
    profile: bytes | None = None
    tolerance = 1.0
    if what == "rgb":
        profile = rng.choice([None, None, wide_profile(), wide_profile(1.8), b"damaged", "grey"])  # type: ignore[arg-type]
        if profile == "grey":  # type: ignore[comparison-overlap]
            profile = grey_profile(1.8)
        samples: Pixels = rgb
        usable = profile if profile not in (b"damaged", grey_profile(1.8)) else None
        shown = as_srgb(rgb, usable)
        options["photometric"] = "rgb"
    elif what in ("grey", "white"):
        grey = rgb[:, :, 0].copy()
        profile = rng.choice([None, grey_profile(1.0), grey_profile(1.8)])
        shown = as_srgb(grey, profile)
        samples = 255 - grey if what == "white" else grey
        options["photometric"] = "miniswhite" if what == "white" else "minisblack"
        tolerance = 1.5
    elif what == "palette":
        deep = False
        indexed = Image.fromarray(rgb).quantize(200)
        shown = np.asarray(indexed.convert("RGB"))
        table = np.zeros((256, 3), np.uint16)
        colours = np.array(indexed.getpalette(), np.uint16).reshape(-1, 3)
        table[: len(colours)] = colours
        samples = np.asarray(indexed)
        options |= {"photometric": "palette", "colormap": (table.T * 257).astype(np.uint16)}
    elif what == "cmyk":
        samples = np.asarray(Image.fromarray(rgb).convert("CMYK")).copy()
        shown = np.asarray(Image.fromarray(samples, "CMYK").convert("RGB"))
        options["photometric"] = "separated"
    else:
        made = ImageCms.profileToProfile(
            Image.fromarray(rgb), _SRGB, ImageCms.createProfile("LAB"), outputMode="LAB"
        )
        assert made is not None
        # Pillow has a and b with the sign, as TIFF does.
        lab = np.asarray(made).copy()
        lab[:, :, 1:] ^= 0x80
        samples, shown, tolerance = lab ^ np.array([0, 0x80, 0x80], np.uint8), rgb, 2.5
        options["photometric"] = "cielab"
    if deep:
        if what == "lab":
            wide = samples.astype(np.uint16)
            lightness = wide[:, :, :1] * 257
            # Signed 8.8 fixed point, in two's complement.
            samples = np.concatenate([lightness, wide[:, :, 1:] << 8], axis=2)
        else:
            samples = samples.astype(np.uint16) * 257
    if profile is not None:
        options["iccprofile"] = profile
    return _layout(rng, path, what, samples, shown, tolerance, options)


def _layout(
    rng: random.Random,
    path: Path,
    what: str,
    samples: Pixels,
    shown: Pixels,
    tolerance: float,
    options: dict[str, Any],
) -> Case:
    name = f"tiff {what} {samples.dtype.itemsize * 8}"
    top = np.iinfo(samples.dtype).max
    may_refuse = False
    if what in ("rgb", "grey") and rng.random() < 0.35:
        kind, opaque = rng.choice(
            [
                ("assocalpha", True),
                ("unassalpha", True),
                ("unspecified", True),
                ("unassalpha", False),
            ]
        )
        alpha = np.full(samples.shape[:2], top, samples.dtype)
        if not opaque:
            alpha[:10] = 0
        if kind == "unspecified":
            alpha[:10] = 0
        samples = np.dstack([samples, alpha])
        options["extrasamples"] = [kind]
        name += f" {kind}" + ("" if opaque else " transparent")
        if not opaque:
            tifffile.imwrite(path, samples, planarconfig="contig", **options)
            return Case(name, path, None)
    if samples.ndim == 3 and rng.random() < 0.3 and what != "lab":
        options["planarconfig"] = "separate"
        samples = np.ascontiguousarray(np.moveaxis(samples, 2, 0))
        name += " planar"
    elif samples.ndim == 3:
        options["planarconfig"] = "contig"
    orientation = rng.choice([1, 1, 1, 3, 6, 8])
    if orientation != 1:
        options["extratags"] = [(274, 3, 1, orientation, True)]
    pages = rng.choice(["one"] * 5 + ["thumbnail", "small", "z", "mask", "cut"])
    small = np.ascontiguousarray(
        samples[..., ::4, ::4] if samples.ndim == 2 or "planar" in name else samples[::4, ::4]
    )
    page = None
    with tifffile.TiffWriter(
        path, bigtiff=options.pop("bigtiff"), byteorder=options.pop("byteorder")
    ) as out:
        if pages in ("thumbnail", "small"):
            first = {k: v for k, v in options.items() if k not in ("tile", "rowsperstrip")}
            out.write(small, subfiletype=1 if pages == "thumbnail" else 0, **first)
        if pages == "z":
            blank = np.zeros_like(samples)
            planes = [blank, samples, blank]
            for plane in planes:
                out.write(plane, **options)
            page = 1
        else:
            out.write(samples, **options)
        if pages == "mask":
            mask = np.ones((samples.shape[-2:] if samples.ndim == 2 else (_HEIGHT, _WIDTH)), bool)
            out.write(mask, photometric="mask", subfiletype=4, metadata=None)
    if pages == "cut":
        data = path.read_bytes()
        path.write_bytes(data[: rng.randrange(len(data) // 3, len(data))])
        may_refuse = True
    return Case(f"{name} {pages}", path, shown, tolerance, may_refuse, page, orientation)


def bits(rng: random.Random, path: Path) -> Case:
    """TIFF of 1 or 12 bits, JPEG inside a TIFF, and kinds that have to be refused."""
    rgb = picture(rng)
    grey = rgb[:, :, 0]
    how = rng.choice(["one", "twelve", "jpeg", "float", "int32", "signed", "ome", "imagej"])
    if how == "one":
        tifffile.imwrite(path, grey > 128, photometric="minisblack", metadata=None)
        return Case("tiff 1 bit", path, np.repeat(((grey > 128) * np.uint8(255))[..., None], 3, 2))
    if how == "twelve":
        wide = (grey.astype(np.uint16) << 4) | (grey >> 4)
        packed = np.zeros((_HEIGHT, _WIDTH // 2, 3), np.uint8)
        one, two = wide[:, ::2], wide[:, 1::2]
        packed[..., 0], packed[..., 2] = one >> 4, two & 255
        packed[..., 1] = ((one & 15) << 4) | (two >> 8)
        _plain_tiff(path, packed.tobytes(), bits=12)
        return Case("tiff 12 bit", path, np.repeat(grey[..., None], 3, 2))
    if how == "jpeg":
        options: dict[str, Any] = {
            "photometric": "ycbcr",
            "subsampling": rng.choice([(1, 1), (2, 2)]),
        }
        tifffile.imwrite(
            path, rgb, compression="jpeg", compressionargs={"level": 95}, metadata=None, **options
        )
        with Image.open(path) as opened:
            return Case("tiff jpeg", path, np.asarray(opened.convert("RGB")), 3.0)
    if how in ("float", "int32", "signed"):
        kind = {"float": np.float32, "int32": np.uint32, "signed": np.int16}[how]
        tifffile.imwrite(path, grey.astype(kind), photometric="minisblack")
        return Case(f"tiff {how}", path, None)
    if how == "ome":
        path = path.with_suffix(".ome.tif")
        tifffile.imwrite(
            path,
            np.stack([grey, 255 - grey]),
            ome=True,
            metadata={"axes": "CYX"},
            photometric="minisblack",
        )
        return Case("tiff ome channels", path, None)
    planes = np.stack([255 - grey, grey, grey // 2])
    tifffile.imwrite(path, planes, imagej=True, metadata={"axes": "ZYX"})
    return Case("tiff imagej", path, np.repeat(grey[..., None], 3, 2), page=1)


def _plain_tiff(path: Path, strip: bytes, bits: int) -> None:
    """A grey TIFF of packed samples that no library here writes."""
    entries = [
        (256, 3, 1, _WIDTH), (257, 3, 1, _HEIGHT), (258, 3, 1, bits), (259, 3, 1, 1),
        (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, _HEIGHT),
        (279, 4, 1, len(strip)),
    ]  # fmt: skip
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<I", 8 + len(strip) + len(strip) % 2)
    strip += bytes(len(strip) % 2)
    path.write_bytes(head + strip + struct.pack("<H", len(entries)) + table + bytes(4))


def jpeg(rng: random.Random, path: Path) -> Case:
    """JPEG: grey, colour, CMYK; subsampling, progressive, profile, EXIF sound or broken."""
    path = path.with_suffix(rng.choice([".jpg", ".JPG", ".jpeg", ".tif", ".png"]))
    rgb = picture(rng)
    mode = rng.choice(["RGB", "RGB", "L", "CMYK"])
    options: dict[str, Any] = {"quality": 95, "progressive": rng.random() < 0.3}
    block, orientation = exif_block(rng)
    if block is not None:
        options["exif"] = block
    shown = rgb
    if mode == "RGB":
        options["subsampling"] = rng.choice(["4:4:4", "4:2:2", "4:2:0"])
        profile = rng.choice([None, wide_profile(), grey_profile(1.8)])
        shown = as_srgb(rgb, profile if profile == wide_profile() else None)
    elif mode == "L":
        profile = rng.choice([None, grey_profile(1.0)])
        shown = as_srgb(rgb[:, :, 0].copy(), profile)
    else:
        profile = None
        shown = np.asarray(Image.fromarray(rgb).convert("CMYK").convert("RGB"))
    image = Image.fromarray(rgb)
    image = image.convert(mode) if mode != "L" else Image.fromarray(rgb[:, :, 0].copy())
    image.save(path, "JPEG", icc_profile=profile, **options)
    cut = rng.random() < 0.15
    if cut:
        data = path.read_bytes()
        path.write_bytes(data[: rng.randrange(len(data) // 2, len(data) - 2)])
    case = Case(f"jpeg {mode}{' cut' if cut else ''}", path, None if cut else shown, 4.0)
    case.orientation = orientation or None
    return case


def png(rng: random.Random, path: Path) -> Case:
    """PNG: grey, colour, palette, alpha, 8 and 16 bits."""
    path = path.with_suffix(".png")
    rgb = picture(rng)
    grey = rgb[:, :, 0].copy()
    how = rng.choice(["RGB", "L", "P", "1", "LA", "RGBA", "transparent", "16", "grey16", "tRNS"])
    three = np.repeat(grey[..., None], 3, 2)
    block, _ = exif_block(rng)
    options: dict[str, Any] = {} if block is None else {"exif": block}
    if how == "16":
        cv2.imwrite(str(path), rgb[:, :, ::-1].astype(np.uint16) * 257)
        return Case("png RGB 16", path, rgb)
    if how == "grey16":
        Image.fromarray(grey.astype(np.uint16) * 257).save(path, **options)
        return Case("png grey 16", path, three)
    shown: Pixels | None = rgb
    if how in ("RGB", "L"):
        profile = (
            rng.choice([None, wide_profile()])
            if how == "RGB"
            else rng.choice([None, grey_profile(1.0)])
        )
        image = Image.fromarray(rgb if how == "RGB" else grey)
        shown = as_srgb(np.asarray(image), profile)
        options["icc_profile"] = profile
    elif how == "P":
        image = Image.fromarray(rgb).quantize(rng.choice([4, 16, 200]))
        shown = np.asarray(image.convert("RGB"))
    elif how == "1":
        image = Image.fromarray(grey > 128)
        shown = np.repeat(((grey > 128) * np.uint8(255))[..., None], 3, 2)
    elif how == "LA":
        image = Image.merge("LA", [Image.fromarray(grey), Image.new("L", (_WIDTH, _HEIGHT), 255)])
        shown = three
    elif how == "tRNS":
        image = Image.fromarray(rgb).quantize(16)
        options["transparency"] = 0
        shown = None
    else:
        image = Image.fromarray(rgb).convert("RGBA")
        if how == "transparent":
            image.putalpha(Image.fromarray((grey > 110).astype(np.uint8) * 255))
            shown = None
    image.save(path, **options)
    if how == "tRNS" and not (np.asarray(image) == 0).any():
        shown = np.asarray(image.convert("RGB"))
    return Case(f"png {how}", path, shown, 1.5)


def modern(rng: random.Random, path: Path) -> Case:
    """WebP, AVIF, HEIF and JPEG XL, where their libraries are installed."""
    rgb = picture(rng)
    how = rng.choice(
        ["webp", "webp moving", "webp clear", "avif", "avif10", "heif", "heif10", "jxl", "jxl16"]
    )
    image = Image.fromarray(rgb)
    profile = rng.choice([None, wide_profile()])
    shown: Pixels | None = as_srgb(rgb, profile)
    extra = {} if profile is None else {"icc_profile": profile}
    if how.startswith("webp"):
        path = path.with_suffix(".webp")
        if how == "webp moving":
            image.save(path, save_all=True, append_images=[ImageOps.invert(image)])
            return Case(how, path, None)
        if how == "webp clear":
            image = image.convert("RGBA")
            image.paste((0, 0, 0, 0), (0, 0, 20, 20))
            shown = None
        image.save(path, lossless=True, **extra)
        return Case(how, path, shown)
    if how.startswith("avif"):
        path = path.with_suffix(".avif")
        if how == "avif":
            image.save(path, quality=95, subsampling="4:4:4", **extra)
            return Case(how, path, shown, 4.0)
        import imagecodecs

        path.write_bytes(imagecodecs.avif_encode(_deep(rgb) >> 6, level=95, bitspersample=10))
        return Case(how, path, rgb, 4.0)
    if how.startswith("heif"):
        import pillow_heif

        path = path.with_suffix(rng.choice([".heic", ".hif", ".jpg"]))
        given = image if how == "heif" else None
        made = (
            pillow_heif.from_pillow(given)
            if given
            else pillow_heif.from_bytes("RGB;16", (_WIDTH, _HEIGHT), _deep(rgb).tobytes())
        )
        made.save(path, quality=95, chroma=444, format="HEIF", **extra)
        return Case(how, path, shown, 4.0)
    import pillow_jxl  # noqa: F401

    path = path.with_suffix(".jxl")
    if how == "jxl":
        image.save(path, lossless=rng.random() < 0.7, quality=98, **extra)
    else:
        import imagecodecs

        path.write_bytes(imagecodecs.jpegxl_encode(_deep(rgb), lossless=True))
    # The encoder chooses a profile: Pillow's plugin says which.
    with Image.open(path) as opened:
        shown = as_srgb(np.asarray(opened), opened.info.get("icc_profile"))
    return Case(how, path, shown)


def _deep(rgb: Pixels) -> Pixels:
    return np.ascontiguousarray(rgb.astype(np.uint16) * 257)


MAKERS: tuple[Callable[[random.Random, Path], Case], ...] = (
    tiff,
    tiff,
    tiff,
    bits,
    jpeg,
    png,
    modern,
)


def file_trouble(seed: int, folder: Path, count: Counter[str]) -> str:
    """What went wrong with the file of a seed, or nothing."""
    rng = random.Random(seed)
    maker = rng.choice(MAKERS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            case = maker(rng, folder / "file.tif")
        except ImportError as error:
            count[f"not made: {error.name}"] += 1
            return ""
        try:
            return _judged(case, folder, rng, count)
        except Exception:
            return f"{case.name}: {traceback.format_exc(limit=-3)}"
        finally:
            for path in folder.iterdir():
                path.unlink()


def _judged(case: Case, folder: Path, rng: random.Random, count: Counter[str]) -> str:
    try:
        if case.path.suffix.lower() in (".tif",) and case.page is None:
            pages = page_count(case.path) if case.path.read_bytes()[:2] in (b"II", b"MM") else 1
            if pages != 1 and case.shown is not None and not case.may_refuse:
                return f"{case.name}: {pages} pages counted"
        pixels = read_picture(case.path, page=case.page)
        width, height, depth = picture_size(case.path)
    except StackError as error:
        if str(case.path) not in str(error):
            return f"{case.name}: refused without its name: {error}"
        if case.shown is None or case.may_refuse:
            count["refused"] += 1
            return ""
        return f"{case.name}: refused: {error}"
    if case.shown is None:
        return f"{case.name}: not refused"
    if (height, width, 3) != pixels.shape:
        return f"{case.name}: {pixels.shape} where {width} x {height} was announced"
    if depth == 8 and pixels.dtype != np.uint8:
        return f"{case.name}: {pixels.dtype} where {depth} bits were announced"
    seen = (pixels if pixels.dtype == np.uint8 else np.rint(pixels / 257).astype(np.uint8))[
        :, :, ::-1
    ]
    off = _difference(as_srgb(np.ascontiguousarray(seen), colour_profile(case.path)), case.shown)
    if off > case.tolerance:
        return f"{case.name}: differs by {off:.1f} of 255"
    return _result_trouble(case, pixels, folder, rng, count)


def _result_trouble(
    case: Case, pixels: Pixels, folder: Path, rng: random.Random, count: Counter[str]
) -> str:
    """Write a result with the file's metadata, and look at it with Pillow and LittleCMS."""
    assert case.shown is not None
    out = folder / f"result.{rng.choice(['tif', 'png', 'jpg'])}"
    metadata = result_metadata(case.path, 3)
    write_picture(out, pixels, 2.5, metadata)
    with Image.open(out) as image:
        profile = image.info.get("icc_profile")
        orientation = image.getexif().get(0x0112, 1)
        caption = image.getexif().get(0x010E)
        turned = ImageOps.exif_transpose(image)
        shown = as_srgb(np.asarray(turned.convert("RGB")), profile)
    if case.orientation is not None and orientation != case.orientation:
        return f"{case.name}: result {out.suffix} says {orientation}, not {case.orientation}"
    wanted = Image.fromarray(case.shown)
    wanted.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(wanted))
    if shown.shape != expected.shape:
        return f"{case.name}: result {out.suffix} of {shown.shape}, expected {expected.shape}"
    off = _difference(shown, expected)
    if off > case.tolerance + (8 if out.suffix == ".jpg" else 1):
        return f"{case.name}: result {out.suffix} differs by {off:.1f} of 255"
    if caption is not None and str(caption).startswith('{"shape"'):
        return f"{case.name}: the caption is {caption}"
    count["read"] += 1
    count[case.name.split()[0]] += 1
    return ""


def _difference(one: Pixels, two: Pixels) -> float:
    return float(np.abs(one.astype(np.int32) - two.astype(np.int32)).mean())


def main() -> None:
    """Try files and folders; list those that went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.studies.strangers_files")
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--folders", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    arguments = parser.parse_args()
    wrong = 0
    for kind, cases, trouble in (
        ("files", arguments.files, file_trouble),
        ("folders", arguments.folders, folder_trouble),
    ):
        count: Counter[str] = Counter()
        began_s = time.monotonic()
        done = bad = 0
        for seed in range(arguments.seed, arguments.seed + cases):
            if time.monotonic() - began_s > arguments.seconds:
                break
            with tempfile.TemporaryDirectory() as folder:
                what = trouble(seed, Path(folder), count)
            done += 1
            if what:
                bad += 1
                print(f"{kind} seed {seed}: {what}", file=sys.stderr)
        wrong += bad
        print(f"{done} {kind}: {bad} wrong; {dict(sorted(count.items()))}")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
