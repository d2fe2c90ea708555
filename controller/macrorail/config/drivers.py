"""Finds the driver that a rig names, by its short name or as ``package.module:Class``.

Short names are entry points, one group for each kind of device, so an installed package can add
drivers without a change here.
"""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from macrorail.errors import ConfigError

GROUPS = {
    "camera": "macrorail.cameras",
    "axis": "macrorail.axes",
    "stage": "macrorail.stages",
    "bench": "macrorail.benches",
}
"""Entry-point group of each section of a rig that names a driver."""

# Names used in rigs before drivers had short names; old run folders contain copies of such rigs.
_FORMER_NAMES = {
    "controller.drivers.gphoto:GphotoCamera": "gphoto",
    "controller.drivers.rail_triggered:RailTriggeredCamera": "cable",
    "controller.drivers.rail:SerialRail": "rail",
    "controller.drivers.grbl:GrblRail": "grbl",
    "controller.drivers.grbl_stage:GrblStage": "grbl",
    "controller.drivers.lens:LensAxis": "lens",
    "sims.bench:SimulatedBench": "simulated",
    "sims.virtual:VirtualBench": "virtual",
    "sims.camera:InProcessCamera": "virtual",
}


def driver_names(section: str) -> list[str]:
    """Return the sorted short names of the installed drivers for a section of a rig."""
    return sorted(entry_points(group=GROUPS[section]).names)


def import_driver(section: str, name: str) -> type[Any]:
    """Import and return the driver class that a section of a rig names.

    Parameters
    ----------
    section
        ``camera``, ``axis``, ``stage`` or ``bench``.
    name
        A short name such as ``rail``, or an import string ``package.module:Class``.

    Raises
    ------
    ConfigError
        The driver is unknown, cannot be imported or is not a class. The message does not name the
        line of the rig file.
    """
    name = _FORMER_NAMES.get(name, name)
    if ":" in name:
        return _class_at(name)
    installed: dict[str, EntryPoint] = {
        entry.name: entry for entry in entry_points(group=GROUPS[section])
    }
    if name in installed:
        return _class_at(installed[name].value)
    near = get_close_matches(name, installed, n=1)
    advice = f"did you mean '{near[0]}'? " if near else ""
    raise ConfigError(
        f"there is no {section} driver '{name}'; {advice}Installed: "
        f"{', '.join(sorted(installed)) or 'none'}. Name a driver of your own as "
        f"'package.module:Class'"
    )


def _class_at(name: str) -> type[Any]:
    module_name, _, class_name = name.partition(":")
    if not (module_name and class_name):
        raise ConfigError(f"'{name}' is not an import string; write it as 'package.module:Class'")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"cannot import '{module_name}': {error}") from error
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        raise ConfigError(f"module '{module_name}' has no class '{class_name}'")
    return found
