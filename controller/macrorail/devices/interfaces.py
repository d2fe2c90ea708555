"""What a run needs from a camera and a focus axis, as typing protocols.

Positions are micrometres along the optical axis, growing *towards the specimen and away from the
camera's start*: ``near`` is the plane nearest to the camera (smaller position), ``far`` the
deepest (larger position). For a rail it is the carriage position, 0 at the home switch, which
lies at the end away from the specimen. For a lens it is the plane in focus, 0 at the near stop.
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
    """What an axis says of itself when it is opened.

    Attributes
    ----------
    model, version
        Device and firmware (or lens file) in words.
    travel_um
        Lowest and highest position this rig allows, micrometres; the highest is never beyond
        ``closest_approach``.
    resolution_um
        Smallest step, micrometres, > 0.
    position_um
        Where the axis is, micrometres; ``None`` when it must be homed first.
    estimated
        True when positions are counted open loop (a lens), False when the device proves them.
    """

    model: str
    version: str
    travel_um: tuple[float, float]
    resolution_um: float
    position_um: float | None
    estimated: bool


@dataclass(frozen=True)
class CountCheck:
    """How a run finds out whether an axis's motor has lost steps.

    Attributes
    ----------
    measure
        Touches the reference again, counts anew from it, and returns how far the count was off,
        micrometres.
    every_slices
        After so many exposures, > 0; ``None`` for only at the end of a run.
    tolerance_um
        A larger error puts in doubt where everything since the last check was shot, >= 0.
    """

    measure: Callable[[], float]
    every_slices: int | None
    tolerance_um: float


class FocusAxis(Protocol):
    """Anything that moves the plane of focus: a rail or a lens."""

    @property
    def shares_camera(self) -> bool:
        """True when the axis is driven through the camera, so that it cannot move while a frame
        is being sent (a lens)."""
        ...

    @property
    def count_check(self) -> CountCheck | None:
        """``None`` for an axis that has no reference to hold its count against."""
        ...

    def open(self, closest_approach_um: float | None = None) -> AxisReport:
        """Connect, check versions and set the limits, without moving anything.

        Parameters
        ----------
        closest_approach_um
            A tighter highest position than the rig's own, for this run; it can only tighten.

        Raises
        ------
        ConnectError, DeviceTimeout, WireError, LimitError
        """
        ...

    def home(self) -> float:
        """Find the reference away from the specimen; returns the position in micrometres."""
        ...

    def start_move(self, position_um: float) -> None:
        """Start an absolute move and return once the device has accepted it.

        Raises
        ------
        LimitError
            Before anything moves, when the position lies outside the allowed travel.
        PositionInDoubt
            When the axis has to be homed first.
        """
        ...

    def finish_move(self) -> float:
        """Wait until the axis is at rest; returns the *achieved* position in micrometres.

        Raises
        ------
        RailAlarm, DeviceTimeout, DeviceLost, OperatorStop
        """
        ...

    def stop(self) -> None:
        """Bring the axis to rest now, from any state; returns when it is (or raises)."""
        ...

    def halt(self) -> None:
        """Stop dead, at the cost of the position; for emergencies."""
        ...

    def close(self) -> None:
        """Stop, release the device. Safe to call twice and after any failure."""
        ...


@dataclass(frozen=True)
class CameraReport:
    """What a camera says of itself when it is opened.

    Attributes
    ----------
    model, version, serial
        As the body reports them.
    battery_percent
        0..100, or ``None`` when the body does not say.
    abilities
        Names out of ``bulb``, ``capture``, ``trigger``, ``focus_drive``, ``live_view``.
    settings
        As the camera was found, by canonical name; those that it does not tell are missing.
    warnings
        What may end a long run early, in words.
    """

    model: str
    version: str
    serial: str
    battery_percent: int | None
    abilities: frozenset[str] = field(default_factory=frozenset)
    settings: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exposure:
    """An exposure that is over; its frame may still be on the way.

    Attributes
    ----------
    stem
        Where the frame will lie, without its suffix: the camera's format gives that.
    number
        Counts the exposures of this connection, from 1.
    started_s, ended_s
        World time in seconds.
    """

    stem: Path
    number: int
    started_s: float
    ended_s: float


class Camera(Protocol):
    """Anything that takes pictures."""

    def open(self) -> CameraReport:
        """Connect, drain what an earlier session left behind, report.

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
            Values as the camera's own menus name them, by canonical name: ``iso``, ``shutter``,
            ``aperture``, ``white_balance``, ``image_format``, ``capture_target``.

        Returns
        -------
        dict
            The values as read back.

        Raises
        ------
        CameraSettingRefused
            Unknown name, value not offered (the message lists what is), or not kept.
        """
        ...

    def expose(self, stem: Path) -> Exposure:
        """Take one picture; returns when the exposure is over and the axis may move.

        The frame starts on its way to ``stem`` plus suffix by itself.
        """
        ...

    def collect(self, exposure: Exposure) -> Frame:
        """Wait until the frame lies complete on disk (written aside, fsynced, renamed).

        Raises
        ------
        FrameMissing, CameraStorageFull, DeviceTimeout, WorkerCrashed, DeviceLost
        """
        ...

    def drain(self) -> list[str]:
        """Take in everything the camera still has to say; returns the names of files nobody
        asked for."""
        ...

    def close(self) -> None:
        """Live view off, release the device. Safe to call twice and after any failure."""
        ...


@runtime_checkable
class LiveView(Protocol):
    """A camera that shows what its lens sees without taking a picture."""

    def preview(self, path: Path) -> None:
        """Write what it sees now as a JPEG; live view is on after it."""
        ...

    def end_live_view(self) -> None:
        """Let the sensor cool; the next preview begins anew."""
        ...


@runtime_checkable
class OffersChoices(Protocol):
    """A camera that tells what it can be set to."""

    def choices(self) -> dict[str, list[str]]:
        """What ``aperture``, ``shutter`` and ``iso`` may be now, as a protocol writes them; a
        setting that is not the camera's to make is missing."""
        ...


