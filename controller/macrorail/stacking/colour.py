"""Converts the samples of a file to BGR samples in a known colour space.

RGB pictures keep their numbers and their profile. Grey pictures with a profile, CMYK and CIELab are
converted to sRGB by LittleCMS.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageCms

from macrorail.errors import StackError

Picture = NDArray[np.uint8] | NDArray[np.uint16]

_PERCEPTUAL = 0
#: A picture with at least this opacity everywhere counts as opaque; editors round opacity a little.
_OPAQUE = 0.98


def profile_space(profile: bytes | None) -> str:
    """Return the profile's colour space: ``RGB``, ``GRAY``, ``CMYK``, ... (ICC.1, section 7.2).

    The text is empty if ``profile`` is not a valid profile.
    """
    if profile is None or len(profile) < 128 or profile[36:40] != b"acsp":
        return ""
    if int.from_bytes(profile[:4], "big") > len(profile):
        return ""
    return profile[16:20].decode("ascii", "replace").strip()


@cache
def srgb_profile() -> bytes:
    """Return the profile of sRGB (IEC 61966-2-1)."""
    made = bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # Bytes 24 to 35 hold the date of creation (ICC.1). They are cleared, so that stacking the same
    # frames twice writes identical files.
    return made[:24] + bytes(12) + made[36:]


@cache
def _lab_profile() -> bytes:
    return bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes())


def from_grey(grey: NDArray[Any], profile: bytes | None) -> Picture:
    """Convert a grey picture (height, width) to BGR; to sRGB if its profile is a grey profile."""
    if profile is not None and profile_space(profile) == "GRAY":
        return _to_srgb(grey, profile, "gray")
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2)


def from_cmyk(inks: NDArray[Any], profile: bytes | None) -> Picture:
    """Convert cyan, magenta, yellow and black (height, width, 4) to BGR in sRGB.

    The highest sample value stands for full ink. Without a profile each ink absorbs its share of
    light, as in Pillow and ImageMagick.
    """
    if profile is not None and profile_space(profile) == "CMYK":
        return _to_srgb(inks, profile, "cmyk")
    top = np.iinfo(inks.dtype).max
    light = (top - inks).astype(np.float64)
    shown = light[:, :, :3] * light[:, :, 3:] / top
    return np.asarray(np.rint(shown[:, :, ::-1]).astype(inks.dtype))


def from_lab(lab: NDArray[Any]) -> Picture:
    """Convert CIELab (height, width, 3), in LittleCMS's 8- or 16-bit encoding, to BGR in sRGB."""
    return _to_srgb(lab, _lab_profile(), "lab")


def _to_srgb(
    samples: NDArray[Any], profile: bytes, space: Literal["gray", "cmyk", "lab"]
) -> Picture:
    import imagecodecs

    try:
        shown = imagecodecs.cms_transform(
            np.ascontiguousarray(samples),
            profile,
            srgb_profile(),
            colorspace=space,
            outcolorspace="rgb",
            outdtype=samples.dtype,
            intent=_PERCEPTUAL,
        )
    except (ValueError, RuntimeError) as error:
        raise StackError(f"its colour profile cannot be used: {error}") from error
    return np.ascontiguousarray(shown[:, :, ::-1])


def opaque(colour: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Return the colours of a picture, which must be opaque everywhere.

    Raises
    ------
    StackError
        Parts are transparent, so their colours are not part of the picture.
    """
    top = np.iinfo(alpha.dtype).max
    if int(alpha.min()) < _OPAQUE * top:
        share = float((alpha < _OPAQUE * top).mean())
        raise StackError(
            f"{share:.1%} of it is transparent and cannot be stacked; crop all frames to an area "
            f"that is opaque in each, or use frames whose background has not been removed"
        )
    return colour


def to_8_bit(pixels: Picture) -> NDArray[np.uint8]:
    """Return the picture in 8 bits, rounded."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    # 65535 / 257 = 255, so both ends of the range are preserved. (x + 128) // 257 equals
    # (y - y // 256) // 256 for y = x + 128. As y is at most 65535, it fits in 16 bits.
    scaled = np.minimum(pixels, np.uint16(65535 - 128))
    scaled += 128
    scaled -= scaled >> 8
    scaled >>= 8
    return scaled.astype(np.uint8)


def reversed_in_place(pixels: NDArray[Any]) -> NDArray[Any]:
    """Swap RGB and BGR in place, strip by strip, so that no copy of a large picture is needed."""
    if not pixels.flags.writeable or not pixels.flags.c_contiguous:
        return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR)
    for y in range(0, len(pixels), 256):
        rows = pixels[y : y + 256]
        rows[:] = rows[:, :, ::-1].copy()
    return pixels
