"""Lists every key of a YAML file with its unit, range, default, example and description.

The list is made from the file's models, so the JSON Schemas and the reference pages always agree
with the keys that macrorail accepts. The descriptions come from the models' docstrings, where each
may end with ``Example: ``VALUE````, a value as YAML.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from macrorail.config.document import Section
from macrorail.quantity import Notation

_ATTRIBUTES = re.compile(r"Attributes\n-+\n(.*?)(?:\n\n|\Z)", re.DOTALL)
_ENTRY = re.compile(r"^(?P<names>\S.*)\n(?P<text>(?: .*\n?)+)", re.MULTILINE)
_ROLE = re.compile(r":\w+:`~?([^`]*)`")

Schema = dict[str, Any]
"""A JSON Schema, or a part of one."""


@dataclass(frozen=True)
class Shape:
    """The form of a value.

    Attributes
    ----------
    kind
        Kind of value as text: ``length``, ``whole number``, ``list (text)``, ``section`` ...
    schema
        JSON Schema of the value; sections are references into ``definitions``.
    notation
        Notation of a quantity, or of each quantity in a list; ``None`` for other values.
    sections
        Models of the sections in the value.
    """

    kind: str
    schema: Schema
    notation: Notation | None = None
    sections: tuple[type[Section], ...] = ()


@dataclass(frozen=True)
class Key:
    """One key of a section.

    Attributes
    ----------
    name
        Name of the key in the file.
    shape
        Form of the key's value.
    description
        Description of the key, in Markdown.
    units
        Units in which the value may be written; empty for a value without a unit.
    range
        Limits of the value as text; empty without limits.
    default
        Default as written in the file; ``required`` for a key that must be given, empty for a key
        without a default.
    example
        An example value with text at the leaves; ``None`` for a section, whose keys have examples.
    """

    name: str
    shape: Shape
    description: str
    units: tuple[str, ...]
    range: str
    default: str
    example: Any

    @property
    def required(self) -> bool:
        """Whether the file must contain the key."""
        return self.default == "required"


def keys_of(section: type[Section]) -> list[Key]:
    """Return the keys of a section, in the order of its model."""
    return [_key(section, name, info) for name, info in section.model_fields.items()]


def sections_of(section: type[Section]) -> list[type[Section]]:
    """Return a section and all sections within it, each once, outer sections first."""
    found = [section]
    for each in found:
        for key in keys_of(each):
            found += [inner for inner in key.shape.sections if inner not in found]
    return found


def summary_of(section: type[Section]) -> str:
    """Return the first paragraph of a section's docstring, in Markdown."""
    return _markdown((inspect.getdoc(section) or "").split("\n\n")[0])


def json_schema(title: str, root: Mapping[str, Any], sections: Iterable[type[Section]]) -> Schema:
    """Return the JSON Schema of a file (draft 7, which editors support).

    Parameters
    ----------
    title
        Name of the file type, such as ``macrorail rig``.
    root
        Schema of the file's outermost mapping.
    sections
        Models to define, together with the models of all sections within them.
    """
    wanted = dict.fromkeys(inner for each in sections for inner in sections_of(each))
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": title,
        **root,
        "definitions": {_definition(each): section_schema(each) for each in wanted},
    }


