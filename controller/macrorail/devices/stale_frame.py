"""Detects stale frames: pictures taken before the exposure they are delivered for.

Camera bodies and drivers sometimes deliver the previous frame again. Such a frame is recognised by
two signs: the same bytes as before (sensor noise never repeats), or an exposure time stamp in the
EXIF data that does not match the release.
"""

from __future__ import annotations

from pathlib import Path

from macrorail.devices.interfaces import Exposure
from macrorail.errors import FrameMissing
from macrorail.exif import read_exif
from macrorail.frame import Frame

_COARSE_S, _FINE_S = 1.5, 0.5
"""Accepted change of the camera's clock relative to this computer's between two frames. EXIF times
are in full seconds, or in hundredths if the body writes them."""


class StaleFrameCheck:
    """Checks the frames of one connection against each other and against their exposures."""

    def __init__(self) -> None:
        self._last_sha256 = ""
        # Lowest and highest possible lead of the camera's clock over run time, seconds.
        self._ahead_s: tuple[float, float] | None = None

    def check(self, frame: Frame, exposure: Exposure) -> None:
        """Accept the frame of an exposure, or raise an error.

        Raises
        ------
        FrameMissing
            The frame is the previous frame, or was taken before or after the exposure.
        """
        if frame.sha256 == self._last_sha256:
            raise FrameMissing(
                f"{frame.camera_name} is identical to the previous frame; drain the camera and "
                f"repeat the exposure"
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
                    f"exposure it was delivered for: it is an old frame, or a self-timer was "
                    f"switched on, or the camera's clock was set; drain the camera and repeat the "
                    f"exposure"
                )
        self._ahead_s = ahead_s


def taken_at(path: Path) -> tuple[float, float] | None:
    """Return when a photograph was taken, according to its EXIF data.

    Returns
    -------
    tuple or None
        Seconds since 1970 on the camera's clock, and their accuracy in seconds; ``None`` if the
        file does not contain the time.
    """
    taken = read_exif(path).taken()
    return None if taken is None else (taken[0], _FINE_S if taken[1] else _COARSE_S)
