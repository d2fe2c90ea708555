"""Merges the exposures of one slice into one picture, in a separate process.

Exposure fusion (Mertens, Kautz and van Reeth, Pacific Graphics 2007) gives, at each pixel, the
highest weight to exposures that are well exposed, saturated and rich in contrast. The method needs
no response curve and no tone mapping. The result is an ordinary picture that can be stacked.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from macrorail.errors import FrameError, StackError
from macrorail.frame import store_frame
from macrorail.stacking.images import read_picture, to_8_bit
from macrorail.workers import serve

_QUALITY = 97


def fuse_exposures(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Fuse exposures of the same size into one picture.

    Parameters
    ----------
    pictures
        Each (height, width, 3), BGR, uint8, sRGB-encoded.

    Returns
    -------
    array of shape (height, width, 3), BGR, uint8
        The weighted sum can slightly exceed the range at edges of the pyramid; it is clipped.
    """
    fused = cv2.createMergeMertens().process(pictures)
    return np.asarray(np.rint(np.clip(fused, 0.0, 1.0) * 255), np.uint8)


def merge(exposures: list[str], like: int, stem: str) -> dict[str, Any]:
    """Merge exposures on disk and write the result to ``stem`` + ``.jpg``.

    Returns the ``path``, ``sha256`` and ``size_bytes`` of the result.

    Parameters
    ----------
    exposures
        Paths of at least two exposures.
    like
        Index of the exposure whose EXIF data and colour profile are copied.

    Raises
    ------
    FrameError
        An exposure cannot be read, or the exposures differ in size.
    """
    try:
        pictures = [to_8_bit(read_picture(Path(path))) for path in exposures]
    except StackError as error:
        raise FrameError(f"an exposure cannot be merged: {error}") from error
    sizes = {picture.shape for picture in pictures}
    if len(sizes) != 1:
        raise FrameError(f"exposures of different sizes cannot be merged: {sorted(sizes)}")
    data = io.BytesIO()
    Image.fromarray(cv2.cvtColor(fuse_exposures(pictures), cv2.COLOR_BGR2RGB)).save(
        data, "JPEG", quality=_QUALITY, subsampling=0, **_blocks_of(Path(exposures[like]))
    )
    names = "+".join(Path(path).name for path in exposures)
    path = Path(stem)
    frame = store_frame(path.with_name(f"{path.name}.jpg"), data.getbuffer(), names)
    return {"path": str(frame.path), "sha256": frame.sha256, "size_bytes": frame.size_bytes}


def _blocks_of(path: Path) -> dict[str, bytes]:
    try:
        with Image.open(path) as picture:
            blocks = {
                "exif": picture.info.get("exif"),
                "icc_profile": picture.info.get("icc_profile"),
            }
    except (OSError, UnidentifiedImageError):
        return {}  # the picture is readable but has no EXIF data
    return {name: block for name, block in blocks.items() if block}


def main() -> None:
    """Answer the parent process's requests until the parent closes the pipe."""
    cv2.setNumThreads(2)
    serve({"merge": merge})


if __name__ == "__main__":
    main()
