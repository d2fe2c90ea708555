"""The interfaces of cameras, focus axes, stages and benches, as typing protocols.

Positions are micrometres along the optical axis, increasing towards the specimen: ``near`` is the
plane nearest to the camera (smaller position), ``far`` the deepest (larger position). For a rail
the position is that of the carriage, 0 at the home switch, which is at the end away from the
specimen. For a lens it is the plane in focus, 0 at the near stop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from macrorail.clock import Clock
from macrorail.config.stage import StagePosition
from macrorail.errors import ConnectError
from macrorail.frame import Frame


@dataclass(frozen=True)
class AxisReport:
    """Properties that an axis reports when it is opened.

    Attributes
    ----------
    model, version
        Name of the device, and the version of its firmware or the name of its lens file.
    travel_um
        Lowest and highest position this rig allows, micrometres; the highest is never beyond
        ``closest_approach``.
    resolution_um
        Smallest step, micrometres, > 0.
    position_um
        Position of the axis, micrometres; ``None`` when it must be homed first.
    estimated
        True when positions are counted in open loop (a lens), False when the device verifies them.
    """

    model: str
    version: str
    travel_um: tuple[float, float]
    resolution_um: float
    position_um: float | None
    estimated: bool


@dataclass(frozen=True)
class LostStepCheck:
    """Function and limits for checking during a run whether an axis has lost steps.

    Attributes
    ----------
    measure
        Function that touches the home switch again, restarts the position count there, and returns
        the error of the previous count in micrometres.
    every_slices
        Number of exposures between checks, > 0; ``None`` checks only at the end of a run.
    tolerance_um
        Largest accepted error, >= 0. With a larger error the positions since the last check are in
        doubt.
    """

    measure: Callable[[], float]
    every_slices: int | None
    tolerance_um: float


class FocusAxis(Protocol):
    """Anything that moves the plane of focus: a rail or a lens."""

    @property
    def shares_camera(self) -> bool:
        """True when the camera drives the axis (a lens), so that it cannot move while a frame is
        downloaded."""
        ...

    @property
    def lost_step_check(self) -> LostStepCheck | None:
        """Function and limits of the check for lost steps; ``None`` without a home switch."""
        ...

    def open(self, closest_approach_um: float | None = None) -> AxisReport:
        """Connect, check versions and set the limits. Nothing moves.

        Parameters
        ----------
        closest_approach_um
            Highest position allowed in this run, micrometres. It can lower the rig's limit but not
            raise it.

        Raises
        ------
        ConnectError, DeviceTimeout, WireError, LimitError
        """
        ...

    def home(self) -> float:
        """Move away from the specimen to the home switch; return the position after homing, um."""
        ...

    def start_move(self, position_um: float) -> None:
        """Start an absolute move and return once the device has accepted it.

        Raises
        ------
        LimitError
            The position is outside the allowed travel; nothing has moved.
        PositionInDoubt
            The axis must be homed first.
        """
        ...

    def finish_move(self) -> float:
        """Wait until the axis is at rest; return the *achieved* position in micrometres.

        Raises
        ------
        RailAlarm, DeviceTimeout, DeviceLost, OperatorStop
        """
        ...

    def stop(self) -> None:
        """Decelerate and stop, from any state; return when the axis is at rest, or raise."""
        ...

    def halt(self) -> None:
        """Emergency stop without deceleration; the position is lost."""
        ...

    def close(self) -> None:
        """Stop and release the device. Safe to call twice and after any failure."""
        ...


@dataclass(frozen=True)
class CameraReport:
    """Properties that a camera reports when it is opened.

    Attributes
    ----------
    model, version, serial
        Model, version and serial number as the body reports them.
    battery_percent
        Battery charge, 0..100; ``None`` when the body does not report it.
    abilities
        Any of these abilities: ``bulb``, ``capture``, ``trigger``, ``focus_drive``,
        ``live_view``.
    settings
        Current settings by canonical name; settings that the camera does not report are missing.
    warnings
        Texts about conditions that may end a long run early.
    by_hand
        Whether aperture, shutter and ISO can only be set by hand.
    reports_exposure
        Whether the camera, or its hot shoe, reports when it exposes.
    """

    model: str
    version: str
    serial: str
    battery_percent: int | None
    abilities: frozenset[str] = field(default_factory=frozenset)
    settings: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    by_hand: bool = False
    reports_exposure: bool = True


@dataclass(frozen=True)
class Exposure:
    """A finished exposure; its frame may still be downloading.

    Attributes
    ----------
    stem
        Path of the frame without its suffix, which depends on the camera's format.
    number
        Number of the exposure since the camera was opened, from 1.
    started_s, ended_s
        Start and end of the exposure in seconds of run time.
    """

    stem: Path
    number: int
    started_s: float
    ended_s: float


class Camera(Protocol):
    """Anything that takes pictures."""

    def open(self) -> CameraReport:
        """Connect, discard files left over from an earlier session, and return the properties.

        Raises
        ------
        ConnectError, DeviceTimeout, CameraError
        """
        ...

    def configure(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Set canonical settings and read each one back.

        Parameters
        ----------
        settings
            Values as named in the camera's own menus, by canonical name: ``iso``, ``shutter``,
            ``aperture``, ``white_balance``, ``image_format``, ``capture_target``.

        Returns
        -------
        dict
            The values as read back.

        Raises
        ------
        CameraSettingRefused
            The name is unknown, the value is not offered (the message lists the offered values), or
            the camera did not keep the value.
        """
        ...

    def expose(self, stem: Path) -> Exposure:
        """Take one picture; return when the exposure is over and the axis may move: not before
        the rig's ``shutter_lag`` and the exposure time have passed.

        The download of the frame to ``stem`` plus suffix starts by itself.
        """
        ...

    def collect(self, exposure: Exposure) -> Frame:
        """Wait until the frame is completely on disk (see :func:`macrorail.frame.store_frame`).

        After a lost connection and :meth:`open` this is called again for the same exposure, because
        the frame may be on the card. A camera that cannot search its card raises ``FrameMissing``.

        Raises
        ------
        FrameMissing, CameraStorageFull, DeviceTimeout, WorkerCrashed, DeviceLost
        """
        ...

    def drain(self) -> list[str]:
        """Receive all pending events; return the names of files that belong to no exposure."""
        ...

    def close(self) -> None:
        """Switch live view off and release the device. Safe to call twice and after any failure."""
        ...


