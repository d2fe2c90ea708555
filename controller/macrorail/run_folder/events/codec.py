"""Converts journal lines to typed events and back; only this module knows the keys on disk.

The format on disk never changes. Where the name of a field differs from its key on disk, ``KEYS``
gives the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar

#: Keys on disk that differ from the name of their field: by kind of line, then by field name.
KEYS: Mapping[str, Mapping[str, str]] = {
    "started": {"slice_count": "slices"},
    "resumed": {"slice_count": "slices"},
    "search_began": {"method": "by"},
    "planned": {"targets": "slices"},
    "aligned": {"slice": "number"},
    "bracketed": {"stem": "frame", "frame": "exposure"},
    "identified": {"why_unidentified": "quarantined"},
    "shooting": {"stack": "item", "specimen_id": "specimen"},
    "shot": {"stack": "item", "completed": "well"},
    "failed": {"stack": "item"},
    "put_off": {"stack": "item"},
    "set_aside": {"stack": "item"},
    "quarantined": {"stack": "item"},
    "trouble": {"part": "device"},
    "staged": {"stack": "item"},
    "lit": {"stack": "item", "command": "switch"},
    "aligned_as": {"stack": "item"},
}


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base class of all events; there is one subclass for each kind of line.

    Attributes
    ----------
    kind
        The kind of line, as the journal writes it.
    extra
        Keys and values of the line that this version of macrorail does not know.
    lacking
        Names of the fields that the line does not have, because an earlier version wrote it.
    """

    kind: ClassVar[str] = ""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    lacking: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    def __init_subclass__(cls, kind: str = "") -> None:
        cls.kind = kind
        if kind:
            _CLASSES.setdefault(kind, []).append(cls)


@dataclass(frozen=True, kw_only=True)
class UnknownEvent(Event):
    """A line of a kind that this version of macrorail does not know.

    Attributes
    ----------
    name
        The kind of the line.
    values
        All keys and JSON values of the line, in the order on disk.
    """

    name: str
    values: Mapping[str, Any]


#: Event classes by kind of line; a kind whose lines can have two sets of keys has two classes.
_CLASSES: dict[str, list[type[Event]]] = {}
_OF_ALL = {"extra", "lacking"}
_LAYOUTS: dict[type[Event], tuple[tuple[Field[Any], str], ...]] = {}


def absent() -> Any:
    """Return a dataclass field whose key is left out of the line while its value is ``None``."""
    return field(default=None, metadata={"absent": True})


def spread() -> Any:
    """Return a dataclass field for a mapping that is written as top-level keys of the line."""
    return field(metadata={"spread": True})


def kind_of(event: Event) -> str:
    """Return the kind of an event's line, as the journal writes it."""
    return event.name if isinstance(event, UnknownEvent) else event.kind


def known_kinds() -> frozenset[str]:
    """Return every kind of line that has an event type."""
    return frozenset(_CLASSES)


def values_of(event: Event) -> dict[str, Any]:
    """Return an event's keys and JSON values, named and ordered as on disk."""
    if isinstance(event, UnknownEvent):
        return dict(event.values)
    values: dict[str, Any] = {}
    for one, key in _layout(type(event)):
        value = getattr(event, one.name)
        if one.name in event.lacking:
            continue
        if one.metadata.get("spread"):
            values |= value
        elif value is not None or not one.metadata.get("absent"):
            values[key] = value
    return {**values, **event.extra}


def event_of(kind: str, values: Mapping[str, Any]) -> Event:
    """Build the event of a journal line.

    Parameters
    ----------
    kind
        Kind of the line.
    values
        Keys and JSON values of the line, as on disk.

    Raises
    ------
    ValueError
        A line of a known kind lacks a key; the message names the kind and the key.
    """
    lacking = ""
    for cls in _CLASSES.get(kind, ()):
        missing = [key for one, key in _layout(cls) if _is_needed(one) and key not in values]
        if not missing:
            return _build(cls, dict(values))
        lacking = f"a line '{kind}' lacks '{missing[0]}'"
    if lacking:
        raise ValueError(lacking)
    return UnknownEvent(name=kind, values=dict(values))


def _build(cls: type[Event], values: dict[str, Any]) -> Event:
    arguments: dict[str, Any] = {}
    lacking: set[str] = set()
    rest = "extra"
    for one, key in _layout(cls):
        if one.metadata.get("spread"):
            rest = one.name
        elif key in values:
            arguments[one.name] = values.pop(key)
        else:
            lacking.add(one.name)
    return cls(**arguments, lacking=frozenset(lacking), **{rest: values})


def _layout(cls: type[Event]) -> tuple[tuple[Field[Any], str], ...]:
    """Return an event type's own fields in their order, each with its key on disk."""
    if cls not in _LAYOUTS:
        keys = KEYS.get(cls.kind, {})
        own = (one for one in fields(cls) if one.name not in _OF_ALL)
        _LAYOUTS[cls] = tuple((one, keys.get(one.name, one.name)) for one in own)
    return _LAYOUTS[cls]


def _is_needed(one: Field[Any]) -> bool:
    return (
        one.default is MISSING and one.default_factory is MISSING and not one.metadata.get("spread")
    )
