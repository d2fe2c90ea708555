"""What a run needs beside its devices, as typing protocols: where frames go, and its watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any, Protocol


class FrameStream(Protocol):
    """Where counted frames go, in the order in which they are counted: align/blend.

    It runs beside the run and never delays it.
    """

    def add(self, number: int, frame: Path, position_um: float) -> None:
        """Hand over slice ``number``; returns at once."""
        ...

    def withdraw(self, numbers: Set[int]) -> None:
        """Leave slices out that were handed over; they may be added again."""
        ...

    def relocate(self, positions_um: Mapping[int, float]) -> None:
        """Some slices that were handed over were shot elsewhere: here, by slice number."""
        ...

    def reports(self) -> list[dict[str, Any]]:
        """What was reported since the last call: one dict per slice, with ``number`` and either
        ``transform`` (2x3, frame to reference pixels) and ``sharpness``, or ``error`` for a frame
        that could not be aligned and was left out."""
        ...

    def finish(self, check: Callable[[], None]) -> dict[str, Any]:
        """Wait for the fused picture; ``check`` is called while waiting and may raise.

        Returns
        -------
        dict
            The manifest's ``fused`` section; ``left_out`` has the numbers of slices that could
            not be aligned.

        Raises
        ------
        StackError
        """
        ...


class FrameProof(Protocol):
    """Where counted frames are judged: each by itself, and all together for what is missing.

    It runs beside the run. Fusion waits for a frame's verdict; a verdict may lag, since some need
    the next frame.
    """

    def add(
        self, number: int, attempt: int, frame: Path, position_um: float, dof_um: float
    ) -> None:
        """Hand over a frame of slice ``number``; returns at once."""
        ...

    def verdicts(self) -> list[dict[str, Any]]:
        """The verdicts since the last call: ``slice``, ``attempt``, ``action`` (``fuse``,
        ``reshoot`` or ``stop``), ``faults`` (their kinds) and ``why``. Waits until every frame
        but the newest has been looked at."""
        ...

    def last_verdicts(self, check: Callable[[], None]) -> list[dict[str, Any]]:
        """The same for all frames, the newest judged without a next one; ``check`` is called while
        waiting and may raise."""
        ...

    def relocate(
        self, numbers: list[int], error_um: float, check: Callable[[], None]
    ) -> dict[str, Any]:
        """Determine where the newest slices truly were, after the axis lost steps among them and
        was off by ``error_um``; all of them have their verdicts.

        Returns
        -------
        dict
            ``numbers`` and ``positions_um``, which hold from now on; both empty, and nothing
            changed, when the images do not show it.
        """
        ...

    def missing(self, check: Callable[[], None]) -> dict[str, Any]:
        """``positions_um`` still to be shot by what the images show, and ``why``. Positions are
        given once each and never without end."""
        ...

    def finish(self, check: Callable[[], None]) -> dict[str, Any]:
        """What is proven in the end: the manifest's ``coverage.images``. ``proven`` is ``None``
        when the images show too little to say."""
        ...


class Watch(Protocol):
    """Something besides the instrument that a run depends on: a disk, a battery, a lamp."""

    def trouble(self) -> str | None:
        """What is wrong, in words; ``None`` when nothing is. It returns at once, and never raises.

        Asked between slices and while a run is paused.
        """
        ...


class LagComparison(Protocol):
    """Compares the frames by which a shutter lag is found."""

    def differences(
        self, held: Path, leaving: Path, away: Path, check: Callable[[], None]
    ) -> dict[str, float]:
        """Mean squared differences between the three, in 8-bit steps: ``held_leaving``,
        ``leaving_away`` and ``held_away``; ``check`` is called while waiting and may raise.
        StackError where a frame cannot be read."""
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
            They do not show the same.
        """
        ...