def section_schema(section: type[Section], *, complete: bool = True) -> Schema:
    """Return the JSON Schema of a section; if ``complete`` is false, no key is required."""
    keys = keys_of(section)
    required = [key.name for key in keys if key.required] if complete else []
    return {
        "description": summary_of(section),
        "type": "object",
        "properties": {key.name: _described(key) for key in keys},
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def reference_to(section: type[Section]) -> Schema:
    """Return a JSON Schema that consists of a reference to a section's definition."""
    return {"$ref": f"#/definitions/{_definition(section)}"}


def written(value: Any) -> str:
    """Return an example or default as one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _definition(section: type[Section]) -> str:
    return section.__qualname__.replace(".", "")


def _described(key: Key) -> Schema:
    notes = [key.range, f"default {key.default}" if key.default and not key.required else ""]
    more = "; ".join(note for note in notes if note)
    # A sibling of '$ref' would be ignored.
    shape = {"allOf": [key.shape.schema]} if "$ref" in key.shape.schema else key.shape.schema
    example = {} if key.example is None else {"examples": [key.example]}
    return {"description": key.description + (f" ({more})" if more else ""), **shape, **example}


def _key(section: type[Section], name: str, info: FieldInfo) -> Key:
    shape = _shape(info.annotation, info.metadata)
    for word in _shorthands(shape):
        shape = Shape(
            f"{shape.kind} or '{word}'",
            {"anyOf": [{"const": word}, shape.schema]},
            sections=shape.sections,
        )
    default = _default(info, shape)
    description, example = _descriptions(section).get(name, ("", ""))
    return Key(
        info.alias or name,
        shape,
        description,
        tuple(shape.notation.units) if shape.notation else (),
        _range(info, shape),
        default,
        _example(shape, default, example),
    )


def _shorthands(shape: Shape) -> tuple[str, ...]:
    if len(shape.sections) != 1 or shape.kind != "section":
        return ()
    return shape.sections[0].shorthands


def _descriptions(section: type[BaseModel]) -> dict[str, tuple[str, str]]:
    """Return each attribute's description and example from the docstrings of a model's classes."""
    found: dict[str, tuple[str, str]] = {}
    for base in reversed(section.__mro__):
        attributes = _ATTRIBUTES.search(inspect.cleandoc(base.__dict__.get("__doc__") or ""))
        for entry in _ENTRY.finditer(attributes[1] if attributes else ""):
            text, _, example = _markdown(entry["text"]).partition(" Example: ")
            for name in entry["names"].split(", "):
                found[name] = (text, example.strip("`"))
    return found


def _markdown(text: str) -> str:
    """Return a docstring's text in Markdown instead of reStructuredText."""
    return _ROLE.sub(r"`\1`", " ".join(text.split())).replace("``", "`")


def _shape(annotation: Any, metadata: Iterable[Any] = ()) -> Shape:
    metadata = list(metadata)
    while get_origin(annotation) is not None and hasattr(annotation, "__metadata__"):
        metadata += annotation.__metadata__
        annotation = get_args(annotation)[0]
    notation = next((each for each in metadata if isinstance(each, Notation)), None)
    if notation is not None and get_origin(annotation) is not tuple:
        return _quantity(notation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        (only,) = [each for each in arguments if each is not type(None)]
        return _shape(only, metadata)
    if origin is tuple:
        return _list(_shape(arguments[0]), metadata)
    if origin is dict:
        return Shape("map of text", {"type": "object", "additionalProperties": _TEXT})
    if origin is Literal:
        return Shape("one of", {"enum": list(arguments)})
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return Shape("section", reference_to(annotation), sections=(annotation,))
    return _plain(annotation, metadata)


#: Other YAML readers parse 100 as a number; macrorail keeps it as text.
_TEXT: Schema = {"type": ["string", "number"]}


def _plain(annotation: Any, metadata: Iterable[Any]) -> Shape:
    if annotation is bool:
        words = ["yes", "no", "on", "off", "true", "false"]
        return Shape("yes or no", {"anyOf": [{"type": "boolean"}, {"enum": words}]})
    if annotation in (int, float):
        kind = "whole number" if annotation is int else "number"
        limits = {
            _JSON_LIMITS[sign]: limit for sign, limit in _limits(metadata) if sign in _JSON_LIMITS
        }
        return Shape(kind, {"type": "integer" if annotation is int else "number", **limits})
    if annotation in (str, Path):
        return Shape("path" if annotation is Path else "text", dict(_TEXT))
    raise TypeError(f"the reference knows no {annotation}")


def _quantity(notation: Notation) -> Shape:
    schema: Schema = {"type": "string", "pattern": notation.pattern}
    if notation.words:
        schema = {"anyOf": [{"enum": list(notation.words)}, schema]}
    kind = " or ".join([notation.kind, *(f"'{word}'" for word in notation.words)])
    return Shape(kind, schema, notation)


def _list(item: Shape, metadata: Iterable[Any]) -> Shape:
    names = {"min_length": "minItems", "max_length": "maxItems"}
    limits = {
        name: getattr(each, limit)
        for each in metadata
        for limit, name in names.items()
        if getattr(each, limit, None) is not None
    }
    schema = {"type": "array", "items": item.schema, **limits}
    return Shape(f"list ({item.kind})", schema, item.notation, item.sections)


_JSON_LIMITS = {
    "above": "exclusiveMinimum",
    "at least": "minimum",
    "below": "exclusiveMaximum",
    "at most": "maximum",
}


def _limits(metadata: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for each in metadata:
        if isinstance(each, annotated_types.Gt):
            yield "above", each.gt
        elif isinstance(each, annotated_types.Ge):
            yield "at least", each.ge
        elif isinstance(each, annotated_types.Lt):
            yield "below", each.lt
        elif isinstance(each, annotated_types.Le):
            yield "at most", each.le


def _range(info: FieldInfo, shape: Shape) -> str:
    if shape.kind == "one of":
        return ", ".join(f"`{choice}`" for choice in shape.schema["enum"])
    write = shape.notation.write if shape.notation else lambda limit: f"{limit:g}"
    limits = [f"{sign} {write(limit)}" for sign, limit in _limits(info.metadata)]
    if shape.schema.get("type") == "array":
        limits += [
            f"{words} {shape.schema[name]} entries"
            for name, words in (("minItems", "at least"), ("maxItems", "at most"))
            if name in shape.schema
        ]
    return ", ".join(limits)


def _default(info: FieldInfo, shape: Shape) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is None or value is PydanticUndefined or isinstance(value, Section):
        return ""
    if not isinstance(value, bool | str | tuple | dict) and shape.notation is not None:
        return shape.notation.write(value)
    return "" if value in ("", (), {}) else written(value)


def _example(shape: Shape, default: str, given: str) -> Any:
    if given or default not in ("", "required"):
        # Text at the leaves, as macrorail itself reads YAML.
        value = yaml.load(given or default, Loader=yaml.BaseLoader)
    elif shape.kind == "one of":
        value = shape.schema["enum"][0]
    else:
        return None
    if shape.kind in ("number", "whole number"):
        return float(value) if "." in value else int(value)
    return value
