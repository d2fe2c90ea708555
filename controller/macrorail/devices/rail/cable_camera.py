"""A camera released by cable from the rail's board; its frames appear in a folder.

This driver is for bodies that no library supports. It watches the folder of a card reader, a Wi-Fi
card or another program. The files that appear after a release are the frame of that exposure. Such
a camera is set by hand; the run compares the EXIF settings of its frames with the protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pydantic import Field

from macrorail.config.rig import CameraSection
from macrorail.devices.frame_settings import quantity
from macrorail.devices.interfaces import CameraReport, Context, Exposure
from macrorail.devices.stale_frame import StaleFrameCheck
from macrorail.devices.watched_folder import WatchedFolder, is_unreadable_frame
from macrorail.errors import (
    CameraError,
    CameraSettingRefused,
    ConfigError,
    ConnectError,
    FrameMissing,
)
from macrorail.frame import Frame
from macrorail.quantity import Duration

_POLL_S = 0.1
_FLASH_LATEST_S = 1.0


@runtime_checkable
class Shutter(Protocol):
    """An axis whose board has a cable release."""

    def shots(self) -> Any:
        """Return the board's counters.

        ``contacts`` is how often the hot-shoe contact has closed, modulo 65536.
        """
        ...

    def expose(self, focus_s: float, release_s: float, flash_s: float = 0.0) -> Any:
        """Close the focus line, then the release line as well; return the counters.

        The focus line is closed alone for ``focus_s`` seconds, then both for ``release_s`` seconds.
        Returns when both lines are open again and the hot-shoe contact has fired, or when
        ``flash_s`` has passed without the contact.
        """
        ...


class RailTriggeredCamera:
    """A camera released by cable from the rail's board, whose frames appear in a folder.

    Parameters
    ----------
    options
        Options; ``port`` is the folder that is watched.
    context
        Clock, bench ports and log folder.
    """

    class Options(CameraSection):
        """Camera section of a camera that the rail's board releases by cable.

        Attributes
        ----------
        focus_s
            Time for which the focus line is closed before the release; it wakes the camera up.
        press_s
            Time for which the release line is closed.
        bulb
            ``yes`` if the camera is set to bulb. The release line is then closed for the
            protocol's exposure time.
        hot_shoe
            ``yes`` if the camera's hot shoe is wired to the board. The board then reports whether
            the shutter opened.
        files
            Number of files that an exposure gives. Of a RAW and JPEG pair the JPEG is used.
        frame_timeout_s
            Time after the end of an exposure after which its frame counts as lost (run time).
        """

        focus_s: Duration = Field(alias="focus", default=0.3, ge=0)
        press_s: Duration = Field(alias="press", default=0.1, gt=0)
        bulb: bool = False
        hot_shoe: bool = False
        files: int = Field(default=1, ge=1, le=2)
        frame_timeout_s: Duration = Field(alias="frame_timeout", default=30.0, gt=0)

    def __init__(self, options: Options, context: Context) -> None:
        self._options = options
        self._clock = context.clock
        path = Path(str(context.resolve_port(options.port, "camera"))).expanduser()
        self._folder = WatchedFolder(path)
        self._shutter: Shutter | None = None
        self._wanted: dict[str, str] = {}
        self._exposures = 0
        self._flash_ready_s = 0.0
        # This check is kept when the camera is opened again. Otherwise a self-timer that was
        # switched on meanwhile would be taken for a difference of the camera's clock.
        self._freshness = StaleFrameCheck()

    def use_shutter(self, axis: object) -> None:
        """Set the axis whose board has the cable release.

        Raises
        ------
        ConfigError
            The axis has no cable release.
        """
        if not isinstance(axis, Shutter):
            raise ConfigError(
                "a camera on a cable release needs a rail whose board has a shutter output; this "
                "rig's axis has none"
            )
        self._shutter = axis

    def open(self) -> CameraReport:
        """Check the folder; see :class:`Camera`."""
        if not self._folder.path.is_dir():
            raise ConnectError(
                f"{self._folder.path} is not a folder; the rig's camera port names the folder in "
                f"which the frames appear"
            )
        if self._shutter is None:
            raise ConnectError(
                "no board is set for this camera's cable release; open it together with a rail"
            )
        return CameraReport(
            model="camera on the rail's cable",
            version=f"frames in {self._folder.path}",
            serial="unknown",
            battery_percent=None,
            abilities=frozenset({"trigger"}),
            by_hand=True,
            reports_exposure=self._options.hot_shoe,
        )

    def configure(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Remember the settings made by hand; the run compares every frame with them.

        Raises
        ------
        CameraSettingRefused
            A setting can neither be set on the camera nor be read from a frame.
        """
        unreadable = sorted(set(settings) - {"shutter", "aperture", "iso"})
        if unreadable:
            raise CameraSettingRefused(
                f"{', '.join(unreadable)}: a camera on a cable release is set by hand, and its "
                f"frames do not contain this setting; remove it from the protocol"
            )
        self._wanted = dict(settings)
        return dict(settings)

    def expose(self, stem: Path) -> Exposure:
        """Release the shutter; return when the exposure is over."""
        shutter = self._shutter_or_raise()
        self._clock.sleep(max(0.0, self._flash_ready_s - self._clock.now()))
        self._folder.ignore_present()
        contacts = shutter.shots().contacts
        exposure_s = self._exposure_s()
        press_s = exposure_s if self._options.bulb else self._options.press_s
        # The camera's clock is compared with the release, not with the earlier wake-up.
        released_s = self._clock.now() + self._options.focus_s
        self._exposures += 1
        lag_s = self._options.shutter_lag_s
        flash_s = _FLASH_LATEST_S + lag_s if self._options.hot_shoe else 0.0
        shots = shutter.expose(self._options.focus_s, press_s, flash_s)
        # The release may have been shorter than the exposure.
        over_s = released_s + lag_s + exposure_s
        if self._options.hot_shoe and not self._options.bulb:
            # The hot shoe has closed by now, so the shutter is open, or was.
            over_s = max(over_s, self._clock.now() + exposure_s)
        self._clock.sleep(max(0.0, over_s - self._clock.now()))
        if self._options.hot_shoe and shots.contacts == contacts:
            raise CameraError(
                "the shutter was released and the hot shoe did not close: nothing was exposed; "
                "check that the camera is awake and in manual focus, that the cable is plugged in, "
                "and that self-timer and exposure delay are off (or write their time as "
                "'shutter_lag' in the rig's camera section)"
            )
        ended_s = self._clock.now()
        self._flash_ready_s = ended_s + self._options.flash_recycle_s
        return Exposure(stem, self._exposures, released_s, ended_s)

    def collect(self, exposure: Exposure) -> Frame:
        """Wait for the files of the last exposure; see :class:`Camera`."""
        deadline_s = exposure.ended_s + self._options.frame_timeout_s
        frames: list[Frame] = []
        while len(frames) < self._options.files:
            files = self._folder.arrived()
            self._refuse_unreadable(files)
            if len(frames) + len(files) > self._options.files:
                raise FrameMissing(
                    f"exposure {exposure.number}: {len(frames) + len(files)} photographs appeared "
                    f"where {self._options.files} should; drain the camera before the next exposure"
                )
            whole = [path for path in files if self._folder.is_whole(path)]
            if len(frames) + len(whole) == self._options.files:
                stem = exposure.stem
                taken = (
                    self._folder.take(path, stem.with_name(stem.name + path.suffix.lower()))
                    for path in whole
                )
                frames += [frame for frame in taken if frame is not None]
                if len(frames) == self._options.files:
                    break
            if self._clock.now() > deadline_s:
                raise FrameMissing(
                    f"exposure {exposure.number}: {len(whole)} of {self._options.files} "
                    f"photographs appeared complete in {self._folder.path} within "
                    f"{self._options.frame_timeout_s:g} s{_unfinished(files, whole)}; drain the "
                    f"camera before the next exposure"
                )
            self._clock.sleep(_POLL_S)
        frame = next((f for f in frames if f.path.suffix in (".jpg", ".jpeg")), frames[0])
        self._freshness.check(frame, exposure)
        return frame

    def drain(self) -> list[str]:
        """Ignore the photographs in the folder, which stay there; return their names."""
        return self._folder.ignore_present()

    def close(self) -> None:
        """Do nothing: there is no device to close."""

    def _refuse_unreadable(self, files: list[Path]) -> None:
        for path in files:
            if is_unreadable_frame(path.name):
                raise CameraError(
                    f"{path.name} is of a kind that cannot be stacked; set the camera to JPEG or "
                    f"RAW. The file is still in {self._folder.path}"
                )

    def _exposure_s(self) -> float:
        return quantity(self._wanted.get("shutter", "")) or 0.0

    def _shutter_or_raise(self) -> Shutter:
        if self._shutter is None:
            raise ConnectError(
                "no board is set for this camera's cable release; open it together with a rail"
            )
        return self._shutter


def _unfinished(files: list[Path], whole: list[Path]) -> str:
    names = ", ".join(path.name for path in files if path not in whole)
    return f" ({names} was still incomplete)" if names else ""
