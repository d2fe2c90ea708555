"""Reads the positions and scales of frames that were not taken by a run of macrorail.

The source is the ``plan.json`` of a run (its ``target_um`` and ``scale``) or a CSV table with one
row per frame in order. The table has the column ``position_um`` and optionally ``scale``, the
factor by which a frame has to be enlarged to fit the first frame.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path

from macrorail.errors import ConfigError


@dataclass(frozen=True)
class Known:
    """Position of one frame along the axis in micrometres, and its scale (``None`` if unknown)."""

    position_um: float
    scale: float | None


def load_slices(path: Path) -> list[Known]:
    """Read positions and scales from a plan or a table.

    Raises
    ------
    ConfigError
        The file is unreadable, or is neither a plan nor a table. The message names the file and the
        row.
    """
    try:
        data = path.read_bytes()
        # Excel's "Unicode text" is UTF-16. Its "CSV UTF-8" begins with a byte-order mark.
        utf_16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        text = data.decode("utf-16" if utf_16 else "utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        # Excel's plain "CSV" on Windows. Only columns that are not read can have other letters.
        text = data.decode("cp1252", "replace")
    known = _of_plan(path, text) if path.suffix.lower() == ".json" else _of_table(path, text)
    if not known:
        raise ConfigError(f"{path} has no slices")
    return known


def _of_plan(path: Path, text: str) -> list[Known]:
    try:
        rows = json.loads(text)["slices"]
        return [_known(str(row["target_um"]), row.get("scale")) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} is not the plan.json of a run: {error!r}") from error


def _of_table(path: Path, text: str) -> list[Known]:
    """Read a table.

    Columns are separated by commas, semicolons or tabs. Numbers have a decimal point or comma.
    """
    lines = text.splitlines()
    skipped = int(text.casefold().startswith("sep="))  # Excel's own first line
    lines = lines[skipped:]
    head = lines[0] if lines else ""
    separator = max(",;\t", key=head.count)
    names = [name.strip().casefold() for name in next(csv.reader([head], delimiter=separator), [])]
    position = next((name for name in ("position_um", "target_um") if name in names), None)
    if position is None:
        raise ConfigError(
            f"{path}:{1 + skipped}: no column is called position_um; the columns are "
            f"{', '.join(names) or '-'}"
        )
    rows = list(csv.reader(lines[1:], delimiter=separator))
    known = []
    for number, one in enumerate(rows, start=2 + skipped):
        row = dict(zip(names, (cell.strip() for cell in one), strict=False))
        if not any(row.values()):
            continue
        try:
            known.append(_known(row.get(position, ""), row.get("scale")))
        except ValueError as error:
            raise ConfigError(f"{path}:{number}: {error}") from error
    cells = " ".join(cell for row in rows for cell in row)
    if "," in cells and "." in cells:
        raise ConfigError(
            f"{path} has decimal points and decimal commas; write all numbers in the same way"
        )
    return known


def _known(position: str, told: object) -> Known:
    position_um = _number(position)
    scale = None if told in (None, "") else _number(str(told))
    if not math.isfinite(position_um) or (scale is not None and not 0 < scale < math.inf):
        raise ValueError(f"position {position_um}, scale {scale}")
    return Known(position_um, scale)


def _number(text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise ValueError(f"'{text}' is not a number") from None
