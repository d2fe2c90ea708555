"""Events reported by the axis and the camera."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from macrorail.run_folder.events.codec import Event, absent, spread


@dataclass(frozen=True, kw_only=True)
class AxisOpened(Event, kind="axis_opened"):
    """The connection to the focus axis was opened.

    Attributes
    ----------
    travel_um
        Lowest and highest position that the axis can reach.
    resolution_um
        Smallest step of the axis.
    estimated
        Whether the axis estimates its positions instead of measuring them.
    """

    model: str
    version: str
    travel_um: Sequence[float]
    resolution_um: float
    estimated: bool


@dataclass(frozen=True, kw_only=True)
class AxisHomed(Event, kind="homed"):
    """The axis was homed and is at ``position_um``."""

    position_um: float


@dataclass(frozen=True, kw_only=True)
class AxisMoved(Event, kind="moved"):
    """The axis has come to rest for a slice."""

    slice: int
    target_um: float
    achieved_um: float


@dataclass(frozen=True, kw_only=True)
class AxisParked(Event, kind="parked"):
    """The axis was parked at ``position_um``, away from the specimen."""

    position_um: float


@dataclass(frozen=True, kw_only=True)
class StepsChecked(Event, kind="count_checked"):
    """The axis has checked its step count against its reference.

    Attributes
    ----------
    error_um
        Error of the reported position; above 0, the axis was farther from the specimen than
        reported.
    tolerance_um
        Largest error that is accepted.
    slices
        Slices shot since the previous check.
    in_doubt
        Whether steps were lost: the error is above the tolerance.
    """

    error_um: float
    tolerance_um: float
    slices: Sequence[int]
    in_doubt: bool


@dataclass(frozen=True, kw_only=True)
class CameraOpened(Event, kind="camera_opened"):
    """The connection to the camera was opened.

    Attributes
    ----------
    battery_percent
        Battery charge; ``None`` when the camera does not report it.
    found_settings
        Settings of the camera before the run, which are restored at its end.
    """

    model: str
    version: str
    serial: str
    battery_percent: int | None
    found_settings: Mapping[str, str]
    warnings: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class CameraDrained(Event, kind="drained"):
    """Pictures that belong to no slice of this run were found in the camera.

    Attributes
    ----------
    files
        Names of these pictures in the camera.
    """

    files: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class CameraConfigured(Event, kind="settings"):
    """The camera was set up; ``settings`` are the values read back, by canonical name."""

    settings: Mapping[str, str] = spread()


@dataclass(frozen=True, kw_only=True)
class CameraRestored(Event, kind="settings_restored"):
    """The camera's settings from before the run were restored."""

    settings: Mapping[str, str] = spread()


@dataclass(frozen=True, kw_only=True)
class ShutterLagChecked(Event, kind="shutter_lag_checked"):
    """Before the first slice, a test showed whether the shutter opens before the axis moves on.

    Attributes
    ----------
    late
        Whether the shutter opens only after the axis has moved on.
    certain
        Whether the test was conclusive; if not, the axis waits for each frame.
    differences
        Mean squared differences between the three frames of the test, in 8-bit steps squared:
        ``held_leaving``, ``leaving_away`` and ``held_away``; empty when the frames could not be
        compared.
    """

    late: bool
    certain: bool
    differences: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class SceneChecked(Event, kind="scene_checked"):
    """After an interruption, a new frame was compared with the last good frame.

    Attributes
    ----------
    slice
        Number of the slice of the last good frame.
    frame
        Path of the new frame, relative to the run folder.
    shift_px
        Displacement between the two frames in pixels; ``None`` when it could not be measured.
    correlation
        Correlation of the two frames, -1..1; ``None`` when it could not be measured.
    why
        Why the displacement could not be measured; ``None`` when it was.
    width_px
        Width of the frame in pixels.
    brightness
        Brightness of the new frame divided by the brightness of the last good frame.
    """

    slice: int
    achieved_um: float
    frame: str
    shift_px: float | None
    correlation: float | None
    why: str | None = absent()
    width_px: int | None = absent()
    brightness: float | None = absent()
