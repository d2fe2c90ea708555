"""Restacks a finished run with other settings, into a subfolder of the run."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from macrorail.dashboard.commands import RunCommandRefused
from macrorail.session.background import BackgroundJob, start_in_background

#: Subfolder of the run folder for restacked pictures, which are named after their settings.
FOLDER = "stacked-again"
_NAME = re.compile(r"(best|fast)-(first|middle)-(run|none|shift|affine)")
_LOWEST_PRIORITY = 19
_POLL_S = 0.3

Quality = Literal["best", "fast"]
Reference = Literal["first", "middle"]
#: Geometric transform to allow between frames; ``run`` uses the alignment that the run recorded.
Alignment = Literal["run", "none", "shift", "affine"]


@dataclass
class _Current:
    run: str
    name: str
    job: BackgroundJob


class Restacker:
    """Restacks one run at a time, in a process of the lowest priority."""

    def __init__(self) -> None:
        self._current: _Current | None = None
        self._result: dict[str, Any] | None = None
        self._ending: asyncio.Task[None] | None = None

    @property
    def state(self) -> dict[str, Any] | None:
        """Run, picture name and error of the latest restacking; ``None`` before the first one.

        ``error`` is ``None`` until the restacking has ended.
        """
        if self._current is not None:
            return {"run": self._current.run, "name": self._current.name, "error": None}
        return self._result

    def start(self, folder: Path, quality: Quality, reference: Reference, align: Alignment) -> str:
        """Start restacking a run; return the name of the new picture.

        Raises
        ------
        RunCommandRefused
            A run is being restacked already, or this run has no finished picture.
        """
        if self._current is not None:
            raise RunCommandRefused(
                f"{self._current.run} is being restacked; wait until this has ended"
            )
        if not (folder / "fused.jpg").is_file():
            raise RunCommandRefused("this run has no finished picture yet; resume it first")
        name = f"{quality}-{reference}-{align}"
        (folder / FOLDER).mkdir(exist_ok=True)
        job = start_in_background(
            "stack",
            _LOWEST_PRIORITY,
            folder=str(folder),
            output=str(folder / FOLDER / f"{name}.tif"),
            quality=quality,
            reference=reference,
            motion=None if align == "run" else align,
        )
        self._current = _Current(folder.name, name, job)
        self._ending = asyncio.create_task(self._await_end(self._current))
        return name

    def done(self, folder: Path) -> list[str]:
        """Return the names of a run's restacked pictures."""
        if not (folder / FOLDER).is_dir() or (folder / FOLDER).is_symlink():
            return []
        found = [path.stem for path in (folder / FOLDER).glob("*.tif") if not path.is_symlink()]
        current = self._current
        return sorted(
            name
            for name in found
            if _NAME.fullmatch(name)
            and (current is None or (current.run, current.name) != (folder.name, name))
        )

    def picture(self, folder: Path, name: str) -> Path | None:
        """Return the path of a restacked picture; ``None`` if it does not exist."""
        return folder / FOLDER / f"{name}.tif" if name in self.done(folder) else None

    async def _await_end(self, current: _Current) -> None:
        while current.job.alive:
            await asyncio.sleep(_POLL_S)
        self._result = {"run": current.run, "name": current.name, "error": current.job.error}
        current.job.discard()
        self._current = None