@runtime_checkable
class LiveView(Protocol):
    """A camera with live view."""

    def preview(self, path: Path) -> None:
        """Write the current live-view frame as a JPEG; switches live view on if it is off."""
        ...

    def end_live_view(self) -> None:
        """Switch live view off, so that the sensor cools down."""
        ...


@runtime_checkable
class OffersChoices(Protocol):
    """A camera that lists the values of its settings."""

    def choices(self) -> dict[str, list[str]]:
        """Return the values that ``aperture``, ``shutter`` and ``iso`` can have now.

        Values are written as in a protocol. A setting that the camera cannot change is missing.
        """
        ...


class Bench(Protocol):
    """A simulated world that replaces devices; constructed as ``Driver(options, rig)``."""

    @property
    def clock(self) -> Clock:
        """Clock of the simulated world; available after :meth:`start`."""
        ...

    @property
    def ports(self) -> Mapping[str, Any]:
        """Ports that ``port: bench`` refers to, by kind of device (``rail``, ``camera``)."""
        ...

    @property
    def address(self) -> str | None:
        """Address of the simulated world for other processes; ``None`` if it runs in this one."""
        ...

    def start(self) -> None:
        """Start the simulated world.

        Raises
        ------
        ConnectError
        """
        ...

    def close(self) -> None:
        """End the simulated world, or disconnect if another process owns it. Safe to call twice."""
        ...


@dataclass(frozen=True)
class Context:
    """Everything a driver receives in addition to its options from the rig file.

    A driver named in a rig is called as ``Driver(options, context)``, where ``options`` is an
    instance of ``Driver.Options`` (see ``macrorail.config.rig``). The call touches no device.

    Attributes
    ----------
    clock
        Clock that gives the run's time (real or simulated).
    bench_ports
        Ports that ``port: bench`` refers to, by kind of device (``rail``, ``camera``): an address,
        or an object that acts as the opened port. Empty without a bench.
    camera
        Camera of the rig, for an axis that is driven by the camera.
    log_folder
        Folder for the logs of worker processes; ``None`` discards them.
    """

    clock: Clock
    bench_ports: Mapping[str, Any] = field(default_factory=dict)
    camera: Camera | None = None
    log_folder: Path | None = None

    def resolve_port(self, port: str, kind: str) -> Any:
        """Return ``port``, or the bench's port for that kind of device if ``port`` is ``bench``."""
        if port != "bench":
            return port
        if kind not in self.bench_ports:
            raise ConnectError(
                f"the rig has 'port: bench' for its {kind}, but no bench that provides one; "
                f"write the device's port, or add a bench section"
            )
        return self.bench_ports[kind]


class Stage(Protocol):
    """Anything that moves specimens under the lens."""

    @property
    def turns(self) -> bool:
        """Whether the stage has a turntable."""
        ...

    def open(self) -> str:
        """Connect and check without moving; return a description of the stage.

        Raises
        ------
        ConnectError, DeviceTimeout, WireError, LimitError
        """
        ...

    def home(self) -> None:
        """Home all axes."""
        ...

    def move(self, there: StagePosition) -> StagePosition:
        """Move to a position, one axis after the other; return the position reached.

        Raises
        ------
        LimitError
            The position cannot be reached; nothing has moved.
        PositionInDoubt
            The stage must be homed first.
        """
        ...

    def stop(self) -> None:
        """Stop all axes immediately."""
        ...

    def close(self) -> None:
        """Stop and release the device. Safe to call twice and after any failure."""
        ...
