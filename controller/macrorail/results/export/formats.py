"""The export formats, each with its function, its file names and the disk space it needs."""

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
from macrorail.results.export import jpeg, ome, stereo, tiff
from macrorail.results.export.metadata import HASH
from macrorail.results.export.source import ExportSource
from macrorail.results.export.xmp import packet
from macrorail.run_folder.journal import write_whole
from macrorail.run_folder.record import Record, hash_file


class ExportKind(Enum):
    """The export formats."""

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
class _ExportTask:
    """One export: source, output folder and options."""

    source: ExportSource
    folder: Path
    scale_bar: bool

    def file(self, ending: str) -> Path:
        return self.folder / f"{self.source.name}{ending}"


def export(
    record: Record,
    kinds: Sequence[ExportKind],
    folder: Path,
    scale_bar: bool = False,
    on_start: Callable[[ExportKind], None] | None = None,
) -> list[Path]:
    """Export a run; return the files and folders that were written, sidecars last.

    Each export is written to a temporary folder and then renamed, so ``folder`` never contains
    incomplete files.

    Parameters
    ----------
    record
        Contents of the run folder.
    kinds
        Formats to export.
    folder
        Output folder.
    scale_bar
        Whether to draw a scale bar into the JPEG.
    on_start
        Called with each format before that format is written.

    Raises
    ------
    ConfigError
        The run has no picture, or the library for a format is not installed.
    PlanError
        There is not enough space on the disk.
    StackError
        A picture cannot be read, or the folder cannot be written.
    """
    source = ExportSource(record)
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_room(source, kinds, folder)
        for kind in kinds:
            if on_start is not None:
                on_start(kind)
            with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as aside:
                _WRITERS[kind](_ExportTask(source, Path(aside), scale_bar))
                written += [
                    _move_into_place(path, folder) for path in sorted(Path(aside).iterdir())
                ]
    except OSError as error:
        raise StackError(f"{folder} cannot be written: {error.strerror or error}") from error
    return [*written, *_write_sidecars(source, folder, written)]


def _move_into_place(path: Path, folder: Path) -> Path:
    """Move a finished export to its folder, replacing an older export of the same name."""
    target = folder / path.name
    if target.is_dir():
        shutil.rmtree(target)
    path.replace(target)
    return target


def _write_sidecars(source: ExportSource, folder: Path, written: Sequence[Path]) -> list[Path]:
    """Write ``RUN.xmp`` and ``RUN.json``, which has the hash of each export; return their paths."""
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


def _check_room(source: ExportSource, kinds: Sequence[ExportKind], folder: Path) -> None:
    width, height = source.size
    pixels, frames = width * height, len(source.slices)
    needed = 0.0
    for kind in kinds:
        once, per_frame = _BYTES_PER_PIXEL.get(kind, (8, 0))
        needed += (once + per_frame * frames) * pixels
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise PlanError(
            f"{folder} has {format_size(free)} free, but these exports need about "
            f"{format_size(needed)}; free some space or choose another disk with --out"
        )


def _write_tiff(task: _ExportTask) -> None:
    tiff.write_tiff(task.source, task.file(".tif"))


def _write_jpeg(task: _ExportTask) -> None:
    ending = "-scale.jpg" if task.scale_bar else ".jpg"
    jpeg.write_jpeg(task.source, task.file(ending), task.scale_bar)


def _write_ome(task: _ExportTask) -> None:
    ome.write_ome(task.source, task.file(".ome.tif"))


def _write_psd(task: _ExportTask) -> None:
    with needs_extra("export", "exporting as psd"):
        from macrorail.results.export import psd
    psd.write_psd(task.source, task.file(psd.psd_suffix(task.source)))


def _write_depth(task: _ExportTask) -> None:
    tiff.write_depth_tiff(task.source, task.file("-depth.tif"))


def _write_glb(task: _ExportTask) -> None:
    with needs_extra("export", "exporting as glb"):
        from macrorail.results.export import mesh
    mesh.write_mesh(task.source, task.file(".glb"))


def _write_stereo(task: _ExportTask) -> None:
    stereo.write_stereo(task.source, task.file("-left.jpg"), task.file("-right.jpg"))


def _write_rocking(task: _ExportTask) -> None:
    stereo.write_rocking(task.source, task.file("-rocking.gif"), task.file("-rocking.webp"))


def _write_frames(task: _ExportTask) -> None:
    tiff.write_frames(task.source, task.file("-frames"))


_WRITERS: dict[ExportKind, Callable[[_ExportTask], None]] = {
    ExportKind.TIFF: _write_tiff,
    ExportKind.JPEG: _write_jpeg,
    ExportKind.OME_TIFF: _write_ome,
    ExportKind.PSD: _write_psd,
    ExportKind.DEPTH: _write_depth,
    ExportKind.GLB: _write_glb,
    ExportKind.STEREO: _write_stereo,
    ExportKind.ROCKING: _write_rocking,
    ExportKind.FRAMES: _write_frames,
}
#: Disk space needed at most, bytes per pixel: once, and for each frame; 8 and 0 if not listed.
#: TIFFs and the layers of a PSD are written twice.
_BYTES_PER_PIXEL: dict[ExportKind, tuple[float, float]] = {
    ExportKind.TIFF: (12, 0),
    ExportKind.OME_TIFF: (10, 3),
    ExportKind.PSD: (16, 8.2),
    ExportKind.FRAMES: (3, 3),
}
