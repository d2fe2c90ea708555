"""Reads a list of specimens from a CSV file, as collection databases export it."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from macrorail.config.folder_names import safe_name
from macrorail.errors import ConfigError

#: Key of a protocol's ``specimen`` for each column name (lower case, no blanks or underscores).
_COLUMNS = {
    "id": "id",
    "specimen": "id",
    "materialsampleid": "id",
    "catalognumber": "catalog_number",
    "occurrenceid": "occurrence_id",
    "institution": "institution",
    "institutioncode": "institution",
    "scientificname": "scientific_name",
    "part": "part",
    "subjectpart": "part",
    "orientation": "orientation",
    "subjectorientation": "orientation",
    "label": "label",
    "barcode": "label",
    "position": "place",
    "place": "place",
}


@dataclass(frozen=True)
class ListedSpecimen:
    """A specimen in the list.

    Attributes
    ----------
    id
        The specimen's id, valid as a folder name.
    label
        Text of the label or barcode.
    place
        Position in the tray, as written in the list (``A3``); ``None`` if the list gives none.
    terms
        The other keys of a protocol's ``specimen`` section.
    """

    id: str
    label: str
    place: str | None
    terms: dict[str, str]


def read_specimen_list(path: Path) -> list[ListedSpecimen]:
    """Read a list of specimens; unknown columns are ignored.

    The id is in the column ``id``, ``specimen``, ``materialSampleID`` or ``catalogNumber``.
    Columns are separated by commas, semicolons or tabs.

    Raises
    ------
    ConfigError
        The file is unreadable or has no id column, an id is empty or unusable, or an id, label or
        place occurs twice. The message names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    keys = {
        column: _COLUMNS[bare]
        for column in reader.fieldnames or ()
        if (bare := column.lower().replace("_", "").replace(" ", "")) in _COLUMNS
    }
    twice = sorted(key for key in set(keys.values()) if list(keys.values()).count(key) > 1)
    if twice:
        raise ConfigError(f"{path}:1: two columns give the {twice[0]}; keep only one of them")
    if not {"id", "catalog_number"} & set(keys.values()):
        raise ConfigError(f"{path}:1: has no column 'id' or 'catalogNumber'; it has: {head}")
    listed: list[ListedSpecimen] = []
    try:
        for row in reader:
            if any(value for value in row.values()):
                listed.append(_listed(path, reader.line_num, row, keys))
    except csv.Error as error:
        raise ConfigError(f"{path}:{reader.line_num}: is not CSV: {error}") from error
    if not listed:
        raise ConfigError(f"{path}: lists no specimen")
    _check_unique(path, listed)
    return listed


def _listed(
    path: Path, line: int, row: dict[str, str | list[str] | None], keys: dict[str, str]
) -> ListedSpecimen:
    if None in row:
        raise ConfigError(f"{path}:{line}: has more fields than the header line has columns")
    terms = {key: str(row[column] or "").strip() for column, key in keys.items()}
    terms = {key: value for key, value in terms.items() if value}
    text = terms.pop("id", terms.get("catalog_number", ""))
    if not text:
        raise ConfigError(f"{path}:{line}: has no id")
    try:
        safe = safe_name(text)
    except ValueError as error:
        raise ConfigError(f"{path}:{line}: the id {error}") from error
    if safe != text:
        terms.setdefault("catalog_number", text)
    label = terms.pop("label", text)
    return ListedSpecimen(safe, label, terms.pop("place", None), terms)


def _check_unique(path: Path, listed: list[ListedSpecimen]) -> None:
    for name in ("id", "label", "place"):
        seen: dict[str, ListedSpecimen] = {}
        for one in listed:
            # Some file systems do not distinguish upper and lower case.
            value = str(getattr(one, name) or "").casefold()
            if value and value in seen:
                raise ConfigError(
                    f"{path}: duplicate {name} '{getattr(one, name)}'"
                    + (f" (as {seen[value].id} and {one.id})" if name != "id" else "")
                )
            seen[value] = one
