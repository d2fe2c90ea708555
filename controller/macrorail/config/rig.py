"""The schema of a rig file: what the instrument is, apart from what to shoot.

A section that names a ``driver`` is validated by that driver's ``Options``, a subclass of the
section here with the driver's own keys added. Loading a rig imports its drivers but touches no
device.
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
    # Named, not used: simulators read rigs too, and must not meet the judge's optics that way.
    from macrorail.optics.image_space import FarFocus


class CameraSection(Section):
    """What every camera section says.

    Attributes
    ----------
    driver
        A short name such as ``gphoto``, or an import string ``package.module:Class``.
    port
        Where the camera is (``usb:``, ``ptpip:192.168.1.1``), or ``bench``.
    image_width, image_height
        Pixels of a frame as it is delivered.
    pixel_pitch_um
        Distance between neighbouring pixels on the sensor, micrometres.
    frame_size_bytes
        Of a typical frame, to predict the disk space.
    download_s
        From the end of an exposure to its frame on disk, to predict the time.
    battery_floor
        Charge of the camera's battery below which nothing is begun, 0..1.
    flash_recycle_s
        From the end of an exposure until the flash can fire again.
    """

    driver: str
    port: str
    image_width: int = Field(gt=0)
    image_height: int = Field(gt=0)
    pixel_pitch_um: Length = Field(alias="pixel_pitch", gt=0)
    frame_size_bytes: DataSize = Field(alias="frame_size", gt=0)
    download_s: Duration = Field(alias="download", ge=0)
    battery_floor: Fraction = Field(default=0.05, ge=0, lt=1)
    flash_recycle_s: Duration = Field(alias="flash_recycle", default=0.0, ge=0)


class Travel(Section):
    """Where an axis may go, micrometres, growing towards the specimen."""

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
    """What every axis section says; a driver on a port of its own adds ``port``.

    Attributes
    ----------
    driver
        A short name such as ``gphoto``, or an import string ``package.module:Class``.
    travel
        Where the axis may go.
    closest_approach_um
        The highest position ever allowed, whatever asks for it; the travel's end when not given.
    speed_um_s, acceleration_um_s2
        Of a move, to predict the time (and for drivers that can set them). Without an
        acceleration the speed counts as reached at once.
    settle_s
        How long the instrument trembles after a move, as ``macrorail calibrate settle`` has
        measured it; for protocols that say ``settle: measured``.
    """

    driver: str
    travel: Travel
    closest_approach_um: Length | None = Field(alias="closest_approach", default=None)
    speed_um_s: Speed = Field(alias="speed", gt=0)
    acceleration_um_s2: Acceleration | None = Field(alias="acceleration", default=None, gt=0)
    settle_s: Duration | None = Field(alias="settle", default=None, ge=0)

    shares_camera: ClassVar[bool] = False
    """True for an axis driven through the camera, which cannot move while a frame is sent."""

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
        """Lowest and highest position allowed: the travel, ended by ``closest_approach``."""
        highest = self.travel.to_um
        if self.closest_approach_um is not None:
            highest = min(highest, self.closest_approach_um)
        return self.travel.from_um, highest

    def magnification_at(self, position_um: float, magnification: float) -> float:
        """Magnification at a position, given that of the optics section.

        A rail carries the optics along unchanged; a lens driver's options override this with its
        lens file's breathing.
        """
        del position_um
        return magnification

    @property
    def far_focus(self) -> FarFocus | None:
        """Distances of a lens that focuses up to infinity; ``None`` where positions are planes."""
        return None


class OpticsSection(Section):
    """The optics between specimen and sensor.

    Attributes
    ----------
    written_magnification
        Image size over object size, > 0; of an objective, what is engraved on it.
    pupil_ratio
        Exit over entrance pupil diameter, > 0; 1 for a symmetrical lens.
    focal_length_um
        Of the lens as it is used, if known: it tells how the picture's scale changes along the
        sweep.
    na
        Numerical aperture of a microscope objective; such optics have no f-number to set.
    tube_lens_um, made_for_um
        Focal lengths of the tube lens (or of the lens in its place) and of the one that the
        objective is made for. They come together, or not at all.
    immersion
        Refractive index of what is between an immersion objective and the specimen: 1.33 for
        water, 1.52 for oil.
    f_number_is
        Whether the f-number that the camera shows is the ``marked`` one (at infinity) or already
        the ``effective`` one, as Nikon bodies show it for their macro lenses.
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
    def _of_an_objective(self) -> Self:
        if (self.tube_lens_um is None) != (self.made_for_um is None):
            raise key_error(
                "made_for" if self.tube_lens_um is None else "tube_lens",
                "'tube_lens' and 'made_for' (the tube lens that the objective's maker names, "
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
                f"{self.na:g} is not below the index of what the objective looks through "
                f"({self.immersion:g}); write 'immersion: 1.33' for water or 1.52 for oil",
            )
        return self

    @property
    def magnification(self) -> float:
        """Image size over object size: an objective magnifies in proportion to its tube lens.

        The aperture is the objective's own, whatever stands behind it.
        """
        if self.tube_lens_um is None or self.made_for_um is None:
            return self.written_magnification
        return self.written_magnification * self.tube_lens_um / self.made_for_um


class BenchSection(Section):
    """A simulated world that stands in for devices whose ``port`` is ``bench``.

    Attributes
    ----------
    driver
        A short name such as ``gphoto``, or an import string ``package.module:Class``.
    time_scale
        How much faster than life the simulated world runs, > 0.
    seed
        Of everything random in it.
    """

    driver: str
    time_scale: float = Field(default=1.0, gt=0)
    seed: int = 0


class Rig(Section):
    """A whole instrument; each section is an instance of its driver's ``Options``."""

    camera: SerializeAsAny[CameraSection]
    axis: SerializeAsAny[AxisSection]
    optics: OpticsSection
    stage: SerializeAsAny[StageSection] | None = None
    bench: SerializeAsAny[BenchSection] | None = None
    unattended: UnattendedSection = UnattendedSection()

    @model_validator(mode="after")
    def _a_line_for_each(self) -> Self:
        port = getattr(self.axis, "port", None)
        if self.stage is not None and self.stage.port == port != "bench":
            raise key_error(
                "stage",
                f"is on the focus axis' port ({port}); a stage needs a board of its own, because "
                f"homing the axis would home and move the stage too",
            )
        return self


_DRIVEN: dict[str, type[Section]] = {
    "camera": CameraSection,
    "axis": AxisSection,
    "stage": StageSection,
    "bench": BenchSection,
}


def load_rig(path: Path) -> Rig:
    """Read a rig file and validate each section with its driver's ``Options``.

    Raises
    ------
    ConfigError
        As :func:`macrorail.config.document.load_document`, or a driver that cannot be imported.
    """
    document = read_document(path)
    sections: dict[str, Any] = dict(document.data)
    errors: list[ConfigError] = []
    for name, base in _DRIVEN.items():
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
