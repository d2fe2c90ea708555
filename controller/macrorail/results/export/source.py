"""Reads the picture, the depth map and the frames of a run, one at a time, for exports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from macrorail.errors import ConfigError, StackError
from macrorail.results.export.metadata import Description, describe
from macrorail.run_folder.record import Record
from macrorail.stacking.images import Picture, read_picture
from macrorail.stacking.metadata import (
    Composite,
    Tags,
    colour_profile,
    exif_tags,
)

Depth = NDArray[np.float32]


@dataclass(frozen=True)
class AlignedFrame:
    """A frame in the geometry of the fused picture.

    Attributes
    ----------
    number
        Number of its slice.
    position_um
        Position at which it was taken.
    name
        Name of its file, without folder and suffix.
    pixels
        (height, width, 3), BGR, in the bit depth of the frame. Areas outside the frame are
        mirrored at its edge.
    """

    number: int
    position_um: float
    name: str
    pixels: Picture


class ExportSource:
    """A finished run, read one picture at a time, so that memory does not grow with the frames.

    Raises
    ------
    ConfigError
        The run has no fused picture.
    """

    def __init__(self, record: Record) -> None:
        fused = record.manifest["fused"]
        if fused is None:
            raise ConfigError(
                f"{record.folder} has no fused picture to export. Finish the run with 'macrorail "
                f"resume {record.folder}', or stack its frames with 'macrorail stack "
                f"{record.folder}'"
            )
        self.record = record
        self.name: str = str(record.manifest["run"])
        self.um_per_px: float = float(fused["um_per_px"])
        self.slices = _fused_slices(record)
        if not self.slices:
            raise ConfigError(f"{record.folder}: none of the frames is in the fused picture")
        self._fused = record.folder / str(fused["path"])

    @property
    def reference(self) -> Path:
        """Path of the reference frame, which is the first fused frame."""
        first = self.record.manifest["fusion_order"][0]
        one = next(one for one in self.record.slices if one["index"] == first)
        return self.record.folder / str(one["frame"])

    @cached_property
    def description(self) -> Description:
        """The run's metadata."""
        return describe(self.record)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height of the fused picture in pixels."""
        try:
            with tifffile.TiffFile(self._fused) as file:
                height, width = file.pages.first.shape[:2]
        except (OSError, tifffile.TiffFileError) as error:
            raise StackError(f"{self._fused} cannot be read: {error}") from error
        return width, height

    @cached_property
    def exif(self) -> Tags:
        """IFD0 tags for every exported picture."""
        return exif_tags(
            self.reference,
            Composite(
                frames=len(self.record.slices),
                used=len(self.slices),
                software=str(self.description.terms["xmp:CreatorTool"]),
                operator=self.description.operator,
                rights=self.description.rights,
            ),
        )

    @cached_property
    def icc(self) -> bytes | None:
        """Return the frames' colour profile; sRGB if they have none; ``None`` if it is unknown."""
        return colour_profile(self.reference)

    def fused(self) -> Picture:
        """Read the fused picture; return it as (height, width, 3) uint16, BGR."""
        return read_picture(self._fused)

    def depth(self) -> Depth:
        """Read the depth map; return it as (height, width) float32.

        Values are axis positions in micrometres and increase away from the camera.

        Raises
        ------
        StackError
            The depth map cannot be read.
        """
        path = self.record.folder / "depth.tif"
        try:
            return np.asarray(tifffile.imread(path), np.float32)
        except (OSError, ValueError, tifffile.TiffFileError) as error:
            raise StackError(f"{path} cannot be read: {error}") from error

    def aligned(self, far_first: bool = False) -> Iterator[AlignedFrame]:
        """Yield every fused frame in the geometry of the fused picture, from near to far.

        Parameters
        ----------
        far_first
            Whether to yield the frames from far to near instead.

        Raises
        ------
        StackError
            A frame cannot be read.
        """
        width, height = self.size
        for one in reversed(self.slices) if far_first else self.slices:
            path = self.record.folder / str(one["frame"])
            pixels = read_picture(path)
            transform = np.array(one["transform"], np.float64)
            if not np.array_equal(transform, np.eye(2, 3)):
                pixels = _warp(pixels, transform, width, height)
            yield AlignedFrame(int(one["index"]), float(one["achieved_um"]), path.stem, pixels)


def _warp(pixels: Picture, transform: NDArray[np.float64], width: int, height: int) -> Picture:
    warped: Any = cv2.warpAffine(
        pixels, transform, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(warped)


def _fused_slices(record: Record) -> list[dict[str, Any]]:
    order = set(record.manifest["fusion_order"])
    return [one for one in record.slices if one["index"] in order and one["transform"] is not None]
