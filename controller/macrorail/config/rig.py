"""The schema of a rig file, which describes the instrument; a protocol describes what to shoot.

A section that names a ``driver`` is validated by that driver's ``Options``. ``Options`` is a
subclass of the section's model in this module and adds the driver's keys. Loading a rig imports the
drivers but does not open a device.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, SerializeAsAny, model_validator

from macrorail.config.document import Document, Section, key_error, read_document
from macrorail.config.drivers import import_driver
from macrorail.config.stage import StageSection
from macrorail.config.unattended import UnattendedSection
from macrorail.errors import ConfigError
from macrorail.quantity import (
    Acceleration,
    DataSize,
    Duration,
    Fraction,
    Length,
    Speed,
    format_length,
)

if TYPE_CHECKING:
    # For type checkers only: simulators load rigs and must not import the controller's optics.
    from macrorail.optics.image_space import FarFocus


class CameraSection(Section):
    """The keys that every camera section has.

    Attributes
    ----------
    driver
        A short name such as ``gphoto``, or ``package.module:Class`` for a driver of your own.
        Example: ``gphoto``
    port
        Where the camera is connected: ``auto`` (the first on USB), ``usb:BUS,DEVICE``,
        ``ptpip:ADDRESS``, the folder in which a ``cable`` camera's pictures arrive, or ``bench``
        for a simulated camera. Example: ``ptpip:192.168.1.1``
    image_width
        Width of a frame as it is delivered, in pixels. Example: ``6000``
    image_height
        Height of a frame as it is delivered, in pixels. Example: ``4000``
    pixel_pitch_um
        Distance between neighbouring pixels on the sensor. Example: ``3.9 um``
    frame_size_bytes
        Size of a typical frame, to predict the disk space. Example: ``12 MB``
    download_s
        Time from the end of an exposure until its frame is on disk, to predict the duration.
        Example: ``0.8 s``
    shutter_lag_s
        Time from the release until the shutter opens, for a camera with a self-timer, an exposure
        delay or a slow shutter. The axis does not move during this time. Example: ``2 s``
    battery_floor
        Lowest charge of the camera's battery at which an exposure is started.
    flash_recycle_s
        Time from the end of an exposure until the flash can fire again.
    """

    driver: str
    port: str
    image_width: int = Field(gt=0)
    image_height: int = Field(gt=0)
    pixel_pitch_um: Length = Field(alias="pixel_pitch", gt=0)
    frame_size_bytes: DataSize = Field(alias="frame_size", gt=0)
    download_s: Duration = Field(alias="download", ge=0)
    shutter_lag_s: Duration = Field(alias="shutter_lag", default=0.0, ge=0)
    battery_floor: Fraction = Field(default=0.05, ge=0, lt=1)
    flash_recycle_s: Duration = Field(alias="flash_recycle", default=0.0, ge=0)


class Travel(Section):
    """Where an axis may go; positions grow towards the specimen.

    Attributes
    ----------
    from_um
        Lowest position, farthest from the specimen. Example: ``1 mm``
    to_um
        Highest position. Example: ``60 mm``
    """

    from_um: Length = Field(alias="from")
    to_um: Length = Field(alias="to")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.from_um < self.to_um:
            raise key_error(
                "to",
                f"must be greater than 'from' ({format_length(self.from_um)}): positions grow "
                f"towards the specimen",
            )
        return self


class AxisSection(Section):
    """The keys that every axis section has.

    Attributes
    ----------
    driver
        A short name such as ``rail``, or ``package.module:Class`` for a driver of your own.
        Example: ``rail``
    travel
        Where the axis may go. Example: ``{from: 1 mm, to: 60 mm}``
    closest_approach_um
        Highest position allowed for any move; the end of the travel when not given. Example: ``45
        mm``
    speed_um_s
        Speed of a move, used to predict the duration. Drivers that can set the speed use this
        value. Example: ``4 mm/s``
    acceleration_um_s2
        Acceleration of a move, used to predict the duration. Drivers that can set the acceleration
        use this value. When not given, predictions assume that full speed is reached immediately.
        Example: ``20 mm/s2``
    settle_s
        How long the instrument vibrates after a move, measured by ``macrorail calibrate settle``;
        used by protocols with ``settle: measured``. Example: ``0.6 s``
    """

    driver: str
    travel: Travel
    closest_approach_um: Length | None = Field(alias="closest_approach", default=None)
    speed_um_s: Speed = Field(alias="speed", gt=0)
    acceleration_um_s2: Acceleration | None = Field(alias="acceleration", default=None, gt=0)
    settle_s: Duration | None = Field(alias="settle", default=None, ge=0)

    shares_camera: ClassVar[bool] = False
    """True for an axis driven by the camera: it cannot move while a frame is downloaded."""

    finer_steps: ClassVar[str] = "set the axis's controller to a finer step"
    """How the user can make the axis's smallest step smaller; part of an error message."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        closest = self.closest_approach_um
        if closest is not None and closest <= self.travel.from_um:
            raise key_error(
                "closest_approach",
                f"{format_length(closest)} leaves no room to move: the travel starts at "
                f"{format_length(self.travel.from_um)}",
            )
        return self

    @property
    def allowed_um(self) -> tuple[float, float]:
        """Lowest and highest position allowed: the travel, shortened by ``closest_approach``."""
        highest = self.travel.to_um
        if self.closest_approach_um is not None:
            highest = min(highest, self.closest_approach_um)
        return self.travel.from_um, highest

    def magnification_at(self, position_um: float, magnification: float) -> float:
        """Return the magnification at a position, given the optics section's magnification.

        On a rail the magnification is the same at every position. A lens driver's options override
        this method to include focus breathing from the lens file.
        """
        del position_um
        return magnification

    @property
    def far_focus(self) -> FarFocus | None:
        """Focus scale of a lens that focuses up to infinity; ``None`` if positions are planes."""
        return None

    def resolution_um_at(self, position_um: float) -> float | None:
        """Return the axis's smallest step at a position; ``None`` if only the device knows it."""
        del position_um
        return None


