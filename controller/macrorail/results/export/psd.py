"""Exports a layered PSD or PSB for retouching: the fused picture above all slices with masks.

The masks come from the depth map: each pixel shows the one or two slices nearest to its depth, as
in Photoshop's auto-blend. The masked slices only approximate the fused picture, which was blended
in frequency bands. Layers have 8 bits per channel, like the frames.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from psd_tools.compression import compress
from psd_tools.constants import ChannelID, ColorMode, Compression, Resource, Tag
from psd_tools.psd import PSD
from psd_tools.psd.header import FileHeader
from psd_tools.psd.image_data import ImageData
from psd_tools.psd.image_resources import ImageResource, ImageResources, ResoulutionInfo
from psd_tools.psd.layer_and_mask import (
    ChannelDataList,
    ChannelImageData,
    ChannelInfo,
    LayerAndMaskInformation,
    LayerInfo,
    LayerRecord,
    LayerRecords,
    MaskData,
)
from psd_tools.psd.tagged_blocks import TaggedBlocks

from macrorail.quantity import format_length
from macrorail.results.export.source import Depth, ExportSource
from macrorail.results.export.xmp import packet
from macrorail.stacking.images import to_8_bit

_PSD, _PSB = 1, 2
#: A PSD is limited to 2 GB and 30,000 pixels, a PSB is not.
_LARGEST_PSD_BYTES = 1_900_000_000
_LARGEST_PSD_PX = 30_000
_COLOURS = (ChannelID.CHANNEL_0, ChannelID.CHANNEL_1, ChannelID.CHANNEL_2)

Plane = NDArray[np.uint8]


def psd_suffix(source: ExportSource) -> str:
    """Return ``.psd``, or ``.psb`` if the file is too large for PSD."""
    return ".psb" if _version(source) == _PSB else ".psd"


def write_psd(source: ExportSource, path: Path) -> None:
    """Write the layers, buffering them on disk so that memory does not grow with the slices."""
    version, (width, height) = _version(source), source.size
    header = FileHeader(
        version=version, width=width, height=height, depth=8, channels=3, color_mode=ColorMode.RGB
    )
    with tempfile.TemporaryFile(dir=path.parent) as spool:
        layers = _Layers(spool, width, height, version)
        _add_slices(source, layers)
        fused = _planes(to_8_bit(source.fused()))
        layers.add("fused", fused, None)
        merged = ImageData(compression=Compression.RLE)
        merged.set_data([plane.tobytes() for plane in fused], header)
        del fused
        document = PSD(
            header=header,
            image_resources=_resources(source),
            layer_and_mask_information=LayerAndMaskInformation(
                layer_info=layers.info(), tagged_blocks=TaggedBlocks()
            ),
            image_data=merged,
        )
        with path.open("wb") as file:
            document.write(file)


def slice_mask(depth: Depth, positions_um: Sequence[float], index: int) -> Plane:
    """Return the opacity of a slice's layer at each pixel, 0..255.

    Nearer slices are layers above farther slices. At a depth between two slices the farther slice
    is opaque and the nearer slice fades, which gives a linear mix. At depths beyond its two
    neighbours a slice is hidden.

    Parameters
    ----------
    depth
        (height, width) float32, axis position in micrometres.
    positions_um
        Positions of all slices, ascending.
    index
        Index of this slice in ``positions_um``.
    """
    here_um = positions_um[index]
    shown = np.ones(depth.shape, np.float32)
    if index > 0:
        shown[depth <= positions_um[index - 1]] = 0
    if index + 1 < len(positions_um):
        next_um = positions_um[index + 1]
        np.minimum(shown, np.clip((next_um - depth) / (next_um - here_um), 0, 1), out=shown)
    return np.rint(shown * 255).astype(np.uint8)


class _ChannelOnDisk:
    """A compressed channel that is buffered in a file.

    It replaces ``ChannelData`` of psd-tools, which keeps the bytes in memory.
    """

    def __init__(self, spool: IO[bytes], start: int, length: int) -> None:
        self._spool, self._start, self._size = spool, start, length

    def write(self, fp: IO[bytes], **_: Any) -> int:
        """Write the channel, as ``ChannelData`` of psd-tools does."""
        fp.write(Compression.RLE.value.to_bytes(2, "big"))
        self._spool.seek(self._start)
        fp.write(self._spool.read(self._size))
        return self._length

    @property
    def _length(self) -> int:
        return 2 + self._size


class _Layers:
    """Layers to be written: their records in memory, their pixels on disk."""

    def __init__(self, spool: IO[bytes], width: int, height: int, version: int) -> None:
        self._spool = spool
        self._width, self._height, self._version = width, height, version
        self._records: list[LayerRecord] = []
        self._lengths: list[list[int]] = []

    def add(self, name: str, colours: Sequence[Plane], mask: Plane | None) -> None:
        """Add a layer on top."""
        # A fully opaque alpha channel: without it some programs ignore the mask.
        opaque = np.full((self._height, self._width), 255, np.uint8)
        channels = [(ChannelID.TRANSPARENCY_MASK, opaque), *zip(_COLOURS, colours, strict=True)]
        record = LayerRecord(bottom=self._height, right=self._width)
        record.name = name
        record.tagged_blocks.set_data(Tag.UNICODE_LAYER_NAME, name)
        if mask is not None:
            record.mask_data = MaskData(bottom=self._height, right=self._width)
            channels.append((ChannelID.USER_LAYER_MASK, mask))
        lengths = [self._store(plane) for _, plane in channels]
        record.channel_info = [
            ChannelInfo(id=channel, length=length + 2)
            for (channel, _), length in zip(channels, lengths, strict=True)
        ]
        self._records.append(record)
        self._lengths.append(lengths)

    def _store(self, plane: Plane) -> int:
        data = compress(
            plane.tobytes(), Compression.RLE, self._width, self._height, 8, self._version
        )
        return self._spool.write(data)

    def info(self) -> LayerInfo:
        """Return the layer section of the file; the pixels stay on disk."""
        start, lists = 0, []
        for lengths in self._lengths:
            channels = []
            for length in lengths:
                channels.append(_ChannelOnDisk(self._spool, start, length))
                start += length
            lists.append(ChannelDataList(channels))
        return LayerInfo(
            layer_count=len(self._records),
            layer_records=LayerRecords(self._records),
            channel_image_data=ChannelImageData(lists),
        )


def _add_slices(source: ExportSource, layers: _Layers) -> None:
    depth = source.depth()
    positions_um = [float(one["achieved_um"]) for one in source.slices]
    index = len(positions_um)
    for frame in source.aligned(far_first=True):
        index -= 1
        name = f"{frame.number:04d}  {format_length(frame.position_um, digits=6)}"
        layers.add(name, _planes(to_8_bit(frame.pixels)), slice_mask(depth, positions_um, index))


def _resources(source: ExportSource) -> ImageResources:
    resources = ImageResources.new()
    contents = {Resource.XMP_METADATA: packet(source.description, beside=False)}
    if source.icc is not None:
        contents[Resource.ICC_PROFILE] = source.icc
    per_inch = round(25_400 / source.um_per_px * 65536)  # 16.16 fixed point
    if per_inch < 1 << 32:
        info = ResoulutionInfo(per_inch, 1, 1, per_inch, 1, 1)
        resources[Resource.RESOLUTION_INFO] = ImageResource(key=Resource.RESOLUTION_INFO, data=info)
    for key, data in contents.items():
        resources[key] = ImageResource(key=key, data=data)
    return resources


def _planes(picture: NDArray[np.uint8]) -> list[Plane]:
    """Return the red, green and blue planes of a BGR picture."""
    return [picture[:, :, channel] for channel in (2, 1, 0)]


def _version(source: ExportSource) -> int:
    width, height = source.size
    planes = 3 * (len(source.slices) + 2)
    if planes * width * height > _LARGEST_PSD_BYTES or max(width, height) > _LARGEST_PSD_PX:
        return _PSB
    return _PSD
