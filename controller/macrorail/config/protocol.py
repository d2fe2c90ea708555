"""The schema of a protocol file, which describes what to shoot; a rig describes the instrument.

Positions are axis positions: micrometres, increasing away from the camera, so ``near`` is the
plane nearest to the camera.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from macrorail.config.bracket import Bracket, shutter_s
from macrorail.config.document import Section, key_error, load_document
from macrorail.config.folder_names import check_folder_name
from macrorail.config.identity import IdentitySection
from macrorail.errors import PlanError
from macrorail.optics.dof import DEFAULT_WAVELENGTH_UM
from macrorail.quantity import (
    DURATION,
    Distance,
    FNumber,
    Fraction,
    Length,
    format_fraction,
    format_length,
    parse_duration,
)

DEFAULT_OVERLAP = 0.30
DEFAULT_MINIMUM_OVERLAP = 0.10
LARGEST_OVERLAP = 0.95

_RANGE_FORMS = (
    "'near' and 'far', 'around' with 'span' or with 'above' and 'below', 'from' and 'to', "
    "'positions', or 'search' ('range: auto' for short)"
)


def _check_overlap(overlap: float) -> float:
    if not 0 <= overlap <= LARGEST_OVERLAP:
        raise ValueError(
            f"must be from 0 % to {format_fraction(LARGEST_OVERLAP)}, got "
            f"{format_fraction(overlap)}"
        )
    return overlap


Overlap = Annotated[Fraction, AfterValidator(_check_overlap)]
"""Fraction of a slice's depth of field that its neighbour also covers."""


MEASURED: Literal["measured"] = "measured"


def _settle(value: object) -> object:
    if value == MEASURED:
        return value
    settle_s = parse_duration(value)
    if settle_s < 0:
        raise ValueError(f"must be at least 0 s, got '{value}'")
    return settle_s


Settle = Annotated[
    float | Literal["measured"],
    BeforeValidator(_settle),
    replace(DURATION, example="0.4 s", words=(MEASURED,)),
]
"""Seconds, or ``measured``."""


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
"""One line of free text."""


class SpecimenSection(Section):
    """The specimen and its catalogue data.

    Attributes
    ----------
    id
        Name of the specimen, also used in folder names: letters, digits, ``-``, ``_`` and ``.``.
        Leave the id out only with an ``identity`` section, which finds the id before the first
        shot. Example: ``NHMUK-010823456``
    id_from
        How the id was found. macrorail writes this key into the run folder's copy of the protocol;
        leave it out.
    occurrence_id
        Darwin Core's ``occurrenceID``, written into all results. Example:
        ``urn:catalog:NHMUK:ENT:010823456``
    catalog_number
        Darwin Core's ``catalogNumber``, written into all results. Example: ``NHMUK 010823456``
    institution
        Darwin Core's ``institutionCode``, written into all results. Example: ``NHMUK``
    scientific_name
        Darwin Core's ``scientificName``, written into all results. Example: ``Carabus auratus
        Linnaeus, 1761``
    part
        Audiovisual Core's ``subjectPart``: the part of the specimen in the picture. Example:
        ``head``
    orientation
        Audiovisual Core's ``subjectOrientation``: the side from which the specimen is seen.
        Example: ``dorsal``
    """

    id: str = ""
    id_from: Literal["list", "prompt", "scanner", "frame", "none"] | None = None
    occurrence_id: Text | None = None
    catalog_number: Text | None = None
    institution: Text | None = None
    scientific_name: Text | None = None
    part: Text | None = None
    orientation: Text | None = None

    @field_validator("id")
    @classmethod
    def _safe_in_paths(cls, value: str) -> str:
        return check_folder_name(value)

    @property
    def given(self) -> bool:
        """Whether the id is known."""
        return bool(self.id)


class SearchRange(Section):
    """Where to look for the specimen before the first slice is shot.

    Attributes
    ----------
    near_um
        Start of the search; the start of the axis's travel when not given. Example: ``18 mm``
    far_um
        End of the search; the highest position that the axis may reach when not given. Example:
        ``26 mm``
    margin_um
        Length added to the range at both ends; the uncertainty of the ends that were found when not
        given. Example: ``100 um``
    """

    near_um: Length | None = Field(alias="near", default=None)
    far_um: Length | None = Field(alias="far", default=None)
    margin_um: Length | None = Field(alias="margin", default=None, ge=0)


