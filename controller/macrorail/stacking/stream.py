"""Sends a run's accepted frames to a stacking process; the run never waits for it.

If the stacking process dies, no frame is lost. Once the run has all its frames, they are restacked
from the first frame, in the same order. The result has the same pixels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from macrorail.errors import DeviceTimeout, StackError, WorkerCrashed
from macrorail.workers import Worker

#: Time limit for one frame or for writing the results: far more than needed at 100 megapixels.
_PATIENCE_S = 600.0
#: Largest number of frames sent but not yet reported. More frames would wait in the pipe and could
#: fill the pipe.
_UNDER_WAY = 4
#: Errors that end the worker process, not only the work on one frame.
_DEATHS = (WorkerCrashed, DeviceTimeout)


@dataclass(frozen=True)
class _Counted:
    number: int
    frame: Path
    position_um: float
    scale: float | None


class RunStream:
    """Sends accepted frames to a stacking process; see ``FrameStream``.

    Parameters
    ----------
    folder
        Run folder, in which the pictures and the log of the process are written.
    um_per_px
        Object-side size of a pixel in the reference frame, micrometres.
    scale_at
        Function that returns the factor by which the frame at a position (um) has to be enlarged
        to fit a reference frame, the same for all positions; ``None`` if the optics are not known.
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
        """See ``FrameStream``; the remaining frames are stacked again from the first."""
        self._frames = [counted for counted in self._frames if counted.number not in numbers]
        self._begin_anew()

    def relocate(self, positions_um: Mapping[int, float]) -> None:
        """See ``FrameStream``; all frames are stacked again from the first, in the same order."""
        self._frames = [
            self._at(
                positions_um.get(counted.number, counted.position_um), counted.number, counted.frame
            )
            for counted in self._frames
        ]
        self._begin_anew()

    def reports(self) -> list[dict[str, Any]]:
        """See ``FrameStream``; the report of a frame that could not be aligned has ``error``."""
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
        """See ``FrameStream``.

        All frames are stacked again if the process has died or a frame was unreadable. A frame may
        be unreadable because its folder was unavailable for a while.

        Raises
        ------
        StackError
            No frame could be aligned, or the process has died a second time.
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
                f"align/blend failed twice ({first}; {again}). All frames are on disk. See "
                f"{self._folder / 'stacker.log'}, then run 'macrorail stack {self._folder}'"
            ) from again

    def close(self) -> None:
        """End the process. A second call does nothing."""
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
                # Left out and reported: a frame that does not fit is never blended without notice.
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
