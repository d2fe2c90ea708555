"""Reads Data Matrix and QR labels in a picture, with zxing-cpp."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from macrorail.errors import StackError
from macrorail.extras import needs_extra

#: Sizes of smaller copies to try, in pixels on the long side. A code that fills a large frame is
#: often readable only in a smaller copy.
_SMALLER_PX = (2400, 1200)


def read_labels(picture: Path | NDArray[np.uint8]) -> list[str]:
    """Return the texts of the Data Matrix and QR codes in a picture, without duplicates.

    Parameters
    ----------
    picture
        Path of a JPEG, PNG or TIFF file, or a uint8 array: (height, width) grey or
        (height, width, 3) BGR.

    Raises
    ------
    ConfigError
        zxing-cpp is not installed.
    StackError
        The file is not a picture.
    """
    with needs_extra("codes", "reading labels"):
        import zxingcpp
    wanted = [
        *(zxingcpp.BarcodeFormat.DataMatrix, zxingcpp.BarcodeFormat.QRCode),
        zxingcpp.BarcodeFormat.MicroQRCode,
    ]
    formats = zxingcpp.BarcodeFormats(wanted)
    for grey in _variants(_grey(picture)):
        found = zxingcpp.read_barcodes(grey, formats=formats, text_mode=zxingcpp.TextMode.Plain)
        if found:
            return list(dict.fromkeys(code.text for code in found if code.valid))
    return []


def _grey(picture: Path | NDArray[np.uint8]) -> NDArray[np.uint8]:
    if isinstance(picture, Path):
        loaded = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
        if loaded is None:
            raise StackError(f"{picture} cannot be read as a picture")
        picture = np.asarray(loaded, np.uint8)
    if picture.ndim == 3:
        picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
    return np.ascontiguousarray(picture)


def _variants(grey: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Yield the unchanged picture, then smaller, denoised and sharpened copies, to try in turn.

    The variants and their strengths were chosen with the labels in tests/studies/labels.py.
    """
    yield grey
    for longest in _SMALLER_PX:
        scale = longest / max(grey.shape)
        if scale < 1:
            yield _resized(grey, scale, cv2.INTER_AREA)
    for noise_px in (1.0, 2.0):
        denoised = np.asarray(cv2.GaussianBlur(grey, (0, 0), noise_px), np.uint8)
        yield denoised
        for reach_px in (3.0, 6.0):
            soft = cv2.GaussianBlur(denoised, (0, 0), reach_px)
            yield np.asarray(cv2.addWeighted(denoised, 4, soft, -3, 0), np.uint8)
    if max(grey.shape) <= _SMALLER_PX[0]:
        yield _resized(grey, 2, cv2.INTER_CUBIC)


def _resized(grey: NDArray[np.uint8], scale: float, how: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(grey, None, fx=scale, fy=scale, interpolation=how), np.uint8)