class Range(Section):
    """Where to shoot, in one of six forms: ``near`` and ``far``; ``around`` with ``span``, or with
    ``above`` and ``below``; ``from`` and ``to``; ``positions``; ``search``.

    Attributes
    ----------
    near_um
        First plane to be covered, the one nearest to the camera. Example: ``20 mm``
    far_um
        Last plane to be covered. Example: ``23 mm``
    around_um
        Centre of the range; needs ``span``, or ``above`` and ``below``. Example: ``21.5 mm``
    span_um
        Length of the range, half of it on each side of ``around``. Example: ``3 mm``
    above_um
        Length of the range from ``around`` towards the camera. Example: ``1 mm``
    below_um
        Length of the range from ``around`` away from the camera. Example: ``2 mm``
    positions_um
        The positions of the slices themselves, from near to far. Example: ``[20 mm, 20.4 mm, 20.8
        mm]``
    from_um
        Shortest distance from the lens to be covered; for a lens whose file lists distances.
        Example: ``1 m``
    to_um
        Longest distance from the lens to be covered, up to ``infinity``. Example: ``infinity``
    search
        Limits of a search for the range before the first slice is shot. ``range: auto`` searches
        everywhere that the axis may go. Example: ``{near: 18 mm, far: 26 mm}``
    """

    near_um: Length | None = Field(alias="near", default=None)
    far_um: Length | None = Field(alias="far", default=None)
    around_um: Length | None = Field(alias="around", default=None)
    span_um: Length | None = Field(alias="span", default=None, gt=0)
    above_um: Length | None = Field(alias="above", default=None, ge=0)
    below_um: Length | None = Field(alias="below", default=None, ge=0)
    positions_um: tuple[Length, ...] | None = Field(alias="positions", default=None)
    from_um: Length | None = Field(alias="from", default=None, gt=0)
    to_um: Distance | None = Field(alias="to", default=None, gt=0)
    search: SearchRange | None = None

    shorthands: ClassVar[tuple[str, ...]] = ("auto",)

    @model_validator(mode="before")
    @classmethod
    def _auto_means_search(cls, value: object) -> object:
        return {"search": {}} if value == "auto" else value

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = {name.removesuffix("_um") for name in self.model_fields_set}
        forms = (
            *({"near", "far"}, {"around", "span"}, {"around", "above", "below"}),
            *({"from", "to"}, {"positions"}, {"search"}),
        )
        if given not in forms:
            keys = ", ".join(f"'{key}'" for key in type(self)._in_file_order(given)) or "nothing"
            raise ValueError(f"needs {_RANGE_FORMS}; got {keys}")
        if self.search is not None:
            return self
        if self.positions_um is not None:
            self._check_positions(self.positions_um)
        elif self.from_um is not None and self.to_um is not None:
            if not self.from_um < self.to_um:
                raise key_error(
                    "to",
                    f"({format_length(self.to_um)}) must be farther than 'from' "
                    f"({format_length(self.from_um)})",
                )
        elif not self.nearest_um < self.farthest_um:
            raise key_error(
                "far" if "far" in given else "below",
                f"the far end ({format_length(self.farthest_um)}) must be beyond the near end "
                f"({format_length(self.nearest_um)}); for one slice write 'positions: [POSITION]'",
            )
        return self

    @classmethod
    def _in_file_order(cls, keys: set[str]) -> list[str]:
        return [alias for info in cls.model_fields.values() if (alias := info.alias) in keys]

    @staticmethod
    def _check_positions(positions_um: tuple[float, ...]) -> None:
        if not positions_um:
            raise key_error("positions", "must list at least one position")
        for before, after in pairwise(positions_um):
            if not before < after:
                raise key_error(
                    "positions",
                    f"must increase from near to far, but {format_length(after)} follows "
                    f"{format_length(before)}",
                )

    @property
    def nearest_um(self) -> float:
        """First plane to be covered, micrometres."""
        if self.positions_um is not None:
            return self.positions_um[0]
        if self.around_um is not None:
            return self.around_um - (self.span_um / 2 if self.span_um else self.above_um or 0.0)
        assert self.near_um is not None
        return self.near_um

    @property
    def farthest_um(self) -> float:
        """Last plane to be covered, micrometres."""
        if self.positions_um is not None:
            return self.positions_um[-1]
        if self.around_um is not None:
            return self.around_um + (self.span_um / 2 if self.span_um else self.below_um or 0.0)
        assert self.far_um is not None
        return self.far_um


