"""The schema of a campaign file: positions, views, light and order.

Keys that also exist in useq-schema have the same names (``stage_positions``, ``axis_order``,
``row_wise_snake``). A protocol describes each stack.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from macrorail.config.document import Section, key_error
from macrorail.config.folder_names import check_folder_name
from macrorail.config.identity import IdentitySection
from macrorail.config.protocol import Overlap, Protocol, Range, Text
from macrorail.config.reference import Schema, json_schema, reference_to, section_schema
from macrorail.quantity import DURATION, Angle, Duration, FNumber, Length

Name = Annotated[str, AfterValidator(check_folder_name)]
"""A text that can be used as the name of a folder."""

Axis = Literal["position", "view", "variant"]
Mode = Literal["row_wise", "row_wise_snake", "column_wise", "column_wise_snake"]


class Point(Section):
    """A position of the stage, or a distance between two positions.

    Attributes
    ----------
    x_um
        Position along X, from the home switch, or distance along X. Example: ``10 mm``
    y_um
        Position along Y, from the home switch, or distance along Y. Example: ``10 mm``
    """

    x_um: Length = Field(alias="x")
    y_um: Length = Field(alias="y")


class Grid(Section):
    """Positions in rows and columns, named ``A1``, ``A2`` ... by row and column.

    Attributes
    ----------
    rows
        Number of rows, along Y. Example: ``4``
    columns
        Number of columns, along X. Example: ``6``
    first
        Position of ``A1``. Example: ``{x: 10 mm, y: 10 mm}``
    spacing
        Distance between columns (``x``) and between rows (``y``). Example: ``{x: 20 mm, y: 20
        mm}``
    mode
        Order of the positions: along rows or along columns. With ``_snake``, every second row or
        column is visited in reverse order.
    """

    rows: int = Field(ge=1, le=702)
    columns: int = Field(ge=1, le=1000)
    first: Point
    spacing: Point
    mode: Mode = "row_wise_snake"


class ExposureOverrides(Section):
    """Camera settings that differ from those of the campaign's ``stack``.

    Attributes
    ----------
    aperture
        F-number as set on the lens or the camera. Example: ``f/8``
    shutter
        Exposure time. Example: ``1/30 s``
    iso
        ISO sensitivity, as the camera's menu names it. Example: ``200``
    white_balance
        White balance, as the camera's menu names it. Example: ``Daylight``
    image_format
        File format, as the camera's menu names it. Example: ``JPEG Fine``
    """

    aperture: FNumber | None = None
    shutter: Annotated[str, DURATION] | None = None
    iso: str | None = None
    white_balance: str | None = None
    image_format: str | None = None


class StackOverrides(Section):
    """Keys of a protocol for one position; they override the campaign's ``stack``.

    Attributes
    ----------
    range
        Range to shoot. Example: ``{near: 20.4 mm, far: 22 mm}``
    step_um
        Distance between slices. Example: ``30 um``
    overlap
        Planned overlap of neighbouring slices, at most 95 %. Example: ``40 %``
    settle_s
        Waiting time between the end of a move and the exposure (run time). Example: ``0.6 s``
    exposure
        Camera settings. Example: ``{shutter: 1/30 s}``
    closest_approach_um
        A tighter limit than the rig's. Example: ``24 mm``
    max_slices
        Plans with more slices are refused. Example: ``200``
    """

    range: Range | None = None
    step_um: Length | None = Field(alias="step", default=None, gt=0)
    overlap: Overlap | None = None
    settle_s: Duration | None = Field(alias="settle", default=None, ge=0)
    exposure: ExposureOverrides | None = None
    closest_approach_um: Length | None = Field(alias="closest_approach", default=None)
    max_slices: int | None = Field(default=None, ge=1)


class Terms(Section):
    """Metadata of a specimen in addition to its id.

    Attributes
    ----------
    occurrence_id
        Darwin Core's ``occurrenceID``. Example: ``urn:catalog:NHMUK:ENT:010823456``
    catalog_number
        Darwin Core's ``catalogNumber``. Example: ``NHMUK 010823456``
    institution
        Darwin Core's ``institutionCode``. Example: ``NHMUK``
    scientific_name
        Darwin Core's ``scientificName``. Example: ``Carabus auratus Linnaeus, 1761``
    part
        Audiovisual Core's ``subjectPart``: the part of the specimen that is shown. Example:
        ``head``
    orientation
        Audiovisual Core's ``subjectOrientation``: the side from which the specimen is shown.
        Example: ``dorsal``
    """

    occurrence_id: Text | None = None
    catalog_number: Text | None = None
    institution: Text | None = None
    scientific_name: Text | None = None
    part: Text | None = None
    orientation: Text | None = None


class Position(Section):
    """The position of one specimen.

    Attributes
    ----------
    name
        Name of the position on the tray, in lists and in messages. Example: ``A1``
    id
        Id of the specimen. When not given, the specimen is identified as set in the campaign's
        ``identity``. Example: ``NHMUK-010823456``
    x_um
        X position of the stage that brings the specimen under the lens; not needed for rigs without
        a stage. Example: ``10 mm``
    y_um
        Y position of the stage that brings the specimen under the lens; not needed for rigs without
        a stage. Example: ``10 mm``
    specimen
        Further metadata of the specimen. Example: ``{scientific_name: Carabus auratus}``
    stack
        Keys that override the campaign's ``stack`` for this position. Example: ``{range: {near:
        20.4 mm, far: 22 mm}}``
    """

    name: Name
    id: Name | None = None
    x_um: Length | None = Field(alias="x", default=None)
    y_um: Length | None = Field(alias="y", default=None)
    specimen: Terms | None = None
    stack: StackOverrides | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.x_um is None) != (self.y_um is None):
            raise key_error("x" if self.x_um is None else "y", "'x' and 'y' belong together")
        return self


class StagePositions(Section):
    """The positions, in one of three forms: ``grid``, ``list`` or ``csv``.

    Attributes
    ----------
    grid
        Positions in rows and columns. Example: ``{rows: 4, columns: 6, first: {x: 10 mm, y: 10 mm},
        spacing: {x: 20 mm, y: 20 mm}}``
    listed
        List of the positions. Example: ``[{name: A1, id: beetle-1, x: 10 mm, y: 10 mm}]``
    csv
        Path of a CSV file with the positions, relative to the campaign file. Example:
        ``tray-12.csv``
    """

    grid: Grid | None = None
    listed: tuple[Position, ...] | None = Field(alias="list", default=None, min_length=1)
    csv: str | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = [form for form in (self.grid, self.listed, self.csv) if form is not None]
        if len(given) != 1:
            raise ValueError("needs one of 'grid', 'list' and 'csv'")
        return self


class ViewSection(Section):
    """A side from which each specimen is shot.

    Attributes
    ----------
    name
        Name of the view; also the specimen's ``orientation`` in all results. Example: ``dorsal``
    turn_deg
        Angle of the turntable. Without it the operator is asked to turn the specimen. Example: ``90
        deg``
    """

    name: Name
    turn_deg: Angle | None = Field(alias="turn", default=None)


class Variant(Section):
    """A light or exposure with which each view is shot.

    Attributes
    ----------
    name
        Name of the variant, with which the names of its run folders end. Example: ``rim``
    exposure
        Camera settings that override those of the campaign's ``stack``. Example: ``{shutter: 1/30
        s}``
    lighting
        Name of the light that the operator is asked to switch on. Example: ``rim light``
    switch
        Shell command that switches the light; it is run before each stack. Example: ``lamp rim``
    """

    name: Name
    exposure: ExposureOverrides | None = None
    lighting: Text | None = None
    switch: str | None = None


class CampaignSection(Section):
    """The specimens to shoot, with their views, variants of light, and order.

    Attributes
    ----------
    id
        Name of the campaign and its folder. Example: ``tray-12``
    stage_positions
        The positions of the specimens. Example: ``{csv: tray-12.csv}``
    identity
        How specimens at positions without an id are identified. Example: ``{from: prompt}``
    views
        Sides from which each specimen is shot; a single view when not given. Example: ``[{name:
        dorsal}, {name: lateral, turn: 90 deg}]``
    variants
        Lights or exposures with which each view is shot; a single variant when not given. All
        variants of a view use the same alignment. Example: ``[{name: ring}, {name: rim, lighting:
        rim light}]``
    axis_order
        Order of ``position``, ``view`` and ``variant``; the first changes least often.
    settle_s
        Waiting time between the end of a stage move and the first slice (run time).
    come_back
        Number of times that a failed stack is tried again, after all other stacks.
    stop_after
        Number of failures in a row after which the campaign stops, because the cause is probably
        not the specimens.
    """

    id: Name
    stage_positions: StagePositions
    identity: IdentitySection | None = None
    views: tuple[ViewSection, ...] = Field(default=(), max_length=360)
    variants: tuple[Variant, ...] = Field(default=(), max_length=100)
    axis_order: tuple[Axis, ...] = ("position", "view", "variant")
    settle_s: Duration = Field(alias="settle", default=1.0, ge=0)
    come_back: int = Field(default=1, ge=0, le=5)
    stop_after: int = Field(default=3, ge=1)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if sorted(self.axis_order) != ["position", "variant", "view"]:
            raise key_error("axis_order", "must have 'position', 'view' and 'variant' once each")
        for key, names in (
            ("views", [view.name for view in self.views]),
            ("variants", [variant.name for variant in self.variants]),
        ):
            duplicate = _first_duplicate(names)
            if duplicate is not None:
                raise key_error(key, f"'{duplicate}' is a duplicate name")
        return self


def campaign_schema() -> Schema:
    """Return the JSON Schema of a campaign file.

    ``stack`` is a protocol without ``specimen`` and ``identity``. None of its keys is required,
    because each position may give every key.
    """
    stack = section_schema(Protocol, complete=False)
    stack["description"] = "A protocol for each stack, or the name of a protocol's file."
    root = {
        "description": "A campaign file: many stacks, planned, resumed and reported as one.",
        "type": "object",
        "properties": {
            "campaign": {"allOf": [reference_to(CampaignSection)]},
            "stack": {"anyOf": [stack, {"type": "string"}]},
        },
        "additionalProperties": False,
        "required": ["campaign", "stack"],
    }
    return json_schema("macrorail campaign", root, [CampaignSection, Protocol])


def _first_duplicate(names: list[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            return name
        seen.add(name.casefold())
    return None
