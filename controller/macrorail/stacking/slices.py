"""What is known of loose frames from elsewhere: where each was taken, how large it shows things.

Either the ``plan.json`` of a run (its ``target_um`` and ``scale``), or a CSV table with the columns
``position_um`` and, if known, ``scale`` (by what a frame has to be enlarged to fit the first one),
one row per frame in order.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from macrorail.errors import ConfigError


@dataclass(frozen=True)
class Known:
    """Of one frame: its position along the axis, micrometres, and its scale or ``None``."""

    position_um: float
    scale: float | None


def load_slices(path: Path) -> list[Known]:
    """Read either form.

    Raises
    ------
    ConfigError
        Unreadable or not of that form; names file and row.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    rows: list[Mapping[str, object]]
    try:
        rows = (
            json.loads(text)["slices"]
            if path.suffix.lower() == ".json"
            else list(csv.DictReader(text.splitlines()))
        )
        known = [_known(row) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is neither a plan.json nor a table with 'position_um' and 'scale': {error!r}"
        ) from error
    if not known:
        raise ConfigError(f"{path} has no slices")
    return known


def _known(row: Mapping[str, object]) -> Known:
    position_um = float(str(row["position_um" if "position_um" in row else "target_um"]))
    told = row.get("scale")
    scale = None if told in (None, "") else float(str(told))
    if not math.isfinite(position_um) or (scale is not None and not 0 < scale < math.inf):
        raise ValueError(f"position {position_um}, scale {scale}")
    return Known(position_um, scale)
