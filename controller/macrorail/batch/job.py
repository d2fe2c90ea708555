"""Describes one stack of a batch: its frames, its settings and the folder of its result."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from macrorail.batch.frame_types import Passed
from macrorail.batch.frames import Source, fusion_order
from macrorail.stacking.images import picture_size
from macrorail.stacking.memory import bytes_needed

#: What a process takes for batches beyond what stacking takes.
_PROGRAM_BYTES = 300e6


@dataclass(frozen=True)
class BatchSettings:
    """Settings of the stacks of a batch; the same as the options of ``macrorail stack``.

    Attributes
    ----------
    reference
        Reference frame: ``first``, ``middle`` or a frame's number from 1.
    quality
        ``fast`` or ``best``.
    motion
        Kind of geometric transform between frames. ``None`` uses the recorded alignment for a
        run, and a similarity for other frames.
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
        Name of the result folder.
    frames
        The frames, in the order of fusion.
    out
        Path of the result folder.
    settings
        Settings of the stack.
    um_per_px
        Object-side size of a pixel, micrometres; ``None`` when it is not known.
    notes
        Notes about the frames for the operator.
    origin
        The folder that contains the frames.
    passed_over
        Files in ``origin`` that are not frames.
    """

    name: str
    frames: tuple[Source, ...]
    out: Path
    settings: BatchSettings = BatchSettings()
    um_per_px: float | None = None
    notes: tuple[str, ...] = ()
    origin: Path = field(default_factory=Path)
    passed_over: tuple[Passed, ...] = ()

    @staticmethod
    def of(
        name: str,
        frames: list[Source],
        out: Path,
        settings: BatchSettings,
        notes: tuple[str, ...],
        origin: Path,
        passed_over: tuple[Passed, ...] = (),
    ) -> StackJob:
        """Return a job for photographs, which are given in the order in which they were taken."""
        order = tuple(fusion_order(frames, settings.reference))
        return StackJob(name, order, out, settings, None, notes, origin, passed_over)

    def to_dict(self) -> dict[str, Any]:
        """Return the job as JSON values for another process or machine; paths are absolute."""
        frames = [
            {
                "index": one.index,
                "path": str(one.path.absolute()),
                "z_um": one.z_um,
                "scale": one.scale,
                "page": one.page,
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
            "passed_over": [one.to_dict() for one in self.passed_over],
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> StackJob:
        """Make a job from the JSON values of :meth:`to_dict`."""
        frames = (
            Source(one["index"], Path(one["path"]), one["z_um"], one["scale"], one.get("page"))
            for one in data["frames"]
        )
        return StackJob(
            data["name"],
            tuple(frames),
            Path(data["out"]),
            BatchSettings(**data["settings"]),
            data["um_per_px"],
            tuple(data["notes"]),
            Path(data["origin"]),
            tuple(Passed(Path(one["file"]), one["reason"]) for one in data["passed_over"]),
        )

    def needed_bytes(self) -> float:
        """Memory in bytes that a process needs to make the stack.

        The memory does not depend on the number of frames.

        Raises
        ------
        StackError
            The first frame is not a picture.
        """
        width, height, bits = picture_size(self.frames[0].path)
        return _PROGRAM_BYTES + bytes_needed(width, height, bits, self.settings.quality)