class ExposureSettings(Section):
    """Camera settings; settings that are not given stay as they are set on the camera.

    Attributes
    ----------
    aperture
        F-number as set on the lens or the camera; leave it out for an objective, which has no
        f-number. Example: ``f/5.6``
    shutter
        Exposure time. Example: ``1/60 s``
    bracket_ev
        2 to 9 exposures of each slice, relative to ``shutter``, in the order of shooting. They are
        merged into the frame that is stacked. Example: ``[-2 EV, 0 EV, +2 EV]``
    iso
        ISO sensitivity, as the camera's menu names it. Example: ``100``
    white_balance
        White balance, as the camera's menu names it. Example: ``Daylight``
    image_format
        File format, as the camera's menu names it. Example: ``JPEG Fine``
    """

    aperture: FNumber | None = None
    shutter: Annotated[str, DURATION] = Field(examples=["1/60 s"])
    bracket_ev: Bracket | None = Field(alias="bracket", default=None)
    iso: str | None = None
    white_balance: str | None = None
    image_format: str | None = None

    @field_validator("shutter")
    @classmethod
    def _positive_duration(cls, value: str) -> str:
        if not parse_duration(value) > 0:
            raise ValueError(f"must be above 0 s, got '{value}'")
        return value

    @property
    def shutter_s(self) -> float:
        """Exposure time in seconds."""
        return parse_duration(self.shutter)

    @property
    def exposures_s(self) -> tuple[float, ...]:
        """Exposure times of one slice in seconds, in the order of shooting."""
        return tuple(shutter_s(self.shutter_s, ev) for ev in self.bracket_ev or (0.0,))


class OpticsSettings(Section):
    """What counts as sharp.

    Attributes
    ----------
    coc_um
        Circle of confusion on the sensor; two pixels of the rig's camera when not given. Example:
        ``9 um``
    wavelength_um
        Wavelength of the light.
    medium
        Refractive index of the medium that surrounds the specimen behind a flat surface (a cover
        glass, the face of a resin block): 1.33 for water, 1.36 for alcohol, 1.5 for resin, 1 for
        air. In the medium, the plane in focus moves ``medium`` times as far as the axis, and the
        depth of field is deeper by the same factor. Example: ``1.33``
    """

    coc_um: Length | None = Field(alias="coc", default=None, gt=0)
    wavelength_um: Length = Field(alias="wavelength", default=DEFAULT_WAVELENGTH_UM, gt=0)
    medium: float = Field(default=1.0, ge=1, lt=3)


FrameFaultAction = Literal["reshoot", "fuse", "pause", "stop"]
"""What to do about a faulty frame: shoot the slice again, use the frame anyway, pause for the
operator and then shoot the slice again, or end the run."""


class FrameFaultSection(Section):
    """What to do about each fault that a frame can show.

    ``reshoot`` shoots the slice again. ``fuse`` uses the frame as it is. ``pause`` waits for an
    operator and then shoots the slice again. ``stop`` ends the run. If the fault remains after all
    repeats, the frame is fused and the fault is listed in the manifest; a frame that cannot be
    decoded ends the run instead.

    Attributes
    ----------
    damaged
        The file cannot be decoded to its end.
    frozen
        The frame has the same pixels as the previous frame.
    exposure
        The frame is brighter or darker than the previous frames. In a bracketed run such frames
        are fused unless this key is given, because the brightness of a merged picture depends on
        which parts are sharp.
    blur
        Motion or vibration has blurred the frame.
    shift
        The specimen or the camera has moved, so the picture is shifted.
    missed_move
        The frame shows the same plane as the previous frame. Another exposure at the same position
        cannot distinguish a missed move from lost steps, so the frame is fused by default. The gaps
        are later found from all slices together and filled.
    """

    damaged: FrameFaultAction = "reshoot"
    frozen: FrameFaultAction = "reshoot"
    exposure: FrameFaultAction = "reshoot"
    blur: FrameFaultAction = "reshoot"
    shift: FrameFaultAction = "reshoot"
    missed_move: FrameFaultAction = "fuse"


class ProofSection(Section):
    """How coverage is proven from the images.

    Attributes
    ----------
    images
        ``on`` proves coverage from the images; ``off`` trusts the achieved positions alone.
    extend
        How far a run may go beyond each end of the range while something in the frame is still
        getting sharper, as a share of the range's length. With ``0 %`` the ends are final.
    extra_slices
        How many slices a run may add to the plan; the number of planned slices plus 10 when not
        given. Example: ``20``
    reshoots
        How often one slice may be shot again.
    faults
        What to do about each fault that a frame can show. Example: ``{exposure: fuse}``
    """

    images: Literal["on", "off"] = "on"
    extend: Fraction = Field(default=0.5, ge=0, le=2)
    extra_slices: int | None = Field(default=None, ge=0)
    reshoots: int = Field(default=2, ge=0, le=10)
    faults: FrameFaultSection = FrameFaultSection()


