"""Exports the depth map as a textured surface in binary glTF.

Lengths are in metres; y points up and z towards the camera.
"""

from __future__ import annotations

import io
import math
from pathlib import Path

import cv2
import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from macrorail.results.export.source import ExportSource
from macrorail.stacking.images import to_8_bit

#: As many as a browser or phone can rotate smoothly.
_MOST_VERTICES = 400_000
_WIDEST_TEXTURE_PX = 4096
#: Size of the median filter, in grid steps, which removes single wrong depths.
_MEDIAN = 5
_TO_METRES = 1e-6


def write_mesh(source: ExportSource, path: Path) -> None:
    """Write the surface for the area of the picture that all frames cover."""
    x, y, width, height = source.record.manifest["fused"]["valid_rect"]
    depth = source.depth()[y : y + height, x : x + width]
    picture = to_8_bit(source.fused()[y : y + height, x : x + width])
    step = max(1, math.ceil(math.sqrt(width * height / _MOST_VERTICES)))
    columns, rows = max(2, width // step), max(2, height // step)
    grid = cv2.resize(depth, (columns, rows), interpolation=cv2.INTER_AREA)
    grid = cv2.medianBlur(np.asarray(grid, np.float32), _MEDIAN)
    across, down = np.meshgrid(
        np.linspace(0, 1, columns, dtype=np.float32), np.linspace(0, 1, rows, dtype=np.float32)
    )
    width_um, height_um = width * source.um_per_px, height * source.um_per_px
    vertices = np.column_stack(
        [
            (across.ravel() - 0.5) * width_um,
            (0.5 - down.ravel()) * height_um,
            grid.max() - grid.ravel(),
        ]
    )
    surface = trimesh.Trimesh(
        vertices * _TO_METRES,
        _faces(rows, columns),
        process=False,
        visual=TextureVisuals(
            uv=np.column_stack([across.ravel(), 1 - down.ravel()]),
            material=PBRMaterial(
                baseColorTexture=_texture(picture),
                metallicFactor=0.0,
                roughnessFactor=0.9,
                doubleSided=True,
            ),
        ),
    )
    path.write_bytes(surface.export(file_type="glb"))


def _faces(rows: int, columns: int) -> NDArray[np.int64]:
    """Return two triangles for each grid cell, anticlockwise as seen from the camera."""
    numbers = np.arange(rows * columns).reshape(rows, columns)
    a, b = numbers[:-1, :-1].ravel(), numbers[:-1, 1:].ravel()
    c, d = numbers[1:, :-1].ravel(), numbers[1:, 1:].ravel()
    return np.concatenate([np.column_stack([a, c, b]), np.column_stack([b, c, d])])


def _texture(picture: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    image.thumbnail((_WIDEST_TEXTURE_PX, _WIDEST_TEXTURE_PX), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    image.save(data, "JPEG", quality=92)
    # The mesh library keeps the format that a picture was opened from, so this is stored as JPEG.
    return Image.open(data)
