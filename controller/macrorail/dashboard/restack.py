"""Stacks a finished run again with other settings, beside the picture that it has."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from macrorail.dashboard.commands import NotDone
from macrorail.session.background import BackgroundJob, start_in_background

#: Below a run folder; each picture is named after how it was made.
FOLDER = "stacked-again"
_NAME = re.compile(r"(best|fast)-(first|middle)-(run|none|shift|affine)")
_LEAST_URGENT = 19
_POLL_S = 0.3

Quality = Literal["best", "fast"]
Reference = Literal["first", "middle"]
#: What may differ between frames besides their focus; ``run``: they lie as the run has laid them.
Alignment = Literal["run", "none", "shift", "affine"]


@dataclass
class _UnderWay:
    run: str
    name: str
    job: BackgroundJob


class Restacker:
    """Stacks one run at a time, as a process that yields to everything else."""

    def __init__(self) -> None:
        self._at: _UnderWay | None = None
        self._result: dict[str, Any] | None = None
        self._ending: asyncio.Task[None] | None = None

    @property
    def state(self) -> dict[str, Any] | None:
        """``run``, ``name`` and, once it has ended, ``error`` (empty when all went well)."""
        if self._at is not None:
            return {"run": self._at.run, "name": self._at.name, "error": None}
        return self._result

    def start(self, folder: Path, quality: Quality, reference: Reference, align: Alignment) -> str:
        """Begin; returns the name that the picture will have.

        Raises
        ------
        NotDone
            Another one is being stacked, or the run has no picture to compare with.
        """
        if self._at is not None:
            raise NotDone(f"{self._at.run} is being stacked again; wait until it is done")
        if not (folder / "fused.jpg").is_file():
            raise NotDone("this run has no finished picture yet; resume it first")
        name = f"{quality}-{reference}-{align}"
        (folder / FOLDER).mkdir(exist_ok=True)
        job = start_in_background(
            "stack",
            _LEAST_URGENT,
            folder=str(folder),
            output=str(folder / FOLDER / f"{name}.tif"),
            quality=quality,
            reference=reference,
            motion=None if align == "run" else align,
        )
        self._at = _UnderWay(folder.name, name, job)
        self._ending = asyncio.create_task(self._await_end(self._at))
        return name

    def done(self, folder: Path) -> list[str]:
        """Names of a run's pictures that are finished."""
        if not (folder / FOLDER).is_dir() or (folder / FOLDER).is_symlink():
            return []
        found = [path.stem for path in (folder / FOLDER).glob("*.tif") if not path.is_symlink()]
        at = self._at
        return sorted(
            name
            for name in found
            if _NAME.fullmatch(name) and (at is None or (at.run, at.name) != (folder.name, name))
        )

    def picture(self, folder: Path, name: str) -> Path | None:
        """A finished picture's file."""
        return folder / FOLDER / f"{name}.tif" if name in self.done(folder) else None

    async def _await_end(self, at: _UnderWay) -> None:
        while at.job.alive:
            await asyncio.sleep(_POLL_S)
        self._result = {"run": at.run, "name": at.name, "error": at.job.error}
        at.job.discard()
        self._at = None
