"""JSON Schemas of protocol, rig and lens files, for editors that complete and check YAML."""

from __future__ import annotations

from macrorail.config.drivers import driver_names, import_driver
from macrorail.config.lens_file import LensFile
from macrorail.config.protocol import Protocol
from macrorail.config.reference import (
    Schema,
    json_schema,
    keys_of,
    reference_to,
    section_schema,
)
from macrorail.config.rig import DRIVEN, Rig


def protocol_schema() -> Schema:
    """Return the JSON Schema of a protocol."""
    return json_schema("macrorail protocol", section_schema(Protocol), [Protocol])


def lens_schema() -> Schema:
    """Return the JSON Schema of a lens file."""
    return json_schema("macrorail lens file", section_schema(LensFile), [LensFile])


def rig_schema() -> Schema:
    """Return the JSON Schema of a rig, with the sections of all installed drivers.

    The schema does not check a section whose driver is named as ``package.module:Class``; macrorail
    checks such a section when it loads the rig.

    Raises
    ------
    ConfigError
        An installed driver cannot be imported.
    """
    root = section_schema(Rig)
    options = []
    for name in DRIVEN:
        cases = []
        for driver in driver_names(name):
            found = import_driver(name, driver).Options
            options.append(found)
            cases.append(
                {
                    "if": {"properties": {"driver": {"const": driver}}, "required": ["driver"]},
                    "then": reference_to(found),
                }
            )
        root["properties"][name] = {
            "description": root["properties"][name]["description"],
            "type": "object",
            "properties": {
                "driver": {"anyOf": [{"enum": driver_names(name)}, {"pattern": ":"}]},
            },
            "required": ["driver"],
            "allOf": cases,
        }
    others = [section for key in keys_of(Rig) for section in key.shape.sections]
    options += [section for section in others if section not in DRIVEN.values()]
    return json_schema("macrorail rig", root, options)
