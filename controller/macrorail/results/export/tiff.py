"""Exports TIFF files: the fused picture in 16 bits, the depth map, the aligned frames."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import tifftools
from numpy.typing import NDArray

from macrorail.results.export.source import ExportSource
from macrorail.results.export.xmp import packet
from macrorail.stacking.metadata import resolution_tags

_XMP_TAG, _ICC_TAG = 700, 34675
_BYTE, _UNDEFINED = 1, 7


def write_tiff(source: ExportSource, path: Path) -> None:
    """Write the fused picture, 16 bits per channel, RGB, with metadata."""
    _write(source, path, source.fused()[:, :, ::-1], "rgb")


def write_depth_tiff(source: ExportSource, path: Path) -> None:
    """Write the depth map: float32, axis positions in micrometres."""
    _write(source, path, source.depth(), "minisblack")


def write_frames(source: ExportSource, folder: Path) -> None:
    """Write every aligned frame, numbered from near to far, and a table of their positions."""
    folder.mkdir(exist_ok=True)
    rows = []
    for place, frame in enumerate(source.aligned(), 1):
        path = folder / f"{place:04d}.tif"
        _write(source, path, frame.pixels[:, :, ::-1], "rgb", with_metadata=False)
        rows.append((path.name, frame.number, frame.position_um, f"frames/{frame.name}"))
    with (folder / "positions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "slice", "position_um", "made_from"))
        writer.writerows(rows)


def _write(
    source: ExportSource,
    path: Path,
    pixels: NDArray[Any],
    photometric: str,
    with_metadata: bool = True,
) -> None:
    """Write the pixels with tifffile, then add further tags with tifftools."""
    aside = path.with_name(f".{path.name}.part")
    tifffile.imwrite(aside, np.ascontiguousarray(pixels), photometric=photometric, metadata=None)
    try:
        info = tifftools.read_tiff(str(aside))
        tags = info["ifds"][0]["tags"]
        tags |= resolution_tags(source.um_per_px)
        if source.icc is not None and photometric == "rgb":
            tags[_ICC_TAG] = {"datatype": _UNDEFINED, "data": source.icc}
        if with_metadata:
            tags |= source.exif
            tags[_XMP_TAG] = {
                "datatype": _BYTE,
                "data": list(packet(source.description, beside=False)),
            }
        # The pixels are copied from file to file, not read into memory.
        tifftools.write_tiff(info, str(path), allowExisting=True)
    finally:
        aside.unlink(missing_ok=True)
