"""The schema of a campaign file: which positions, from where, under which light, in what order.

The words are those of useq-schema where it has them (``stage_positions``, ``axis_order``,
``row_wise_snake``); what one stack is like is a protocol's to say.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from macrorail.config.document import Section, key_error
from macrorail.config.identity import IdentitySection
from macrorail.config.protocol import Overlap, Range, Text
from macrorail.config.specimen_names import check_safe
from macrorail.quantity import Angle, Duration, FNumber, Length

Name = Annotated[str, AfterValidator(check_safe)]
"""A word that can name a folder."""

Axis = Literal["position", "view", "variant"]
Mode = Literal["row_wise", "row_wise_snake", "column_wise", "column_wise_snake"]


class Point(Section):
    """A place of the stage, or a distance on it."""

    x_um: Length = Field(alias="x")
    y_um: Length = Field(alias="y")


class Grid(Section):
    """Positions in rows and columns, named ``A1``, ``A2`` ... by row and column.

    Attributes
    ----------
    rows, columns
        How many; rows follow Y, columns X.
    first
        The place of ``A1``.
    spacing
        From column to column and from row to row.
    mode
        In what order: along rows or columns, every second one backwards or not.
    """

    rows: int = Field(ge=1, le=702)
    columns: int = Field(ge=1, le=1000)
    first: Point
    spacing: Point
    mode: Mode = "row_wise_snake"


class ExposureOverrides(Section):
    """What is set otherwise than the protocol's ``exposure`` says."""

    aperture: FNumber | None = None
    shutter: str | None = None
    iso: str | None = None
    white_balance: str | None = None
    image_format: str | None = None


class StackOverrides(Section):
    """What is otherwise for one position: keys of a protocol, which win over the campaign's."""

    range: Range | None = None
    step_um: Length | None = Field(alias="step", default=None, gt=0)
    overlap: Overlap | None = None
    settle_s: Duration | None = Field(alias="settle", default=None, ge=0)
    exposure: ExposureOverrides | None = None
    closest_approach_um: Length | None = Field(alias="closest_approach", default=None)
    max_slices: int | None = Field(default=None, ge=1)


class Terms(Section):
    """What else is known of a specimen; see the protocol's ``specimen`` section."""

    occurrence_id: Text | None = None
    catalog_number: Text | None = None
    institution: Text | None = None
    scientific_name: Text | None = None
    part: Text | None = None
    orientation: Text | None = None


class Position(Section):
    """One specimen's place.

    Attributes
    ----------
    name
        Of the place: on the tray, in lists, and for the operator.
    id
        Of the specimen there; from the campaign's ``identity`` when not given.
    x_um, y_um
        Where the stage brings it under the lens; without a stage they are not needed.
    specimen, stack
        What is otherwise than the campaign's ``stack`` says.
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
    """The positions, in one of three forms.

    Attributes
    ----------
    grid
        Rows and columns.
    listed
        One after the other.
    csv
        A file of them, relative to the campaign's.
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
        ``dorsal``, ``lateral`` ...: also the specimen's ``orientation`` in what a run leaves.
    turn_deg
        Of the turntable; without one the operator is asked to turn the specimen.
    """

    name: Name
    turn_deg: Angle | None = Field(alias="turn", default=None)


class Variant(Section):
    """A light or an exposure in which each view is shot.

    Attributes
    ----------
    name
        Ends the names of its run folders.
    exposure
        What is set otherwise.
    lighting
        What the operator is asked to light it with.
    switch
        A shell command that switches the light by itself, before each stack.
    """

    name: Name
    exposure: ExposureOverrides | None = None
    lighting: Text | None = None
    switch: str | None = None


class CampaignSection(Section):
    """A campaign.

    Attributes
    ----------
    id
        Names its folder.
    stage_positions
        Where specimens lie.
    identity
        Where the ids of positions without one come from.
    views, variants
        How each is shot; once when not given. The variants of a view share its alignment.
    axis_order
        What changes least often first.
    settle_s
        World time between the stage's coming to rest and the first slice.
    come_back
        How often a stack that failed is tried again, after all others.
    stop_after
        So many failures in a row are no longer the specimens' fault and end the campaign.
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
            twice = _first_twice(names)
            if twice is not None:
                raise key_error(key, f"'{twice}' is there twice")
        return self


def _first_twice(names: list[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            return name
        seen.add(name.casefold())
    return None
