"""One stack to be made: which frames, how, and where the result goes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import tifffile
from PIL import Image

from macrorail.batch.frames import Source, find_frames, fusion_order
from macrorail.errors import ConfigError, StackError
from macrorail.extras import needs_extra
from macrorail.run_folder.journal import JOURNAL
from macrorail.run_folder.record import read_record
from macrorail.stacking.images import JPEG_SUFFIXES, TIFF_SUFFIXES, is_picture
from macrorail.stacking.memory import bytes_needed
from macrorail.stacking.raw import RAW_SUFFIXES

#: What a process takes for batches beyond what stacking takes.
_PROGRAM_BYTES = 300e6


@dataclass(frozen=True)
class Settings:
    """How stacks are made; as ``macrorail stack`` has them.

    Attributes
    ----------
    reference
        ``first``, ``middle`` or a number from 1.
    quality
        ``fast`` or ``best``.
    motion
        What may differ between frames besides their focus; ``None``: a similarity, and a run's
        frames lie as the run has laid them.
    """

    reference: str = "first"
    quality: Literal["fast", "best"] = "best"
    motion: str | None = None


@dataclass(frozen=True)
class StackJob:
    """One stack to be made.

    Attributes
    ----------
    name
        Of its result's folder.
    frames
        In the order of fusion.
    out
        The result's folder.
    um_per_px
        Object-side size of a pixel, micrometres; ``None`` when nobody knows.
    notes
        What is to be known about the frames, for people.
    origin
        The folder that the frames come from.
    """

    name: str
    frames: tuple[Source, ...]
    out: Path
    settings: Settings = Settings()
    um_per_px: float | None = None
    notes: tuple[str, ...] = ()
    origin: Path = field(default_factory=Path)

    @staticmethod
    def of(
        name: str,
        frames: list[Source],
        out: Path,
        settings: Settings,
        notes: tuple[str, ...],
        origin: Path,
    ) -> StackJob:
        """Of photographs in the order in which they were taken."""
        order = tuple(fusion_order(frames, settings.reference))
        return StackJob(name, order, out, settings, None, notes, origin)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, for another process or machine; paths are absolute."""
        frames = [
            {
                "index": one.index,
                "path": str(one.path.absolute()),
                "z_um": one.z_um,
                "scale": one.scale,
            }
            for one in self.frames
        ]
        return {
            "name": self.name,
            "frames": frames,
            "out": str(self.out.absolute()),
            "settings": asdict(self.settings),
            "um_per_px": self.um_per_px,
            "notes": list(self.notes),
            "origin": str(self.origin.absolute()),
        }

    @staticmethod
    def from_dict(told: dict[str, Any]) -> StackJob:
        """The opposite of :meth:`to_dict`."""
        frames = (
            Source(one["index"], Path(one["path"]), one["z_um"], one["scale"])
            for one in told["frames"]
        )
        return StackJob(
            told["name"],
            tuple(frames),
            Path(told["out"]),
            Settings(**told["settings"]),
            told["um_per_px"],
            tuple(told["notes"]),
            Path(told["origin"]),
        )

    def needed_bytes(self) -> float:
        """Memory that a process needs to make it, bytes; does not grow with the frames' number.

        Raises
        ------
        StackError
            The first frame is no picture.
        """
        width, height, bits = _size(self.frames[0].path)
        return _PROGRAM_BYTES + bytes_needed(width, height, bits, self.settings.quality)


def _size(path: Path) -> tuple[int, int, int]:
    """Width, height and bits of a picture, from its head."""
    try:
        if path.suffix.lower() in TIFF_SUFFIXES:
            with tifffile.TiffFile(path) as file:
                page = file.pages.first
                return page.shape[1], page.shape[0], page.bitspersample
        if path.suffix.lower() in RAW_SUFFIXES:
            with needs_extra("raw", f"reading the raw file {path}", StackError):
                import rawpy  # an extra of its own: most cameras also give JPEG
            with rawpy.imread(str(path)) as raw:
                return raw.sizes.width, raw.sizes.height, 16
        with Image.open(path) as picture:
            return *picture.size, 8 if path.suffix.lower() in JPEG_SUFFIXES else 16
    except StackError:
        raise
    # What rawpy raises is its own class, derived from Exception alone.
    except Exception as error:
        raise StackError(f"{path} cannot be read: {error}") from error


def find_jobs(folders: Iterable[Path], out: Path, settings: Settings) -> list[StackJob]:
    """One job for every run folder and every folder of photographs, however deep.

    Parameters
    ----------
    out
        Where results go, each into a folder of its own; is not looked into.

    Raises
    ------
    ConfigError
        A folder that is none, that holds no stack, or a reference that a stack has not.
    """
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"{folder} is not a folder")
        here = _stack_folders(folder, out.absolute())
        if not here:
            raise ConfigError(
                f"{folder} holds neither runs nor photographs (JPEG, PNG, TIFF or raw)"
            )
        found += here
    unique = list(dict.fromkeys(path.absolute() for path in found))
    names = _names(unique)
    return [_job(path, out / names[path], settings) for path in unique]


def _job(folder: Path, out: Path, settings: Settings) -> StackJob:
    frames = fusion_order(find_frames([folder]), settings.reference)
    um_per_px = None
    if (folder / JOURNAL).exists():
        fused = read_record(folder).manifest["fused"]
        um_per_px = None if fused is None else float(fused["um_per_px"])
    return StackJob(out.name, tuple(frames), out, settings, um_per_px, origin=folder)


def _stack_folders(folder: Path, out: Path) -> list[Path]:
    """Run folders, and folders that hold pictures themselves."""
    if folder.absolute() == out:
        return []
    # A campaign has a journal as well, but its frames lie in its runs.
    if (folder / JOURNAL).exists() and (folder / "frames").is_dir():
        return [folder]
    inside = sorted(folder.iterdir())
    if any(path.is_file() and is_picture(path) for path in inside):
        return [folder]
    deeper = [path for path in inside if path.is_dir() and not path.name.startswith(".")]
    return [found for path in deeper for found in _stack_folders(path, out)]


def _names(folders: list[Path]) -> dict[Path, str]:
    """A name for each folder's result: its own, with as many of its parents as tell it apart."""
    names: dict[Path, str] = {}
    for folder in folders:
        for depth in range(1, len(folder.parts)):
            tail = folder.parts[-depth:]
            if not any(o != folder and o.parts[-depth:] == tail for o in folders):
                break
        names[folder] = "-".join(tail)
    return names
