"""A run's end of align/blend: frames go out as they are counted, the run never waits for it.

A stacker that dies takes nothing with it: when the run has all its frames, the stack is built
anew from them, in the same order, and gives the same pixels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from macrorail.errors import DeviceTimeout, StackError, WorkerCrashed
from macrorail.workers import Worker

#: For one frame, or for writing the results: far more than either takes at 100 megapixels.
_PATIENCE_S = 600.0
#: Frames handed over and not yet reported; more would wait in the pipe and could fill it.
_UNDER_WAY = 4
#: What ends the worker's process rather than one frame.
_DEATHS = (WorkerCrashed, DeviceTimeout)


@dataclass(frozen=True)
class _Counted:
    number: int
    frame: Path
    position_um: float
    scale: float | None


class RunStream:
    """Streams counted frames into a stacker process; see ``FrameStream``.

    Parameters
    ----------
    folder
        The run folder: takes the pictures and the process's log.
    um_per_px
        Object-side size of a pixel in the reference frame, micrometres.
    scale_at
        By what the frame at a position (um) has to be enlarged to fit the one at another, the same
        for all, or ``None`` where the optics do not tell.
    """

    def __init__(
        self, folder: Path, um_per_px: float, scale_at: Callable[[float], float | None]
    ) -> None:
        self._folder = folder
        self._um_per_px = um_per_px
        self._scale_at = scale_at
        self._frames: list[_Counted] = []
        self._begin()

    def add(self, number: int, frame: Path, position_um: float) -> None:
        """See ``FrameStream``."""
        counted = self._at(position_um, number, frame)
        self._frames.append(counted)
        self._waiting.append(counted)

    def withdraw(self, numbers: Set[int]) -> None:
        """See ``FrameStream``; what is left is stacked from the beginning."""
        self._frames = [counted for counted in self._frames if counted.number not in numbers]
        self._begin_anew()

    def relocate(self, positions_um: Mapping[int, float]) -> None:
        """See ``FrameStream``; everything is stacked from the beginning, in the same order."""
        self._frames = [
            self._at(
                positions_um.get(counted.number, counted.position_um), counted.number, counted.frame
            )
            for counted in self._frames
        ]
        self._begin_anew()

    def reports(self) -> list[dict[str, Any]]:
        """See ``FrameStream``; a frame that could not be aligned has ``error`` in its report."""
        try:
            self._hand_over()
            while self._under_way and self._worker.ready(self._under_way[0][0]):
                self._take_report()
                self._hand_over()
        except _DEATHS:
            self._alive = False
        told = list(self._untold)
        self._untold.clear()
        return told

    def finish(self, check: Callable[[], None]) -> dict[str, Any]:
        """See ``FrameStream``; stacks everything once more if the process has died meanwhile, or
        a frame could not be read, whose folder may have been away for a while.

        Raises
        ------
        StackError
            No frame fits, or the process has died a second time.
        """
        try:
            fused = self._finish(check)
            if not self._unread:
                return fused
            first = "a frame could not be read"
        except _DEATHS as death:
            first = str(death)
        except StackError as error:
            if not self._unread:
                raise
            first = str(error)
        self._begin_anew()
        try:
            return self._finish(check)
        except _DEATHS as again:
            raise StackError(
                f"align/blend died twice ({first}; {again}). All frames are on disk: see "
                f"{self._folder / 'stacker.log'}, then 'macrorail stack {self._folder}'"
            ) from again

    def close(self) -> None:
        """End the process. Safe to call twice."""
        self._worker.close()

    def _at(self, position_um: float, number: int, frame: Path) -> _Counted:
        return _Counted(number, frame, position_um, self._scale_at(position_um))

    def _begin_anew(self) -> None:
        self._worker.close()
        self._begin()
        self._waiting.extend(self._frames)

    def _begin(self) -> None:
        self._worker = Worker(
            "macrorail.stacking.stream_worker", "stacker", log=self._folder / "stacker.log"
        )
        self._alive = True
        self._waiting: deque[_Counted] = deque()
        self._under_way: deque[tuple[int, _Counted]] = deque()
        self._untold: list[dict[str, Any]] = []
        self._left_out: list[int] = []
        self._unread = False

    def _hand_over(self) -> None:
        while self._alive and self._waiting and len(self._under_way) < _UNDER_WAY:
            counted = self._waiting.popleft()
            request = self._worker.send(
                "add",
                number=counted.number,
                frame=str(counted.frame),
                position_um=counted.position_um,
                scale=counted.scale,
            )
            self._under_way.append((request, counted))

    def _take_report(self, check: Callable[[], None] | None = None) -> None:
        request, counted = self._under_way[0]
        try:
            reports = self._worker.receive(request, _PATIENCE_S, check)["reports"]
        except StackError as error:
            reports = [{"number": counted.number, "error": str(error), "unread": True}]
        self._under_way.popleft()
        self._tell(reports)

    def _tell(self, reports: list[dict[str, Any]]) -> None:
        for report in reports:
            if "error" in report:
                # Left out and said so: a frame that does not fit is never blended in silence.
                self._left_out.append(report["number"])
                self._unread |= report.pop("unread")
            self._untold.append(report)

    def _finish(self, check: Callable[[], None]) -> dict[str, Any]:
        if not self._alive:
            raise WorkerCrashed("it was gone before the last frame")
        self._hand_over()
        while self._under_way:
            self._take_report(check)
            self._hand_over()
        self._tell(self._worker.request("take_held", _PATIENCE_S, check)["reports"])
        fused = self._worker.request(
            "finish", _PATIENCE_S, check, folder=str(self._folder), um_per_px=self._um_per_px
        )
        fused.pop("id")
        return {**fused, "left_out": self._left_out}
