"""A run's end of verification: frames go out as they are counted, verdicts come back.

Should the process die it is started once more with all frames that still count; should it die
again, the run goes on without it, and its manifest says that the images prove nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from macrorail.errors import DeviceTimeout, WorkerCrashed
from macrorail.proof.settings import FUSE, ProofSettings
from macrorail.workers import Worker

#: For one frame, or for all of them together: far more than either takes at 100 megapixels.
_PATIENCE_S = 300.0
_DEATHS = (WorkerCrashed, DeviceTimeout)
_MODULE = "macrorail.proof.worker"


@dataclass(frozen=True)
class _Added:
    number: int
    attempt: int
    frame: Path
    position_um: float
    dof_um: float


class RunProof:
    """Frames are judged in a process; a ``macrorail.run.interfaces.FrameProof``.

    Parameters
    ----------
    settings
        What is to be proven.
    folder
        The run folder: takes the coverage map and the process's log.
    """

    def __init__(self, settings: ProofSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._frames: dict[int, _Added] = {}
        self._judged: set[int] = set()
        self._deaths = 0
        self._begin()

    def add(
        self, number: int, attempt: int, frame: Path, position_um: float, dof_um: float
    ) -> None:
        """See ``FrameProof``."""
        added = _Added(number, attempt, frame, position_um, dof_um)
        self._frames.pop(number, None)
        self._frames[number] = added
        self._judged.discard(number)
        self._guarded(lambda: self._send_once(added), lambda: None)

    def verdicts(self) -> list[dict[str, Any]]:
        """See ``FrameProof``."""
        self._guarded(lambda: self._take(leave=1), self._trust_all)
        return self._told()

    def last_verdicts(self, check: Callable[[], None]) -> list[dict[str, Any]]:
        """See ``FrameProof``."""

        def judge() -> None:
            self._take(leave=0, check=check)
            self._keep(self._worker.request("last_verdicts", _PATIENCE_S, check)["verdicts"])

        self._guarded(judge, self._trust_all)
        return self._told()

    def relocate(
        self, numbers: list[int], error_um: float, check: Callable[[], None]
    ) -> dict[str, Any]:
        """See ``FrameProof``."""
        unknown: dict[str, Any] = {"numbers": [], "positions_um": []}
        told = self._asked("relocate", check, unknown, numbers=numbers, error_um=error_um)
        for number, position_um in zip(told["numbers"], told["positions_um"], strict=True):
            self._frames[number] = replace(self._frames[number], position_um=position_um)
        return told

    def missing(self, check: Callable[[], None]) -> dict[str, Any]:
        """See ``FrameProof``."""
        return self._asked("missing", check, {"positions_um": [], "why": ""})

    def finish(self, check: Callable[[], None]) -> dict[str, Any]:
        """See ``FrameProof``."""
        unknown = {
            "proven": None,
            "reason": f"verification died {self._deaths} times; see {self._log.name}",
        }
        return self._asked("finish", check, unknown)

    def close(self) -> None:
        """End the process. Safe to call twice."""
        self._worker.close()

    def kill(self) -> None:
        """End the process now, as a crash would."""
        self._worker.kill()

    @property
    def _log(self) -> Path:
        return self._folder / "proof.log"

    def _begin(self) -> None:
        self._worker = Worker(_MODULE, "verification", log=self._log)
        self._under_way: deque[tuple[int, int]] = deque()
        self._untold: list[dict[str, Any]] = []
        self._worker.request(
            "begin", _PATIENCE_S, settings=asdict(self._settings), folder=str(self._folder)
        )

    def _send(self, added: _Added) -> None:
        request = self._worker.send("add", **{**asdict(added), "frame": str(added.frame)})
        self._under_way.append((request, added.number))

    def _send_once(self, added: _Added) -> None:
        """A process started anew has been given it already."""
        if all(number != added.number for _, number in self._under_way):
            self._send(added)

    def _take(self, leave: int, check: Callable[[], None] | None = None) -> None:
        while len(self._under_way) > leave:
            answer = self._worker.receive(self._under_way[0][0], _PATIENCE_S, check)
            self._under_way.popleft()
            self._keep(answer["verdicts"])

    def _keep(self, verdicts: list[dict[str, Any]]) -> None:
        """Tell each verdict once: a process started anew gives the old ones again."""
        for verdict in verdicts:
            number = verdict["slice"]
            if number in self._judged:
                continue
            self._judged.add(number)
            if verdict["action"] != FUSE:
                del self._frames[number]
            self._untold.append(verdict)

    def _told(self) -> list[dict[str, Any]]:
        told, self._untold = self._untold, []
        return told

    def _trust_all(self) -> None:
        """Without verification every frame counts, as it would without this module."""
        for added in self._frames.values():
            if added.number not in self._judged:
                self._judged.add(added.number)
                self._untold.append(
                    {
                        "slice": added.number,
                        "attempt": added.attempt,
                        "action": FUSE,
                        "faults": [],
                        "why": "not verified: the process died",
                    }
                )

    def _asked(
        self,
        verb: str,
        check: Callable[[], None],
        otherwise: dict[str, Any],
        **arguments: Any,
    ) -> dict[str, Any]:
        answer: dict[str, Any] = {}

        def ask() -> None:
            answer.update(self._worker.request(verb, _PATIENCE_S, check, **arguments))
            answer.pop("id")

        self._guarded(ask, lambda: answer.update(otherwise))
        return answer

    def _guarded(self, act: Callable[[], None], without: Callable[[], None]) -> None:
        """Do it; after a death once more in a new process; after another death do without."""
        if self._deaths > 1:
            without()
            return
        try:
            act()
        except _DEATHS:
            self._deaths += 1
            self._worker.close()
            try:
                self._start_anew()
                act()
            except _DEATHS:
                self._deaths += 1
                without()

    def _start_anew(self) -> None:
        untold = self._untold
        self._begin()
        self._untold = untold
        for added in self._frames.values():
            self._send(added)
