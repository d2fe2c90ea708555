"""Reads the positions of a campaign from a grid, a list or a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from macrorail.campaign.schema import CampaignSection, Grid, Position
from macrorail.config.document import Document, Location
from macrorail.errors import ConfigError
from macrorail.quantity import format_length

_RANGE = ("near", "far", "around", "span", "above", "below", "from", "to")
_STACK = ("step", "overlap", "settle", "closest_approach", "max_slices")
_EXPOSURE = ("aperture", "shutter", "iso", "white_balance", "image_format")
_TERMS = (
    "occurrence_id",
    "catalog_number",
    "institution",
    "scientific_name",
    "part",
    "orientation",
)
_COLUMNS = ("name", "id", "x", "y", *_RANGE, *_STACK, *_EXPOSURE, *_TERMS)
_LIST: Location = ("campaign", "stage_positions", "list")


@dataclass(frozen=True)
class WrittenPosition:
    """A position of a specimen, and where in a file this position was written.

    Attributes
    ----------
    position
        The checked position.
    written
        The position's keys and texts as written; empty for a position in a grid.
    document, location
        The file and the place in the file that error messages about the position name.
    """

    position: Position
    written: Mapping[str, Any]
    document: Document
    location: Location


def places_of(document: Document, campaign: CampaignSection) -> list[WrittenPosition]:
    """Return all positions in the order in which they are visited.

    Raises
    ------
    ConfigError
        A CSV file cannot be used, or two positions have the same name, id or coordinates.
    """
    form = campaign.stage_positions
    if form.grid is not None:
        where: Location = ("campaign", "stage_positions", "grid")
        places = [
            WrittenPosition(position, {}, document, where) for position in _of_grid(form.grid)
        ]
    elif form.csv is not None:
        where = ("campaign", "stage_positions", "csv")
        places = list(_of_csv(document.path.parent / form.csv))
        if not places:
            raise document.error(where, f"{form.csv} lists no position")
    else:
        assert form.listed is not None
        written: Any = document.data
        for part in _LIST:
            written = written[part]
        places = [
            WrittenPosition(position, written[number], document, (*_LIST, number))
            for number, position in enumerate(form.listed)
        ]
    _refuse_duplicates(places)
    return places


def _of_grid(grid: Grid) -> Iterator[Position]:
    rows, columns = range(grid.rows), range(grid.columns)
    by_row = grid.mode.startswith("row")
    snakes = grid.mode.endswith("snake")
    for outer in rows if by_row else columns:
        inner = list(columns if by_row else rows)
        for other in reversed(inner) if snakes and outer % 2 else inner:
            row, column = (outer, other) if by_row else (other, outer)
            yield Position(
                name=f"{_letters(row)}{column + 1}",
                x=grid.first.x_um + column * grid.spacing.x_um,
                y=grid.first.y_um + row * grid.spacing.y_um,
            )


def _letters(row: int) -> str:
    """Return the letters of a row number as on well plates: ``A`` ... ``Z``, ``AA`` ..."""
    if row < 26:
        return chr(ord("A") + row)
    return _letters(row // 26 - 1) + _letters(row % 26)


def _of_csv(path: Path) -> Iterator[WrittenPosition]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    head = text.partition("\n")[0]
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), strict=True
    )
    columns = [(column or "").strip() for column in reader.fieldnames or ()]
    reader.fieldnames = columns
    for column in columns:
        if column not in _COLUMNS:
            raise ConfigError(
                f"{path}:1: unknown column '{column}'; allowed: {', '.join(_COLUMNS)}"
            )
    rows: list[Any] = []
    lines: dict[int, int] = {}
    try:
        for row in reader:
            if None in row or None in row.values():
                raise ConfigError(
                    f"{path}:{reader.line_num}: the number of fields is not the number of columns "
                    f"in the first line"
                )
            lines[len(rows)] = reader.line_num
            rows.append(_nested(row))
    except csv.Error as error:
        raise ConfigError(f"{path}:{reader.line_num}: is not CSV: {error}") from error
    values: dict[Location, tuple[int, int]] = {(): (1, 1), ("list",): (1, 1)}
    values |= {("list", number): (line, 1) for number, line in lines.items()}
    document = Document(path, {"list": rows}, values, {})
    for number, written in enumerate(rows):
        location: Location = ("list", number)
        yield WrittenPosition(document.validate(Position, location), written, document, location)


def _nested(row: Mapping[str, str]) -> dict[str, Any]:
    """Return a row of the CSV file in the form of an entry of a YAML list."""
    filled = {column: value.strip() for column, value in row.items() if value.strip()}

    def part(columns: tuple[str, ...]) -> dict[str, Any]:
        return {column: filled[column] for column in columns if column in filled}

    stack = part(_STACK)
    for name, inside in (("range", part(_RANGE)), ("exposure", part(_EXPOSURE))):
        if inside:
            stack[name] = inside
    position: dict[str, Any] = part(("name", "id", "x", "y"))
    for name, inside in (("specimen", part(_TERMS)), ("stack", stack)):
        if inside:
            position[name] = inside
    return position


def _refuse_duplicates(places: list[WrittenPosition]) -> None:
    """Raise an error if two positions have the same name, id or coordinates."""
    for what in ("name", "id"):
        seen: set[str] = set()
        for place in places:
            value = getattr(place.position, what)
            if value is None:
                continue
            if value.casefold() in seen:
                raise place.document.error(
                    (*place.location, what), f"'{value}' is a duplicate {what}"
                )
            seen.add(value.casefold())
    at: dict[tuple[float, float], str] = {}
    for place in places:
        x_um, y_um = place.position.x_um, place.position.y_um
        if x_um is None or y_um is None:
            continue
        if (x_um, y_um) in at:
            raise place.document.error(
                (*place.location, "x"),
                f"'{place.position.name}' and '{at[x_um, y_um]}' have the same coordinates, "
                f"{format_length(x_um)}, {format_length(y_um)}",
            )
        at[x_um, y_um] = place.position.name
