"""Every kind of export: who writes it, how its files are called, what it needs."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from macrorail.errors import PlanError, StackError
from macrorail.extras import needs_extra
from macrorail.quantity import format_size
from macrorail.results.export import jpeg, ome, tiff, views
from macrorail.results.export.metadata import HASH
from macrorail.results.export.source import Source
from macrorail.results.export.xmp import packet
from macrorail.run_folder.journal import write_whole
from macrorail.run_folder.record import Record, hash_file


class Kind(Enum):
    """What can be exported."""

    TIFF = "tiff"
    JPEG = "jpeg"
    OME_TIFF = "ome-tiff"
    PSD = "psd"
    DEPTH = "depth"
    GLB = "glb"
    STEREO = "stereo"
    ROCKING = "rocking"
    FRAMES = "frames"


@dataclass(frozen=True)
class _Order:
    """One export: from what, into which folder, and what the operator chose."""

    source: Source
    folder: Path
    scale_bar: bool

    def file(self, ending: str) -> Path:
        return self.folder / f"{self.source.name}{ending}"


def export(
    record: Record,
    kinds: Sequence[Kind],
    folder: Path,
    scale_bar: bool = False,
    tell: Callable[[Kind], None] | None = None,
) -> list[Path]:
    """Export a run; returns the files and folders written, sidecars last.

    Each is written aside and then put in its place: what lies in ``folder`` is always whole.

    Parameters
    ----------
    tell
        Told each kind before it is written.

    Raises
    ------
    ConfigError
        The run has no picture, or a library for a kind is not installed.
    PlanError
        Not enough room on the disk.
    StackError
        A picture cannot be read, or the folder not be written.
    """
    source = Source(record)
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_room(source, kinds, folder)
        for kind in kinds:
            if tell is not None:
                tell(kind)
            with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as aside:
                _WRITERS[kind](_Order(source, Path(aside), scale_bar))
                written += [_put(path, folder) for path in sorted(Path(aside).iterdir())]
    except OSError as error:
        raise StackError(f"{folder} cannot be written: {error.strerror or error}") from error
    return [*written, *_write_sidecars(source, folder, written)]


def _put(path: Path, folder: Path) -> Path:
    """Move a finished export to its place, where an older one of its name may lie."""
    target = folder / path.name
    if target.is_dir():
        shutil.rmtree(target)
    path.replace(target)
    return target


def _write_sidecars(source: Source, folder: Path, written: Sequence[Path]) -> list[Path]:
    """``RUN.xmp`` and ``RUN.json``; the latter keeps the hash of every export beside it."""
    xmp, sidecar = (folder / f"{source.name}{ending}" for ending in (".xmp", ".json"))
    write_whole(xmp, packet(source.description, beside=True).decode())
    files = {}
    if sidecar.exists():
        earlier = json.loads(sidecar.read_text(encoding="utf-8"))["macrorail:exports"]
        files = {one["file"]: one for one in earlier if (folder / one["file"]).exists()}
    for path in written:
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            name = file.relative_to(folder).as_posix()
            files[name] = {"file": name, "hashFunction": HASH, "hashValue": hash_file(file)}
    about = source.description.to_dict() | {
        "macrorail:exports": [files[name] for name in sorted(files)]
    }
    write_whole(sidecar, json.dumps(about, indent=2, ensure_ascii=False) + "\n")
    return [xmp, sidecar]


def _check_room(source: Source, kinds: Sequence[Kind], folder: Path) -> None:
    width, height = source.size
    pixels, frames = width * height, len(source.slices)
    needed = 0.0
    for kind in kinds:
        once, per_frame = _BYTES_PER_PIXEL.get(kind, (8, 0))
        needed += (once + per_frame * frames) * pixels
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise PlanError(
            f"{folder} has {format_size(free)} free, these exports need about "
            f"{format_size(needed)}; make room or choose another disk with --out"
        )


def _write_tiff(order: _Order) -> None:
    tiff.write_tiff(order.source, order.file(".tif"))


def _write_jpeg(order: _Order) -> None:
    ending = "-scale.jpg" if order.scale_bar else ".jpg"
    jpeg.write_jpeg(order.source, order.file(ending), order.scale_bar)


def _write_ome(order: _Order) -> None:
    ome.write_ome(order.source, order.file(".ome.tif"))


def _write_psd(order: _Order) -> None:
    with needs_extra("export", "exporting as psd"):
        from macrorail.results.export import psd
    psd.write_psd(order.source, order.file(psd.psd_suffix(order.source)))


def _write_depth(order: _Order) -> None:
    tiff.write_depth_tiff(order.source, order.file("-depth.tif"))


def _write_glb(order: _Order) -> None:
    with needs_extra("export", "exporting as glb"):
        from macrorail.results.export import mesh
    mesh.write_mesh(order.source, order.file(".glb"))


def _write_stereo(order: _Order) -> None:
    views.write_stereo(order.source, order.file("-left.jpg"), order.file("-right.jpg"))


def _write_rocking(order: _Order) -> None:
    views.write_rocking(order.source, order.file("-rocking.gif"), order.file("-rocking.webp"))


def _write_frames(order: _Order) -> None:
    tiff.write_frames(order.source, order.file("-frames"))


_WRITERS: dict[Kind, Callable[[_Order], None]] = {
    Kind.TIFF: _write_tiff,
    Kind.JPEG: _write_jpeg,
    Kind.OME_TIFF: _write_ome,
    Kind.PSD: _write_psd,
    Kind.DEPTH: _write_depth,
    Kind.GLB: _write_glb,
    Kind.STEREO: _write_stereo,
    Kind.ROCKING: _write_rocking,
    Kind.FRAMES: _write_frames,
}
#: Disk needed at most, bytes per pixel: once, and for each frame; 8 and 0 for what is not named.
#: TIFFs are written twice before they lie in place, the layers of a PSD as well.
_BYTES_PER_PIXEL: dict[Kind, tuple[float, float]] = {
    Kind.TIFF: (12, 0),
    Kind.OME_TIFF: (10, 3),
    Kind.PSD: (16, 8.2),
    Kind.FRAMES: (3, 3),
}