class OpticsSection(Section):
    """The optics between specimen and sensor.

    Attributes
    ----------
    written_magnification
        Image size divided by object size; for an objective, the magnification engraved on the
        objective. Example: ``2``
    pupil_ratio
        Diameter of the exit pupil divided by the diameter of the entrance pupil; 1 for a
        symmetrical lens. Example: ``1``
    focal_length_um
        Focal length of the lens in this set-up. From it macrorail computes how the scale of the
        picture changes from slice to slice. Example: ``65 mm``
    na
        Numerical aperture of a microscope objective, which has no f-number to set. Example:
        ``0.28``
    tube_lens_um
        Focal length of the tube lens, or of the lens used in its place; needs ``made_for``.
        Example: ``100 mm``
    made_for_um
        Focal length of the tube lens that the objective is made for; needs ``tube_lens``. Example:
        ``200 mm``
    immersion
        Refractive index of the medium between an immersion objective and the specimen: 1.33 for
        water, 1.52 for oil. Example: ``1.33``
    f_number_is
        Which f-number the camera shows: ``marked`` (at infinity) or ``effective`` (Nikon bodies
        with Nikon macro lenses).
    """

    written_magnification: float = Field(alias="magnification", gt=0)
    pupil_ratio: float = Field(default=1.0, gt=0)
    focal_length_um: Length | None = Field(alias="focal_length", default=None, gt=0)
    na: float | None = Field(default=None, gt=0)
    tube_lens_um: Length | None = Field(alias="tube_lens", default=None, gt=0)
    made_for_um: Length | None = Field(alias="made_for", default=None, gt=0)
    immersion: float = Field(default=1.0, ge=1, lt=2)
    f_number_is: Literal["marked", "effective"] = "marked"

    @model_validator(mode="after")
    def _complete_objective(self) -> Self:
        if (self.tube_lens_um is None) != (self.made_for_um is None):
            raise key_error(
                "made_for" if self.tube_lens_um is None else "tube_lens",
                "'tube_lens' and 'made_for' (the tube lens that the objective's maker specifies, "
                "mostly 200 mm) belong together",
            )
        for key, given in (
            ("tube_lens", self.tube_lens_um is not None),
            ("immersion", self.immersion != 1),
        ):
            if given and self.na is None:
                raise key_error(key, "belongs to a microscope objective; give its 'na' too")
        if self.na is not None and self.na >= self.immersion:
            raise key_error(
                "na",
                f"{self.na:g} is not below the refractive index of the immersion medium "
                f"({self.immersion:g}); write 'immersion: 1.33' for water or 1.52 for oil",
            )
        return self

    @property
    def magnification(self) -> float:
        """Image size divided by object size.

        The magnification of an objective is proportional to the focal length of its tube lens; the
        numerical aperture does not depend on the tube lens.
        """
        if self.tube_lens_um is None or self.made_for_um is None:
            return self.written_magnification
        return self.written_magnification * self.tube_lens_um / self.made_for_um


class BenchSection(Section):
    """A simulated world that replaces the devices whose ``port`` is ``bench``.

    Attributes
    ----------
    driver
        Simulator to use: ``simulated``, ``virtual``, or ``package.module:Class``. Example:
        ``simulated``
    time_scale
        How many times faster than real time the simulated world runs. Example: ``20``
    seed
        Seed of the random numbers in the simulated world. Example: ``7``
    """

    driver: str
    time_scale: float = Field(default=1.0, gt=0)
    seed: int = 0


