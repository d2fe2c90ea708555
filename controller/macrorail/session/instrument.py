"""Lets scripts use an instrument: move the axis, take photographs, use live view."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from macrorail.clock import Clock
from macrorail.config.rig import load_rig
from macrorail.devices.connect import connect as connect_rig
from macrorail.devices.interfaces import (
    AxisReport,
    Camera,
    CameraReport,
    FocusAxis,
    LiveView,
    OffersChoices,
    Stage,
)
from macrorail.errors import CameraError, ConfigError, OperatorStop
from macrorail.frame import Frame, verify_frame
from macrorail.quantity import parse_length
from macrorail.session.signals import stopped_by_signals
from macrorail.stacking.images import read_picture


@dataclass(frozen=True)
class Shot:
    """A photograph on disk, complete and checked.

    Attributes
    ----------
    frame
        Path, size and hash of the photograph, and its name in the camera.
    """

    frame: Frame

    @property
    def path(self) -> Path:
        """Path of the photograph's file."""
        return self.frame.path

    @property
    def picture(self) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Pixels as (height, width, 3) sRGB-encoded RGB; the file is read at each access."""
        return read_picture(self.frame.path)[..., ::-1]


class AxisControl:
    """Moves the plane of focus; positions are in micrometres and increase away from the camera.

    Attributes
    ----------
    report
        Model, travel and resolution that the axis reported when it was opened.
    """

    def __init__(self, axis: FocusAxis, report: AxisReport) -> None:
        self._axis = axis
        self.report = report
        self._position_um = report.position_um

    @property
    def position_um(self) -> float | None:
        """Position of the axis in micrometres; ``None`` before the axis is homed."""
        return self._position_um

    @property
    def travel_um(self) -> tuple[float, float]:
        """Lowest and highest allowed position, micrometres."""
        return self.report.travel_um

    def home(self) -> float:
        """Home the axis, away from the specimen; return the position in micrometres.

        Raises
        ------
        DeviceError
        """
        self._position_um = None
        self._position_um = self._axis.home()
        return self._position_um

    def move_to(self, position: str | float) -> float:
        """Move the axis, wait until it is at rest, and return the position reached in micrometres.

        Parameters
        ----------
        position
            A length with its unit, such as ``"20.4 mm"``, or a number of micrometres.

        Raises
        ------
        LimitError
            The position is outside the travel or beyond ``closest_approach``; nothing has moved.
        PositionInDoubt
            The axis must be homed first.
        OperatorStop
            Ctrl-C was pressed; the axis is at rest.
        ConfigError
            ``position`` is not a length.
        """
        target_um = _length_um(position)
        try:
            self._axis.start_move(target_um)
            self._position_um = self._axis.finish_move()
        except OperatorStop:
            self._axis.stop()
            raise
        return self._position_um

    def stop(self) -> None:
        """Stop the axis."""
        self._axis.stop()


class CameraControl:
    """Takes photographs.

    Attributes
    ----------
    report
        Model, abilities and settings that the camera reported when it was opened.
    folder
        Folder for the photographs.
    """

    def __init__(self, camera: Camera, report: CameraReport, folder: Path) -> None:
        self._camera = camera
        self.report = report
        self.folder = folder
        self._shots = 0

    def configure(self, **settings: str | int) -> dict[str, str]:
        """Set camera settings such as ``aperture`` and ``iso``; return the settings as read back.

        Raises
        ------
        CameraSettingRefused
            The camera does not offer the value; the message lists the values that it offers.
        """
        return self._camera.configure({name: str(value) for name, value in settings.items()})

    def shoot(self) -> Shot:
        """Take one photograph, and return it when its file is on disk and has been checked.

        Raises
        ------
        DeviceError, FrameError
        """
        self._shots += 1
        while any(self.folder.glob(f"{self._shots:04d}.*")):  # from an earlier connection
            self._shots += 1
        exposure = self._camera.expose(self.folder / f"{self._shots:04d}")
        frame = self._camera.collect(exposure)
        verify_frame(frame)
        return Shot(frame)

    def live_view(self) -> NDArray[np.uint8]:
        """Return the present frame of live view, (height, width, 3) uint8 RGB.

        Raises
        ------
        CameraError
            The camera has no live view.
        """
        with self._preview() as path:
            return np.asarray(read_picture(path)[..., ::-1], dtype=np.uint8)

    def live_view_jpeg(self) -> bytes:
        """Return the present frame of live view as a JPEG file, as the camera sends it.

        Raises
        ------
        CameraError
            The camera has no live view.
        """
        with self._preview() as path:
            return path.read_bytes()

    def end_live_view(self) -> None:
        """Switch live view off; the next frame of live view switches it on again."""
        if isinstance(self._camera, LiveView):
            self._camera.end_live_view()

    @property
    def has_live_view(self) -> bool:
        """Whether the camera has a live view."""
        return isinstance(self._camera, LiveView) and "live_view" in self.report.abilities

    @property
    def choices(self) -> dict[str, list[str]]:
        """Values that the camera offers for each setting; empty when it does not report them."""
        return self._camera.choices() if isinstance(self._camera, OffersChoices) else {}

    @contextmanager
    def _preview(self) -> Iterator[Path]:
        if not isinstance(self._camera, LiveView) or not self.has_live_view:
            raise CameraError(f"{self.report.model} has no live view")
        path = self.folder / ".live.jpg"
        try:
            self._camera.preview(path)
            yield path
        finally:
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class ConnectedInstrument:
    """A connected instrument.

    Attributes
    ----------
    axis
        Moves the focus axis.
    camera
        Takes photographs.
    stage
        Moves specimens under the lens; ``None`` when specimens are moved by hand.
    clock
        Clock of the real or simulated instrument. Wait with this clock, so that the time of a
        simulated instrument passes too.
    """

    axis: AxisControl
    camera: CameraControl
    stage: Stage | None
    clock: Clock


@contextmanager
def connect(
    rig: str | Path,
    *,
    closest_approach: str | float | None = None,
    folder: str | Path | None = None,
) -> Iterator[ConnectedInstrument]:
    """Connect an instrument without moving it, and yield its controls.

    Use the controls from one thread at a time.

    Parameters
    ----------
    rig
        YAML file of the instrument.
    closest_approach
        A stricter limit than the rig's ``closest_approach``: a length with its unit, or a number
        of micrometres.
    folder
        Folder for the photographs; photographs already in it are kept. When not given, a temporary
        folder is used, which is removed at the end.

    Yields
    ------
    ConnectedInstrument
        The controls. The instrument is stopped and released when the ``with`` block ends, even
        with an error.

    Raises
    ------
    ConfigError, DeviceError
    """
    limit_um = None if closest_approach is None else _length_um(closest_approach)
    if folder is not None:
        folder = Path(folder).absolute()  # the working directory may change
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{folder}: cannot make a folder there: {error.strerror}") from error
    with (
        tempfile.TemporaryDirectory(prefix="macrorail-shots-") as scratch,
        connect_rig(load_rig(Path(rig))) as instrument,
        stopped_by_signals(instrument.clock),
    ):
        shots = Path(scratch if folder is None else folder)
        camera = CameraControl(instrument.camera, instrument.camera.open(), shots)
        axis = AxisControl(instrument.axis, instrument.axis.open(limit_um))
        yield ConnectedInstrument(axis, camera, instrument.stage, instrument.clock)


def _length_um(length: str | float) -> float:
    try:
        length_um = parse_length(length) if isinstance(length, str) else float(length)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if not math.isfinite(length_um):
        raise ConfigError(f"must be a length such as '40 um', or micrometres; got {length!r}")
    return length_um
