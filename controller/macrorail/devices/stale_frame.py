"""Refuses a stale frame: a picture that was taken before the shutter of its exposure opened.

Bodies and drivers hand out the frame before in place of the present one more often than one would
think. Two things give it away: the same bytes twice (sensor noise never repeats), and a time of
exposure in its EXIF block that does not fit the release.
"""

from __future__ import annotations

from pathlib import Path

from macrorail.devices.interfaces import Exposure
from macrorail.errors import FrameMissing
from macrorail.exif import read_exif
from macrorail.frame import Frame

_COARSE_S, _FINE_S = 1.5, 0.5
"""How far a camera's clock may stray from ours between two frames: EXIF times are whole seconds,
or hundredths where the body writes them."""


class Freshness:
    """Checks the frames of one connection against each other and against their exposures."""

    def __init__(self) -> None:
        self._last_sha256 = ""
        # How far the camera's clock lies ahead of the world's: somewhere in between, in seconds.
        self._ahead_s: tuple[float, float] | None = None

    def check(self, frame: Frame, exposure: Exposure) -> None:
        """Accept the frame of an exposure, or refuse it.

        Raises
        ------
        FrameMissing
            It is the frame before, or was taken at another time.
        """
        if frame.sha256 == self._last_sha256:
            raise FrameMissing(
                f"{frame.camera_name} is the frame before once more, to the last byte; drain the "
                f"camera and repeat the exposure"
            )
        self._last_sha256 = frame.sha256
        taken = taken_at(frame.path)
        if taken is None:
            return
        taken_s, stray_s = taken
        ahead_s = taken_s - exposure.ended_s, taken_s - exposure.started_s
        if self._ahead_s is not None:
            early_s = self._ahead_s[0] - ahead_s[1]
            late_s = ahead_s[0] - self._ahead_s[1]
            if max(early_s, late_s) > stray_s:
                when = "before" if early_s > late_s else "after"
                raise FrameMissing(
                    f"{frame.camera_name} was taken {max(early_s, late_s):.1f} s {when} the "
                    f"exposure it came for; drain the camera and repeat the exposure"
                )
        self._ahead_s = ahead_s


def taken_at(path: Path) -> tuple[float, float] | None:
    """When a photograph says it was taken.

    Returns
    -------
    tuple or None
        Seconds since 1970 on the camera's clock, and how exact they are; ``None`` when the file
        does not say.
    """
    taken = read_exif(path).taken()
    return None if taken is None else (taken[0], _FINE_S if taken[1] else _COARSE_S)