class Rig(Section):
    """A rig file: the instrument. A section with a ``driver`` also has the keys of that driver.

    Attributes
    ----------
    camera
        The camera. Example: ``{driver: gphoto, port: auto, image_width: 6000, image_height: 4000,
        pixel_pitch: 3.9 um, frame_size: 12 MB, download: 0.8 s}``
    axis
        The focus axis: a rail, or the lens of the camera. Example: ``{driver: rail, port:
        /dev/ttyACM0, travel: {from: 1 mm, to: 60 mm}, closest_approach: 45 mm, speed: 4 mm/s}``
    optics
        The optics between specimen and sensor. Example: ``{magnification: 2, focal_length: 65 mm}``
    stage
        A stage that brings specimens under the lens. Example: ``{driver: grbl, port: /dev/ttyUSB0,
        x: {machine_axis: X, travel: {from: 2 mm, to: 78 mm}, speed: 30 mm/s}, y: {machine_axis: Y,
        travel: {from: 2 mm, to: 78 mm}, speed: 30 mm/s}}``
    bench
        A simulated world that replaces the devices whose ``port`` is ``bench``. Example:
        ``{driver: simulated, time_scale: 20, specimen: {near: 20 mm, far: 23 mm}}``
    unattended
        Supervision of runs without an operator. Example: ``{park: start}``
    """

    camera: SerializeAsAny[CameraSection]
    axis: SerializeAsAny[AxisSection]
    optics: OpticsSection
    stage: SerializeAsAny[StageSection] | None = None
    bench: SerializeAsAny[BenchSection] | None = None
    unattended: UnattendedSection = UnattendedSection()

    @model_validator(mode="after")
    def _separate_ports(self) -> Self:
        port = getattr(self.axis, "port", None)
        if self.stage is not None and self.stage.port == port != "bench":
            raise key_error(
                "stage",
                f"uses the port of the focus axis ({port}); the stage needs its own board, because "
                f"homing the axis would also move the stage",
            )
        return self


DRIVEN: dict[str, type[Section]] = {
    "camera": CameraSection,
    "axis": AxisSection,
    "stage": StageSection,
    "bench": BenchSection,
}
"""The sections that name a driver, each with the model that its driver's ``Options`` extend."""


def load_rig(path: Path) -> Rig:
    """Read a rig file and validate each section with its driver's ``Options``.

    Raises
    ------
    ConfigError
        The file cannot be read, is not strict YAML or does not fit the schema, or a driver cannot
        be imported.
    """
    document = read_document(path)
    sections: dict[str, Any] = dict(document.data)
    errors: list[ConfigError] = []
    for name, base in DRIVEN.items():
        if isinstance(sections.get(name), dict) and "driver" in sections[name]:
            try:
                options = _options(document, name, base)
                sections[name] = document.validate(options, (name,))
            except ConfigError as error:
                errors.append(error)
    if errors:
        raise ConfigError("\n".join(str(error) for error in errors))
    return document.validate(Rig, data=sections)


def _options(document: Document, name: str, base: type[Section]) -> type[Section]:
    where = (name, "driver")
    written = document.data[name]
    assert isinstance(written, dict)
    driver = written["driver"]
    if not isinstance(driver, str):
        raise document.error(
            where, "must be the name of a driver or an import string 'package.module:Class'"
        )
    try:
        options = getattr(import_driver(name, driver), "Options", None)
    except ConfigError as error:
        raise document.error(where, str(error)) from error
    if not (isinstance(options, type) and issubclass(options, base)):
        raise document.error(
            where,
            f"'{driver}' is not a driver for '{name}': its Options are not a {base.__name__}",
        )
    return options


# Axis keys that may change during a run, because they do not affect the positions of slices.
_WITHOUT_EFFECT_ON_POSITIONS = {
    *("driver", "port", "travel", "closest_approach", "speed", "acceleration", "settle"),
    *("host_silence", "motor_off_after", "check_every", "check_tolerance", "home_clearance"),
}


def geometry(rig: Rig) -> dict[str, Any]:
    """Return the keys and values of a rig that affect the positions and the scale of slices.

    Returns
    -------
    dict
        Values of JSON types by dotted key: ``axis.lead``, ``optics.magnification``...
    """
    sections = {
        "axis": rig.axis.model_dump(mode="json", by_alias=True, exclude_none=True),
        "optics": rig.optics.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
    return {
        f"{name}.{key}": value
        for name, section in sections.items()
        for key, value in section.items()
        if key not in _WITHOUT_EFFECT_ON_POSITIONS
    }
