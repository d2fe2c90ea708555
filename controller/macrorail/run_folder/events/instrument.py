"""What axis and camera reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from macrorail.run_folder.events.codec import Event, absent, spread


@dataclass(frozen=True, kw_only=True)
class AxisOpened(Event, kind="axis_opened"):
    """The focus axis answers; ``estimated`` when its positions are not measured."""

    model: str
    version: str
    travel_um: Sequence[float]
    resolution_um: float
    estimated: bool


@dataclass(frozen=True, kw_only=True)
class AxisHomed(Event, kind="homed"):
    """The axis has found its reference and is at ``position_um``."""

    position_um: float


@dataclass(frozen=True, kw_only=True)
class AxisMoved(Event, kind="moved"):
    """The axis has come to rest for a slice."""

    slice: int
    target_um: float
    achieved_um: float


@dataclass(frozen=True, kw_only=True)
class AxisParked(Event, kind="parked"):
    """The axis is far from the specimen, at ``position_um``."""

    position_um: float


@dataclass(frozen=True, kw_only=True)
class StepsChecked(Event, kind="count_checked"):
    """The axis has checked its step count against its reference.

    Attributes
    ----------
    error_um
        Above 0 the axis stood farther from the specimen than it reported.
    slices
        Those shot since the check before.
    in_doubt
        Whether steps were lost: the error is above the tolerance.
    """

    error_um: float
    tolerance_um: float
    slices: Sequence[int]
    in_doubt: bool


@dataclass(frozen=True, kw_only=True)
class CameraOpened(Event, kind="camera_opened"):
    """The camera answers; ``found_settings`` are those to put back at the end."""

    model: str
    version: str
    serial: str
    battery_percent: int | None
    found_settings: Mapping[str, str]
    warnings: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class CameraDrained(Event, kind="drained"):
    """Names of the pictures that were left in the camera, and are none of this run's slices."""

    files: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class CameraConfigured(Event, kind="settings"):
    """The camera's settings as read back, by canonical name."""

    settings: Mapping[str, str] = spread()


@dataclass(frozen=True, kw_only=True)
class CameraRestored(Event, kind="settings_restored"):
    """The camera's settings are those it had before the run."""

    settings: Mapping[str, str] = spread()


@dataclass(frozen=True, kw_only=True)
class ShutterLagChecked(Event, kind="shutter_lag_checked"):
    """Before the first slice it was tried whether the shutter opens before the axis moves on.

    Attributes
    ----------
    late
        Whether it opens after that.
    certain
        Whether the frames could tell; if not, the axis waits for each frame.
    differences
        Mean squared differences of the three frames, in 8-bit steps: ``held_leaving``,
        ``leaving_away`` and ``held_away``; empty when they could not be compared.
    """

    late: bool
    certain: bool
    differences: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class SceneChecked(Event, kind="scene_checked"):
    """After an interruption, a new frame was compared with the last good one.

    Attributes
    ----------
    frame
        The new frame, relative to the run folder.
    shift_px
        Displacement in pixels of the frame; ``None`` when it could not be measured.
    correlation
        -1..1; ``None`` when it could not be measured.
    why
        Why it could not be measured.
    width_px
        Of the frame.
    brightness
        Of the new frame over that of the old one.
    """

    slice: int
    achieved_um: float
    frame: str
    shift_px: float | None
    correlation: float | None
    why: str | None = absent()
    width_px: int | None = absent()
    brightness: float | None = absent()
