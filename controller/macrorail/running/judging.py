"""Between counting a slice and fusing it: the images decide, and only good frames are fused.

A verdict may lag behind its frame, because it can need the next slice; align/blend waits for it.
Without a proof every counted frame is fused at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from macrorail.clock import Clock
from macrorail.errors import FrameError
from macrorail.running.interfaces import FrameProof, FrameStream
from macrorail.running.resume import Target

#: An attempt after which no other is made.
_NO_MORE = 1_000_000


@dataclass(frozen=True)
class _Unjudged:
    """A counted frame that waits for its verdict."""

    target: Target
    frame: Path
    achieved_um: float


class Judging:
    """Passes counted frames on to the proof, and good ones to align/blend.

    Parameters
    ----------
    proof
        Judges each frame; ``None`` trusts the achieved positions.
    stream
        Takes each good frame; ``None`` goes without align/blend.
    clock
        Waits for verdicts and for the picture are given up when it says so.
    note
        Writes to the journal.
    reject
        Told each slice whose frame is no good.
    pause
        Told why the run is to pause before it goes on.
    """

    def __init__(
        self,
        proof: FrameProof | None,
        stream: FrameStream | None,
        clock: Clock,
        note: Callable[..., None],
        reject: Callable[[Target], None],
        pause: Callable[[str], None],
    ) -> None:
        self._proof = proof
        self._stream = stream
        self._clock = clock
        self._note = note
        self._reject = reject
        self._pause = pause
        self._unjudged: dict[int, _Unjudged] = {}

    def take(
        self,
        target: Target,
        frame: Path,
        achieved_um: float,
        dof_um: float,
        accepted: bool = False,
    ) -> None:
        """Take a counted frame, and act on the verdicts that are ready.

        Parameters
        ----------
        accepted
            It was judged good before the run was interrupted, and is not shot again.
        """
        if self._proof is None:
            self._fuse_frame(target.number, frame, achieved_um)
            return
        self._unjudged[target.number] = _Unjudged(target, frame, achieved_um)
        attempt = _NO_MORE if accepted else target.attempt
        self._proof.add(target.number, attempt, frame, achieved_um, dof_um)
        self._act_on(self._proof.verdicts())

    def wait(self) -> None:
        """Act on the verdicts of all frames taken so far."""
        if self._proof is not None:
            self._act_on(self._proof.last_verdicts(self._clock.check))

    def relocate(self, numbers: list[int], error_um: float) -> dict[int, float]:
        """Where slices truly were, um, by what the images show of the steps that the axis lost
        among them; align/blend takes them to be there. Empty when the images cannot tell."""
        if self._proof is None:
            return {}
        told = self._proof.relocate(numbers, error_um, self._clock.check)
        true_um = dict(zip(told["numbers"], told["positions_um"], strict=True))
        if true_um and self._stream is not None:
            self._stream.relocate(true_um)
        return true_um

    def missing(self) -> tuple[list[float], str]:
        """Positions in um that the images show to be uncovered, and why."""
        if self._proof is None:
            return [], ""
        missing = self._proof.missing(self._clock.check)
        return missing["positions_um"], missing["why"]

    def withdraw(self, numbers: Iterable[int]) -> None:
        """Take slices back out of the picture."""
        if self._stream is not None:
            self._stream.withdraw(set(numbers))

    def evidence(self) -> dict[str, Any]:
        """What the images prove of the whole sweep; empty without a proof."""
        return {} if self._proof is None else self._proof.finish(self._clock.check)

    def fuse(self) -> list[int]:
        """Wait for the picture; returns the slices that it had to leave out."""
        if self._stream is None:
            return []
        fused = self._stream.finish(self._clock.check)
        self._note_reports(self._stream)
        self._note("fused", **fused)
        left_out: list[int] = fused["left_out"]
        return left_out

    def _act_on(self, verdicts: list[dict[str, Any]]) -> None:
        """Fuse good frames, send bad ones back."""
        for verdict in verdicts:
            shot = self._unjudged.pop(verdict["slice"])
            self._note("judged", **{**verdict, "attempt": shot.target.attempt})
            if verdict["action"] == "fuse":
                self._fuse_frame(shot.target.number, shot.frame, shot.achieved_um)
                continue
            if verdict["action"] == "stop":
                raise FrameError(
                    f"slice {shot.target.number} is no good after {shot.target.attempt} "
                    f"exposure(s): {verdict['why']}. Mend the cause, then resume the run"
                )
            if verdict["action"] == "pause":
                self._pause(f"a bad frame: slice {shot.target.number}, {verdict['why']}")
            self._reject(shot.target)

    def _fuse_frame(self, number: int, frame: Path, achieved_um: float) -> None:
        if self._stream is not None:
            self._stream.add(number, frame, achieved_um)
            self._note_reports(self._stream)

    def _note_reports(self, stream: FrameStream) -> None:
        for report in stream.reports():
            self._note("aligned", **report)
