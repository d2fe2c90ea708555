"""Exports the fused picture as JPEG, with metadata and an optional scale bar."""

from __future__ import annotations

from pathlib import Path

import cv2
from PIL import Image, ImageDraw, ImageFont

from macrorail.optics.scale_bar import scale_bar
from macrorail.quantity import format_length
from macrorail.results.export.source import ExportSource
from macrorail.results.export.xmp import packet
from macrorail.stacking.images import to_8_bit
from macrorail.stacking.metadata import exif_block

_QUALITY = 95
_WHITE = (255, 255, 255)
#: An APP1 segment has 65535 bytes including length and signature (XMP part 3, 1.1.3).
_LARGEST_XMP = 65_502
_LARGEST_DENSITY = 65_535


def write_jpeg(source: ExportSource, path: Path, with_bar: bool = False) -> None:
    """Write the fused picture as an 8-bit JPEG."""
    picture = Image.fromarray(cv2.cvtColor(to_8_bit(source.fused()), cv2.COLOR_BGR2RGB))
    if with_bar:
        draw_scale_bar(picture, source.um_per_px)
    xmp = packet(source.description, beside=False)
    if len(xmp) > _LARGEST_XMP:
        xmp = packet(source.description, beside=False, with_frames=False)
    per_inch = round(25_400 / source.um_per_px)
    picture.save(
        path,
        "JPEG",
        # Some programs read the resolution only from the JFIF header, where it has 16 bits.
        dpi=(per_inch, per_inch) if per_inch <= _LARGEST_DENSITY else (0, 0),
        quality=_QUALITY,
        subsampling=0,
        exif=exif_block(source.exif, *picture.size, source.um_per_px),
        icc_profile=source.icc,
        xmp=xmp,
    )


def draw_scale_bar(picture: Image.Image, um_per_px: float) -> None:
    """Draw a scale bar with its length into the lower right corner."""
    bar = scale_bar(picture.width, um_per_px)
    length_px = round(bar.share * picture.width)
    thick = max(3, round(picture.width / 220))
    right, bottom = (side - round(picture.width / 45) for side in picture.size)
    size_px = max(12.0, picture.width / 50)
    draw = ImageDraw.Draw(picture, "RGBA")
    pad, baseline = 2 * thick, bottom - 2.4 * thick
    draw.rectangle(
        (right - length_px - pad, baseline - 0.8 * size_px - pad, right + pad, bottom + pad),
        (0, 0, 0, 128),
    )
    draw.rectangle((right - length_px, bottom - thick, right - 1, bottom - 1), _WHITE)
    _write_centred(
        draw, right - length_px / 2, baseline, format_length(bar.length_um), round(size_px)
    )


def _write_centred(
    draw: ImageDraw.ImageDraw, middle: float, baseline: float, text: str, size_px: int
) -> None:
    """Draw text in Pillow's default font; as the font has no µ, add a stem to the letter u."""
    font = ImageFont.load_default(size_px)
    spelt = text.replace("µ", "u")
    start = round(middle - draw.textlength(spelt, font) / 2)
    draw.text((start, baseline), spelt, _WHITE, font, anchor="ls")
    if "µ" in text:
        before = start + draw.textlength(spelt[: text.index("µ")], font)
        ink = font.getmask("u").getbbox()
        left = before + (font.getlength("u") - (ink[2] - ink[0])) / 2
        stem_px = max(1, round(0.085 * size_px))
        top = baseline - (ink[3] - ink[1]) / 2
        draw.rectangle((left, top, left + stem_px - 1, baseline + 0.22 * size_px), _WHITE)
