"""Plans the protocol from the page's form after every edit."""

from __future__ import annotations

import shutil
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from macrorail.config.document import read_document
from macrorail.config.protocol import Protocol, load_protocol
from macrorail.config.rig import Rig
from macrorail.errors import ConfigError, MacrorailError, OverlapError, PlanError
from macrorail.planning.aperture import compare_apertures, compare_with_best
from macrorail.planning.plan import Plan, make_plan

#: Largest number of slices that the page draws; larger plans are for the command line.
MOST_SLICES = 5000

Values = dict[str, Any]


def protocol_text(values: Values) -> str:
    """Return a protocol as YAML text with its keys in the given order and without empty values.

    Parameters
    ----------
    values
        Nested dicts and lists whose values are texts, as from
        :func:`macrorail.config.document.read_document`.
    """
    return yaml.safe_dump(_without_empty(values), sort_keys=False, allow_unicode=True)


def parse_protocol(text: str) -> Protocol:
    """Parse the text of a protocol and return the protocol.

    Raises
    ------
    ConfigError
        The text is not a valid protocol; the message gives the line.
    """
    with tempfile.TemporaryDirectory(prefix="macrorail-protocol-") as folder:
        path = Path(folder) / "protocol.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            wanted = load_protocol(path)
        except ConfigError as error:
            raise ConfigError(str(error).replace(f"{path}:", "line ")) from error
    if wanted.max_slices > MOST_SLICES:
        raise ConfigError(f"max_slices: the page plans up to {MOST_SLICES} slices; lower it")
    return wanted


def protocol_values(text: str) -> Values:
    """Parse the text of a protocol and return its nested values, for the page's form.

    Raises
    ------
    ConfigError
        The text is not strict YAML.
    """
    with tempfile.TemporaryDirectory(prefix="macrorail-protocol-") as folder:
        path = Path(folder) / "protocol.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            return dict(read_document(path).data)
        except ConfigError as error:
            raise ConfigError(str(error).replace(f"{path}:", "line ")) from error


def preview(values: Values, rig: Rig, disk: Path) -> dict[str, Any]:
    """Plan the protocol and return the data that the page shows of the plan.

    Returns
    -------
    dict
        ``slices`` (pairs of position and depth of field, micrometres), ``duration_s``,
        ``size_bytes``, ``free_bytes``, ``advice``, ``apertures`` and further data. If the
        protocol cannot be planned, ``error`` replaces the plan.
    """
    try:
        wanted = parse_protocol(protocol_text(values))
        plan = make_plan(wanted, rig)
    except OverlapError as error:
        return {"error": str(error), "kind": "overlap", **_about(rig)}
    except MacrorailError as error:
        return {"error": str(error), "kind": "protocol", **_about(rig)}
    free = shutil.disk_usage(disk).free
    first = plan.slices[0]
    return {
        **_about(rig),
        "slices": [[planned.target_um, planned.dof_um] for planned in plan.slices],
        "near_um": plan.near_um,
        "far_um": plan.far_um,
        "closest_approach_um": plan.closest_approach_um,
        "step_um": _largest_step_um(plan),
        "dof_um": first.dof_um,
        "criterion": first.criterion,
        "effective_f_number": first.effective_f_number,
        "magnification": first.magnification,
        "um_per_px": first.um_per_px,
        "duration_s": plan.duration_s,
        "size_bytes": plan.size_bytes,
        "free_bytes": free,
        "fits": plan.size_bytes <= free,
        **_apertures(wanted, rig),
    }


def _about(rig: Rig) -> dict[str, Any]:
    low_um, high_um = rig.axis.allowed_um
    return {
        "travel_um": [rig.axis.travel.from_um, rig.axis.travel.to_um],
        "allowed_um": [low_um, high_um],
        "simulated": rig.bench is not None,
    }


def _largest_step_um(plan: Plan) -> float:
    positions = [planned.target_um for planned in plan.slices]
    return max((b - a for a, b in pairwise(positions)), default=0.0)


def _apertures(wanted: Protocol, rig: Rig) -> dict[str, Any]:
    """Return number of slices and sharpness for each full stop, and advice on the aperture."""
    try:
        advice = compare_apertures(wanted, rig)
    except PlanError:
        return {"advice": "", "apertures": []}
    return {
        "advice": compare_with_best(advice, wanted, rig),
        "apertures": [
            {"aperture": f"f/{cost.f_number:g}", "slices": cost.slices, "sharp": cost.sharp}
            for cost in advice.costs
            if cost.slices is not None
        ],
    }


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in ("", None, {}, [])}
    return value
