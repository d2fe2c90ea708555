"""Interfaces that a run needs in addition to its devices, as typing protocols."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any, Protocol


class FrameStream(Protocol):
    """Receives accepted frames in order and fuses them: align/blend.

    Fusion runs in parallel with the run and never delays it.
    """

    def add(self, number: int, frame: Path, position_um: float) -> None:
        """Add the frame of slice ``number``; returns at once."""
        ...

    def withdraw(self, numbers: Set[int]) -> None:
        """Remove slices that were added; they may be added again."""
        ...

    def relocate(self, positions_um: Mapping[int, float]) -> None:
        """Correct the positions (um, by slice number) of slices that were added before."""
        ...

    def reports(self) -> list[dict[str, Any]]:
        """Return the reports since the last call: one dict per slice, with ``number``.

        A report has ``transform`` (2x3, frame to reference pixels) and ``sharpness``, or ``error``
        if the frame could not be aligned and was left out.
        """
        ...

    def finish(self, check: Callable[[], None]) -> dict[str, Any]:
        """Wait for the fused picture; ``check`` is called while waiting and may raise.

        Returns
        -------
        dict
            The manifest's ``fused`` section; ``left_out`` lists the numbers of slices that could
            not be aligned.

        Raises
        ------
        StackError
        """
        ...


class FrameProof(Protocol):
    """Checks the frames of finished slices: each by itself, and all together for gaps.

    The proof runs in parallel with the run. Fusion waits for a frame's verdict. Some verdicts need
    the next frame and so come later.
    """

    def add(
        self, number: int, attempt: int, frame: Path, position_um: float, dof_um: float
    ) -> None:
        """Add a frame of slice ``number``; returns at once."""
        ...

    def verdicts(self) -> list[dict[str, Any]]:
        """Return the verdicts since the last call.

        A verdict has ``slice``, ``attempt``, ``action`` (``fuse``, ``reshoot`` or ``stop``),
        ``faults`` (their kinds) and ``why``. The call waits until all frames but the newest have
        been checked.
        """
        ...

    def last_verdicts(self, check: Callable[[], None]) -> list[dict[str, Any]]:
        """Return the remaining verdicts of all frames; the newest is checked without a next frame.

        ``check`` is called while waiting and may raise.
        """
        ...

    def relocate(
        self, numbers: list[int], error_um: float, check: Callable[[], None]
    ) -> dict[str, Any]:
        """Determine the true positions of the slices ``numbers``, during which the axis lost steps.

        They are the newest slices, and each has its verdict. ``error_um`` is the error of the axis
        position after the last of these slices.

        Returns
        -------
        dict
            ``numbers`` of the slices and their true ``positions_um``, which the proof uses from
            now on. Both are empty, and nothing is changed, if the images do not show the
            positions.
        """
        ...

    def missing(self, check: Callable[[], None]) -> dict[str, Any]:
        """Return the ``positions_um`` still to be shot according to the images, and ``why``.

        Each position is returned only once, and the total number is limited.
        """
        ...

    def finish(self, check: Callable[[], None]) -> dict[str, Any]:
        """Return the final result of the proof: the manifest's ``coverage.images``.

        ``proven`` is ``None`` if the images show too little for a decision.
        """
        ...


class Watch(Protocol):
    """Watches something outside the instrument that a run needs: a disk, a battery, a lamp."""

    def trouble(self) -> str | None:
        """Return a message if something is wrong, otherwise ``None``; return at once, never raise.

        Called between slices and while a run is paused.
        """
        ...


class LagComparison(Protocol):
    """Compares the frames that show whether the shutter opens late."""

    def differences(
        self, held: Path, leaving: Path, away: Path, check: Callable[[], None]
    ) -> dict[str, float]:
        """Return mean squared differences between three frames, in 8-bit steps squared.

        Parameters
        ----------
        held, leaving
            Two frames of one slice: one shot with the axis at rest until the frame arrived, the
            other with the axis moving on after the exposure, as in a run.
        away
            Frame of another slice, far enough from the first slice to look different.
        check
            Called while waiting; may raise an error to end the wait.

        Returns
        -------
        dict
            ``held_leaving``, ``leaving_away`` and ``held_away``: the difference of each pair.

        Raises
        ------
        StackError
            A frame cannot be read.
        """
        ...


class SceneCheck(Protocol):
    """Checks whether the camera still sees the same scene."""

    def compare(self, before: Path, now: Path, check: Callable[[], None]) -> dict[str, Any]:
        """Compare two frames shot from the same position; ``check`` is called while waiting.

        Returns
        -------
        dict
            ``shift_px`` and ``correlation``, for the journal.

        Raises
        ------
        SceneMoved
            The frames do not show the same scene.
        """
        ...
