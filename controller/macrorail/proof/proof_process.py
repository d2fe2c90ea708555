"""Runs the image proof in a process of its own: sends frames to it and receives the verdicts.

If the process dies, it is restarted with all accepted frames. If it dies again, the run continues
without the proof, and the manifest says that the images prove nothing.
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

#: Time limit for one frame or for the complete run: far more than needed at 100 megapixels.
_TIMEOUT_S = 300.0
_CRASHES = (WorkerCrashed, DeviceTimeout)
_MODULE = "macrorail.proof.worker"


@dataclass(frozen=True)
class _AddedFrame:
    number: int
    attempt: int
    frame: Path
    position_um: float
    dof_um: float


class ProofProcess:
    """A ``macrorail.running.interfaces.FrameProof`` in a process of its own.

    Parameters
    ----------
    settings
        What has to be proven, and the limits.
    folder
        Run folder, in which the coverage map and the log of the process are written.
    """

    def __init__(self, settings: ProofSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._frames: dict[int, _AddedFrame] = {}
        self._judged: set[int] = set()
        self._crashes = 0
        self._begin()

    def add(
        self, number: int, attempt: int, frame: Path, position_um: float, dof_um: float
    ) -> None:
        """See ``FrameProof``."""
        added = _AddedFrame(number, attempt, frame, position_um, dof_um)
        self._frames.pop(number, None)
        self._frames[number] = added
        self._judged.discard(number)
        self._with_restart(lambda: self._send_once(added), lambda: None)

    def verdicts(self) -> list[dict[str, Any]]:
        """See ``FrameProof``."""
        self._with_restart(lambda: self._take(leave=1), self._accept_all)
        return self._take_verdicts()

    def last_verdicts(self, check: Callable[[], None]) -> list[dict[str, Any]]:
        """See ``FrameProof``."""

        def judge() -> None:
            self._take(leave=0, check=check)
            self._keep(self._worker.request("last_verdicts", _TIMEOUT_S, check)["verdicts"])

        self._with_restart(judge, self._accept_all)
        return self._take_verdicts()

    def relocate(
        self, numbers: list[int], error_um: float, check: Callable[[], None]
    ) -> dict[str, Any]:
        """See ``FrameProof``."""
        unknown: dict[str, Any] = {"numbers": [], "positions_um": []}
        reported = self._ask_worker("relocate", check, unknown, numbers=numbers, error_um=error_um)
        for number, position_um in zip(reported["numbers"], reported["positions_um"], strict=True):
            self._frames[number] = replace(self._frames[number], position_um=position_um)
        return reported

    def missing(self, check: Callable[[], None]) -> dict[str, Any]:
        """See ``FrameProof``."""
        return self._ask_worker("missing", check, {"positions_um": [], "why": ""})

    def finish(self, check: Callable[[], None]) -> dict[str, Any]:
        """See ``FrameProof``."""
        unknown = {
            "proven": None,
            "reason": f"the image proof crashed {self._crashes} times; see {self._log.name}",
        }
        return self._ask_worker("finish", check, unknown)

    def close(self) -> None:
        """End the process. A second call does nothing."""
        self._worker.close()

    def kill(self) -> None:
        """Kill the process, as a crash would."""
        self._worker.kill()

    @property
    def _log(self) -> Path:
        return self._folder / "proof.log"

    def _begin(self) -> None:
        self._worker = Worker(_MODULE, "image proof", log=self._log)
        self._pending: deque[tuple[int, int]] = deque()
        self._unreported: list[dict[str, Any]] = []
        self._worker.request(
            "begin", _TIMEOUT_S, settings=asdict(self._settings), folder=str(self._folder)
        )

    def _send(self, added: _AddedFrame) -> None:
        request = self._worker.send("add", **{**asdict(added), "frame": str(added.frame)})
        self._pending.append((request, added.number))

    def _send_once(self, added: _AddedFrame) -> None:
        """Send a frame, unless a restart has already sent it."""
        if all(number != added.number for _, number in self._pending):
            self._send(added)

    def _take(self, leave: int, check: Callable[[], None] | None = None) -> None:
        while len(self._pending) > leave:
            answer = self._worker.receive(self._pending[0][0], _TIMEOUT_S, check)
            self._pending.popleft()
            self._keep(answer["verdicts"])

    def _keep(self, verdicts: list[dict[str, Any]]) -> None:
        """Store only new verdicts, because a restarted process repeats earlier verdicts."""
        for verdict in verdicts:
            number = verdict["slice"]
            if number in self._judged:
                continue
            self._judged.add(number)
            if verdict["action"] != FUSE:
                del self._frames[number]
            self._unreported.append(verdict)

    def _take_verdicts(self) -> list[dict[str, Any]]:
        verdicts, self._unreported = self._unreported, []
        return verdicts

    def _accept_all(self) -> None:
        """Accept every frame, because there is no proof any more."""
        for added in self._frames.values():
            if added.number not in self._judged:
                self._judged.add(added.number)
                self._unreported.append(
                    {
                        "slice": added.number,
                        "attempt": added.attempt,
                        "action": FUSE,
                        "faults": [],
                        "why": "not checked: the image proof crashed",
                    }
                )

    def _ask_worker(
        self,
        verb: str,
        check: Callable[[], None],
        default: dict[str, Any],
        **arguments: Any,
    ) -> dict[str, Any]:
        answer: dict[str, Any] = {}

        def ask() -> None:
            answer.update(self._worker.request(verb, _TIMEOUT_S, check, **arguments))
            answer.pop("id")

        self._with_restart(ask, lambda: answer.update(default))
        return answer

    def _with_restart(self, act: Callable[[], None], give_up: Callable[[], None]) -> None:
        """Call ``act``; after a crash call it in a new process; after a second crash give up."""
        if self._crashes > 1:
            give_up()
            return
        try:
            act()
        except _CRASHES:
            self._crashes += 1
            self._worker.close()
            try:
                self._restart()
                act()
            except _CRASHES:
                self._crashes += 1
                give_up()

    def _restart(self) -> None:
        unreported = self._unreported
        self._begin()
        self._unreported = unreported
        for added in self._frames.values():
            self._send(added)
