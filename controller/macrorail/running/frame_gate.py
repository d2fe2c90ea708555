"""Decides which accepted frames are fused: only those whose image passes the proof.

A verdict may need the next slice and so come later than its frame; fusion waits for the verdict.
Without a proof every frame is fused at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from macrorail.clock import Clock
from macrorail.errors import FrameError
from macrorail.run_folder.events import Event, FrameJudged, PictureFused, Verdict, event_of
from macrorail.running.interfaces import FrameProof, FrameStream
from macrorail.running.resume import CountedSlice, Target

#: Attempt number given to the proof for a frame that must not be shot again: above any limit.
_NO_MORE = 1_000_000


class FrameGate:
    """Passes frames to the image proof, and passes the accepted frames to align/blend.

    Parameters
    ----------
    proof
        Image proof that checks each frame; with ``None`` the achieved positions are trusted.
    stream
        Receives each good frame for fusion; with ``None`` frames are not fused.
    clock
        Clock of the run. When the clock is stopped, the gate no longer waits for verdicts or for
        the picture.
    log_event
        Function that writes an event to the journal.
    reject
        Called with each slice whose frame is bad.
    pause
        Called with the reason when the run has to pause.
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
        """Add the frame of a finished slice, and act on the verdicts that are ready.

        ``dof_um`` is the depth of field at the slice, micrometres. A frame that was accepted before
        an interruption of the run is not shot again.
        """
        if self._proof is None:
            self._fuse_frame(done)
            return
        self._unjudged[done.target.number] = done
        attempt = _NO_MORE if done.accepted else done.target.attempt
        self._proof.add(done.target.number, attempt, done.frame, done.achieved_um, dof_um)
        self._act_on(self._proof.verdicts())

    def wait(self) -> None:
        """Wait for the verdicts of all frames added so far, and act on them."""
        if self._proof is not None:
            self._act_on(self._proof.last_verdicts(self._clock.check))

    def relocate(self, numbers: list[int], error_um: float) -> dict[int, float]:
        """Find from the images the true positions of slices during which the axis lost steps.

        ``numbers`` are the slices, and ``error_um`` is the error of the axis position after the
        last of them.

        Returns
        -------
        dict
            True positions in um by slice number, which align/blend then uses. Empty if the images
            do not show the true positions.
        """
        if self._proof is None:
            return {}
        found = self._proof.relocate(numbers, error_um, self._clock.check)
        true_um = dict(zip(found["numbers"], found["positions_um"], strict=True))
        if true_um and self._stream is not None:
            self._stream.relocate(true_um)
        return true_um

    def missing(self) -> tuple[list[float], str]:
        """Return positions (um) at which the images show a missing slice, and the reason."""
        if self._proof is None:
            return [], ""
        missing = self._proof.missing(self._clock.check)
        return missing["positions_um"], missing["why"]

    def withdraw(self, numbers: Iterable[int]) -> None:
        """Remove the slices with these numbers from the picture that is being fused."""
        if self._stream is not None:
            self._stream.withdraw(set(numbers))

    def evidence(self) -> dict[str, Any]:
        """Return the proof's result for all slices together; empty without a proof."""
        return {} if self._proof is None else self._proof.finish(self._clock.check)

    def fuse(self) -> list[int]:
        """Wait for the picture; return the numbers of slices that were left out of it."""
        if self._stream is None:
            return []
        fused = PictureFused(**self._stream.finish(self._clock.check))
        self._log_reports(self._stream)
        self._log_event(fused)
        return list(fused.left_out)

    def _act_on(self, verdicts: list[dict[str, Any]]) -> None:
        """Fuse good frames, and have the slices of bad frames shot again."""
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
                    f"slice {number} is no good after {attempt} exposure(s): {judged.why}. Remove "
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
