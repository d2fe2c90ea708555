"""Exports OME-TIFF: picture, depth map and the aligned frames as a Z stack, with pixel sizes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from macrorail.results.export.source import ExportSource


def write_ome(source: ExportSource, path: Path) -> None:
    """Write three images: ``fused`` (RGB, 16 bits), ``depth`` (float, micrometres) and ``frames``.

    The frames are written one by one and uncompressed, so that viewers open any plane quickly.
    """
    sizes = {
        "PhysicalSizeX": source.um_per_px,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": source.um_per_px,
        "PhysicalSizeYUnit": "µm",
    }
    fused = np.ascontiguousarray(source.fused()[:, :, ::-1])
    reference = next(source.aligned()).pixels
    positions_um = [float(one["achieved_um"]) for one in source.slices]
    per_cm = 10_000 / source.um_per_px
    common: dict[str, Any] = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as writer:
        about = {"axes": "YXS", "Name": "fused", **sizes, **_about(source)}
        writer.write(fused, photometric="rgb", metadata=about, **common)
        del fused
        depth = {"axes": "YX", "Name": "depth", **sizes, "Description": "axis position, µm"}
        writer.write(source.depth(), photometric="minisblack", metadata=depth, **common)
        writer.write(
            _planes(source),
            shape=(len(positions_um), *reference.shape),
            dtype=reference.dtype,
            photometric="rgb",
            metadata={
                "axes": "ZYXS",
                "Name": "frames",
                **sizes,
                **_spacing(positions_um),
                "Plane": {
                    "PositionZ": positions_um,
                    "PositionZUnit": ["µm"] * len(positions_um),
                },
            },
            **common,
        )


def _planes(source: ExportSource) -> Iterator[NDArray[Any]]:
    for frame in source.aligned():
        yield np.ascontiguousarray(frame.pixels[:, :, ::-1])


def _spacing(positions_um: list[float]) -> dict[str, Any]:
    """Return the mean distance between the planes; each plane also has its own position."""
    if len(positions_um) < 2:
        return {}
    mean_um = (positions_um[-1] - positions_um[0]) / (len(positions_um) - 1)
    return {"PhysicalSizeZ": mean_um, "PhysicalSizeZUnit": "µm"}


def _about(source: ExportSource) -> dict[str, str]:
    terms = source.description.terms
    return {
        "Description": f"{terms['dcterms:identifier']}: {terms['ac:resourceCreationTechnique']}",
        "AcquisitionDate": source.record.began[:19],
    }
