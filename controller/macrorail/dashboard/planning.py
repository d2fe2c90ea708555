"""Plans while the operator turns the knobs: a protocol as edited, and what it would take."""

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
from macrorail.errors import ConfigError, MacrorailError, OverlapError
from macrorail.planning.plan import Plan, make_plan
from macrorail.quantity import format_length

#: The page draws every slice; plans beyond this are for the command line.
MOST_SLICES = 5000
_APERTURES = ("f/2.8", "f/4", "f/5.6", "f/8", "f/11", "f/16")
#: Radius of the Airy disc over wavelength and effective f-number (Rayleigh's criterion).
_RAYLEIGH = 1.22

Values = dict[str, Any]


def protocol_text(values: Values) -> str:
    """A protocol as YAML text, keys in the order given; empty values are left out.

    Parameters
    ----------
    values
        Nested dicts and lists with text at the leaves, as
        :func:`macrorail.config.document.read_document` gives them.
    """
    return yaml.safe_dump(_without_empty(values), sort_keys=False, allow_unicode=True)


def parse_protocol(text: str) -> Protocol:
    """A protocol from its text.

    Raises
    ------
    ConfigError
        As :func:`macrorail.config.protocol.load_protocol`, with lines but without a file's name.
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


def values_of(text: str) -> Values:
    """The nested text values of a protocol's text, for the page's form.

    Raises
    ------
    ConfigError
        Not strict YAML.
    """
    with tempfile.TemporaryDirectory(prefix="macrorail-protocol-") as folder:
        path = Path(folder) / "protocol.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            return dict(read_document(path).data)
        except ConfigError as error:
            raise ConfigError(str(error).replace(f"{path}:", "line ")) from error


def preview(values: Values, rig: Rig, disk: Path) -> dict[str, Any]:
    """What the page shows of a plan; ``error`` instead of the plan when there is none.

    Returns
    -------
    dict
        ``slices`` (pairs of position and depth of field, micrometres), ``duration_s``,
        ``size_bytes``, ``free_bytes``, ``advice``, ``apertures`` and what else the page draws.
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
        "advice": _advice(plan),
        "apertures": _apertures(values, rig),
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


def _diffraction_um(plan: Plan) -> float:
    """Radius of the diffraction disc on the sensor in the first slice, micrometres."""
    return _RAYLEIGH * plan.optics.wavelength_um * plan.slices[0].effective_f_number


def _advice(plan: Plan) -> str:
    """The sweet spot: where diffraction just equals the blur that is accepted anyway."""
    blur_um, accepted_um = _diffraction_um(plan), plan.optics.coc_um
    if plan.optics.f_number is None:
        return ""
    best = plan.optics.f_number * accepted_um / blur_um
    if blur_um > 1.05 * accepted_um:
        return (
            f"Diffraction softens the picture: {format_length(blur_um, 2)} of blur on the sensor, "
            f"{format_length(accepted_um, 2)} would be sharp. The sweet spot is about f/{best:.2g}."
        )
    if blur_um < 0.6 * accepted_um:
        return (
            f"Sharp with room to spare: closing down to about f/{best:.2g} saves slices and costs "
            f"no detail."
        )
    return "At the sweet spot: as few slices as full detail allows."


def _apertures(values: Values, rig: Rig) -> list[dict[str, Any]]:
    """Slices and sharpness at the usual stops, everything else as it is."""
    if rig.optics.na is not None:
        return []
    found = []
    for aperture in _APERTURES:
        exposure = {**values.get("exposure", {}), "aperture": aperture}
        try:
            plan = make_plan(parse_protocol(protocol_text({**values, "exposure": exposure})), rig)
        except MacrorailError:
            continue
        sharp = _diffraction_um(plan) <= 1.05 * plan.optics.coc_um
        found.append({"aperture": aperture, "slices": len(plan.slices), "sharp": sharp})
    return found


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in ("", None, {}, [])}
    return value