class Bench(Protocol):
    """A simulated world that stands in for devices; built as ``Driver(options, rig)``."""

    @property
    def clock(self) -> Clock:
        """The world's clock, once started."""
        ...

    @property
    def ports(self) -> Mapping[str, Any]:
        """What ``port: bench`` stands for, by device kind (``rail``, ``camera``)."""
        ...

    @property
    def address(self) -> str | None:
        """Where a later process can find this world again; ``None`` when it lives in ours."""
        ...

    def start(self) -> None:
        """Bring the world to life.

        Raises
        ------
        ConnectError
        """
        ...

    def close(self) -> None:
        """End the world, or leave it to whoever else owns it. Safe to call twice."""
        ...


@dataclass(frozen=True)
class Context:
    """What a driver is built with, beside its own options from the rig YAML.

    A driver named in a rig is called as ``Driver(options, context)``, where ``options`` is an
    instance of ``Driver.Options`` (see ``macrorail.config.rig``). Building touches no device.

    Attributes
    ----------
    clock
        The world's clock.
    bench_ports
        What ``port: bench`` stands for, by device kind (``rail``, ``camera``); empty without a
        bench. A value is an address, or an object that acts as the opened port.
    camera
        The rig's camera, for an axis that is driven through it.
    log_folder
        Where worker processes write their logs; ``None`` discards them.
    """

    clock: Clock
    bench_ports: Mapping[str, Any] = field(default_factory=dict)
    camera: Camera | None = None
    log_folder: Path | None = None

    def resolve_port(self, port: str, kind: str) -> Any:
        """``port`` itself, or the bench's port of that kind when it reads ``bench``."""
        if port != "bench":
            return port
        if kind not in self.bench_ports:
            raise ConnectError(
                f"the rig says 'port: bench' for its {kind}, but it has no bench that serves one; "
                f"name the device's port or add a bench section"
            )
        return self.bench_ports[kind]


class Stage(Protocol):
    """Anything that moves specimens under the lens."""

    @property
    def turns(self) -> bool:
        """Whether it has a turntable."""
        ...

    def open(self) -> str:
        """Connect and check, without moving; returns what it is, in words.

        Raises
        ------
        ConnectError, DeviceTimeout, WireError, LimitError
        """
        ...

    def home(self) -> None:
        """Find the references of all axes."""
        ...

    def move(self, there: StagePosition) -> StagePosition:
        """Go there, axis by axis, and come to rest; returns where it is.

        Raises
        ------
        LimitError
            Before anything moves.
        PositionInDoubt
            It has to be homed first.
        """
        ...

    def stop(self) -> None:
        """Bring it to rest now."""
        ...

    def close(self) -> None:
        """Stop, release the device. Safe to call twice and after any failure."""
        ...