class Protocol(Section):
    """A protocol file: what to shoot.

    Attributes
    ----------
    specimen
        The specimen and its catalogue data. Example: ``{id: beetle-1}``
    identity
        How the specimen's id is found before the first shot; replaces ``specimen: id``. Example:
        ``{from: prompt}``
    range
        Where to shoot. ``auto`` searches for the specimen everywhere that the axis may go. Example:
        ``{near: 20 mm, far: 23 mm}``
    step_um
        Distance between slices. The last step is shorter where the range needs it. Example: ``40
        um``
    overlap
        Share of its depth of field that a slice has in common with its neighbour; replaces
        ``step``. 30 % when neither is given. At most 95 %. Example: ``30 %``
    minimum_overlap
        Overlap that must be proven from the achieved positions. Give less than the planned overlap,
        since no axis stops exactly at its target. At most 95 %.
    settle
        Waiting time between the end of a move and the exposure (run time). ``measured`` uses the
        settle time in the rig. Example: ``0.4 s``
    exposure
        Camera settings. Example: ``{aperture: f/5.6, shutter: 1/60 s, iso: 100}``
    optics
        What counts as sharp. Example: ``{coc: 9 um}``
    closest_approach_um
        Highest position allowed for this specimen; stricter than the rig's limit. Example: ``24
        mm``
    max_slices
        Plans with more slices are refused, because such plans mostly come from a mistyped unit.
    proof
        How coverage is proven from the images. Example: ``{extend: 0 %}``
    operator
        Who made the pictures; written into all results. Example: ``A. Example``
    rights
        Terms on which the pictures may be used; written into all results. Example: ``CC BY 4.0``
    """

    specimen: SpecimenSection = SpecimenSection()
    identity: IdentitySection | None = None
    range: Range
    step_um: Length | None = Field(alias="step", default=None, gt=0)
    overlap: Overlap | None = None
    minimum_overlap: Overlap = DEFAULT_MINIMUM_OVERLAP
    settle: Settle
    exposure: ExposureSettings
    optics: OpticsSettings = OpticsSettings()
    closest_approach_um: Length | None = Field(alias="closest_approach", default=None)
    max_slices: int = Field(default=1000, ge=1)
    proof: ProofSection = ProofSection()
    operator: Text | None = None
    rights: Text | None = None

    @model_validator(mode="after")
    def _one_id(self) -> Self:
        if self.identity is None and not self.specimen.given:
            raise key_error(
                "specimen",
                "has no 'id'; give one, or add an 'identity' section that says how to find it",
            )
        if self.identity is not None and self.specimen.given:
            raise key_error(
                "identity",
                "says how to find the id, but 'specimen: id' already gives the id; remove one of "
                "the two",
            )
        return self

    @model_validator(mode="after")
    def _one_spacing(self) -> Self:
        spaced = [key for key in ("step", "overlap") if key in self._given]
        if self.range.positions_um is not None and spaced:
            raise key_error(
                spaced[0], "'range: positions' already lists the slices; remove this key"
            )
        if len(spaced) == 2:
            raise key_error("overlap", "give either 'step' or 'overlap', not both")
        by_overlap = self.step_um is None and self.range.positions_um is None
        if by_overlap and self.planned_overlap < self.minimum_overlap:
            raise key_error(
                "minimum_overlap" if self.overlap is None else "overlap",
                f"the planned overlap ({format_fraction(self.planned_overlap)}) is less than "
                f"minimum_overlap ({format_fraction(self.minimum_overlap)}), which a run must "
                f"prove; raise the overlap or lower minimum_overlap",
            )
        return self

    def with_range(self, near_um: float, far_um: float) -> Self:
        """Return a copy of the protocol with the range that a search found."""
        found = Range.model_validate({"near_um": near_um, "far_um": far_um})
        return self.model_copy(update={"range": found})

    @property
    def _given(self) -> set[str]:
        return {name.removesuffix("_um") for name in self.model_fields_set}

    @property
    def camera_settings(self) -> dict[str, str]:
        """Settings for `Camera.configure`: ``{"aperture": "f/5.6", "shutter": "1/60 s"}``."""
        exposure = self.exposure
        given = {
            "aperture": None if exposure.aperture is None else f"f/{exposure.aperture:g}",
            "shutter": exposure.shutter,
            "iso": exposure.iso,
            "white_balance": exposure.white_balance,
            "image_format": exposure.image_format,
        }
        return {name: value for name, value in given.items() if value is not None}

    def settle_s(self, measured_s: float | None) -> float:
        """Return the world time between a move's end and the exposure, in seconds.

        Parameters
        ----------
        measured_s
            Settle time in the rig, or ``None`` if the rig has none.

        Raises
        ------
        PlanError
            The protocol says ``measured``, and the rig has no settle time.
        """
        if self.settle != MEASURED:
            return self.settle
        if measured_s is None:
            raise PlanError(
                "settle: the protocol says 'measured', but the rig's axis section has no 'settle'; "
                "measure it with 'macrorail calibrate settle', or write a time into the protocol"
            )
        return measured_s

    @property
    def planned_overlap(self) -> float:
        """The overlap used to space slices when no step is given."""
        return DEFAULT_OVERLAP if self.overlap is None else self.overlap


def load_protocol(path: Path) -> Protocol:
    """Read a protocol file.

    Raises
    ------
    ConfigError
        The file cannot be read, is not strict YAML, or does not fit the schema.
    """
    return load_document(path, Protocol)
