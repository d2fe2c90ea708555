"""Between counting a slice and fusing it: only frames whose image is good are fused.

A verdict may lag behind its frame, because it can need the next slice; align/blend waits for it.
Without a proof every counted frame is fused at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from macrorail.clock import Clock
from macrorail.errors import FrameError
from macrorail.run_folder.events import Event, FrameJudged, PictureFused, Verdict, event_of
from macrorail.running.interfaces import FrameProof, FrameStream
from macrorail.running.resume import CountedSlice, Target

#: An attempt after which no other is made.
_NO_MORE = 1_000_000


class FrameGate:
    """Passes counted frames on to the proof, and good ones to align/blend.

    Parameters
    ----------
    proof
        Judges each frame; ``None`` trusts the achieved positions.
    stream
        Takes each good frame; ``None`` does without align/blend.
    clock
        Waits for verdicts and for the picture end when it is stopped.
    log_event
        Writes to the journal.
    reject
        Called with each slice whose frame is no good.
    pause
        Called with the reason why the run is to pause before it continues.
    """

    def __init__(
        self,
        proof: FrameProof | None,
        stream: FrameStream | None,
        clock: Clock,
        log_event: Callable[[Event], None],
        reject: Callable[[Target], None],
        pause: Callable[[str], None],
    ) -> None:
        self._proof = proof
        self._stream = stream
        self._clock = clock
        self._log_event = log_event
        self._reject = reject
        self._pause = pause
        self._unjudged: dict[int, CountedSlice] = {}

    def take(self, done: CountedSlice, dof_um: float) -> None:
        """Take a counted frame, and act on the verdicts that are ready.

        One that was accepted before the run was interrupted is not shot again.
        """
        if self._proof is None:
            self._fuse_frame(done)
            return
        self._unjudged[done.target.number] = done
        attempt = _NO_MORE if done.accepted else done.target.attempt
        self._proof.add(done.target.number, attempt, done.frame, done.achieved_um, dof_um)
        self._act_on(self._proof.verdicts())

    def wait(self) -> None:
        """Act on the verdicts of all frames taken so far."""
        if self._proof is not None:
            self._act_on(self._proof.last_verdicts(self._clock.check))

    def relocate(self, numbers: list[int], error_um: float) -> dict[int, float]:
        """Where slices truly were, um, by what the images show of the steps that the axis lost
        among them; align/blend takes them to be there. Empty when the images do not show it."""
        if self._proof is None:
            return {}
        found = self._proof.relocate(numbers, error_um, self._clock.check)
        true_um = dict(zip(found["numbers"], found["positions_um"], strict=True))
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
        fused = PictureFused(**self._stream.finish(self._clock.check))
        self._log_reports(self._stream)
        self._log_event(fused)
        return list(fused.left_out)

    def _act_on(self, verdicts: list[dict[str, Any]]) -> None:
        """Fuse good frames, send bad ones back."""
        for verdict in verdicts:
            done = self._unjudged.pop(verdict["slice"])
            number, attempt = done.target.number, done.target.attempt
            judged = FrameJudged(**{**verdict, "attempt": attempt})
            self._log_event(judged)
            if judged.action == Verdict.FUSE:
                self._fuse_frame(done)
                continue
            if judged.action == Verdict.STOP:
                raise FrameError(
                    f"slice {number} is no good after {attempt} exposure(s): {judged.why}. Mend "
                    f"the cause, then resume the run"
                )
            if judged.action == Verdict.PAUSE:
                self._pause(f"a bad frame: slice {number}, {judged.why}")
            self._reject(done.target)

    def _fuse_frame(self, done: CountedSlice) -> None:
        if self._stream is not None:
            self._stream.add(done.target.number, done.frame, done.achieved_um)
            self._log_reports(self._stream)

    def _log_reports(self, stream: FrameStream) -> None:
        for report in stream.reports():
            self._log_event(event_of("aligned", report))
