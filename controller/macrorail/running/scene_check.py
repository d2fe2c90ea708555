"""Compares two frames of one scene in a separate process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from macrorail.errors import DeviceTimeout, SceneMoved, WorkerCrashed
from macrorail.workers import Worker

_PATIENCE_S = 120.0
#: Largest accepted displacement, as a share of the frame's width. Align/blend can correct larger
#: displacements, but they mean that the specimen or the camera was touched.
LARGEST_SHIFT = 0.01
#: Below this correlation the frames show different scenes. Noise lowers it by a few hundredths.
LEAST_CORRELATION = 0.7


class FrameComparison:
    """Compares frames in a separate process.

    Implements ``SceneCheck`` and ``LagComparison`` of ``macrorail.running.interfaces``.

    Parameters
    ----------
    log
        Log file of the separate process.
    """

    def __init__(self, log: Path) -> None:
        self._log = log

    def compare(self, before: Path, now: Path, check: Callable[[], None]) -> dict[str, Any]:
        """See ``SceneCheck``; frames that show too little for a comparison count as equal.

        Raises
        ------
        SceneMoved
            The picture is displaced or different. The message gives the displacement or the
            correlation, and says what to do.
        """
        with closing(self._worker()) as worker:
            try:
                found = worker.request(
                    "compare", _PATIENCE_S, check, before=str(before), now=str(now)
                )
            except (WorkerCrashed, DeviceTimeout) as error:
                # A missing check must not end an overnight run; the reason is in the journal.
                return {"shift_px": None, "correlation": None, "why": str(error)}
        found.pop("id")
        if found["correlation"] is None:
            return found
        what = f"compared with {before.name}, the picture is"
        then = "look at specimen, lamp and camera; to continue anyway: resume --accept-scene"
        if found["correlation"] < LEAST_CORRELATION:
            raise SceneMoved(
                f"{what} another one (correlation {found['correlation']:.2f}, at least "
                f"{LEAST_CORRELATION:g} is wanted): {then}"
            )
        if found["shift_px"] > LARGEST_SHIFT * found["width_px"]:
            raise SceneMoved(
                f"{what} displaced by {found['shift_px']:.1f} pixels (at most "
                f"{LARGEST_SHIFT * found['width_px']:.1f} are allowed): {then}"
            )
        return found

    def differences(
        self, held: Path, leaving: Path, away: Path, check: Callable[[], None]
    ) -> dict[str, float]:
        """See ``LagComparison``."""
        paths = {"held": str(held), "leaving": str(leaving), "away": str(away)}
        with closing(self._worker()) as worker:
            found = worker.request("differences", _PATIENCE_S, check, **paths)
        return {name: found[name] for name in ("held_leaving", "leaving_away", "held_away")}

    def _worker(self) -> Worker:
        return Worker("macrorail.running.scene_worker", "scene check", log=self._log)
