"""Strict YAML: every error names file, line and column, and nothing is guessed.

Scalars stay text (``1:30``, ``on`` and ``1e3`` are kept as written) until the model's types parse
them. These are refused: duplicate and unknown keys, empty values, anchors and aliases, tags,
several documents in a file, files above 1 MB, and nesting deeper than 20 levels.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from macrorail.errors import ConfigError

LARGEST_FILE_BYTES = 1_000_000
DEEPEST_NESTING = 20

LineColumn = tuple[int, int]
Location = tuple[str | int, ...]
Value = str | list["Value"] | dict[str, "Value"]
AnyModel = TypeVar("AnyModel", bound=BaseModel)


class Section(BaseModel):
    """Base of every part of a YAML file: frozen, no unknown keys, no NaN.

    A field whose attribute carries a unit (``step_um``) has the YAML key as its alias (``step``).
    The reference pages and the JSON Schemas take the descriptions of the keys from the
    ``Attributes`` part of the docstring (``config/reference.py``).
    """

    shorthands: ClassVar[tuple[str, ...]] = ()
    """Words that are allowed in place of the complete section."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
    )


def key_error(key: str, message: str) -> PydanticCustomError:
    """Return an error about one ``key`` of a section, to be raised in the section's validator."""
    # Passed as a value, so that braces in the text are not taken as placeholders.
    return PydanticCustomError("key", "{message}", {"key": key, "message": message})


@dataclass(frozen=True)
class Document:
    """A YAML file as text values, with the position of each value in the file.

    Attributes
    ----------
    path
        Path of the file.
    data
        Content of the file: nested dicts and lists with text at the leaves.
    values, keys
        Line and column of each value and of each key, by location; both count from 1.
    """

    path: Path
    data: dict[str, Value]
    values: Mapping[Location, LineColumn]
    keys: Mapping[Location, LineColumn]

    def error(self, location: Location, message: str, at_key: bool = False) -> ConfigError:
        """Return an error about ``location``; its text is ``file:line:column: key: message``."""
        return ConfigError(self._line(location, message, at_key))

    def validate(
        self,
        model: type[AnyModel],
        location: Location = (),
        data: Mapping[str, object] | None = None,
    ) -> AnyModel:
        """Validate the part of the document at ``location`` as a ``model``.

        Parameters
        ----------
        data
            Data to validate in place of that part, when some of the part is validated already.

        Raises
        ------
        ConfigError
            The data does not fit the model. The message has one line for each error, in the order
            of the file.
        """
        try:
            return model.model_validate(
                self._at(location) if data is None else data, by_alias=True, by_name=False
            )
        except ValidationError as error:
            found = [self._explain(model, location, details) for details in error.errors()]
        lines = [line for _, line in sorted(found, key=lambda entry: entry[0])]
        raise ConfigError("\n".join(lines))

    def _at(self, location: Location) -> Any:
        data: Any = self.data
        for part in location:
            data = data[part]
        return data

    def _line(self, location: Location, message: str, at_key: bool) -> str:
        line, column = self._where(location, at_key)
        name = _dotted(location)
        return f"{self.path}:{line}:{column}: {name + ': ' if name else ''}{message}"

    def _where(self, location: Location, at_key: bool) -> LineColumn:
        if at_key and location in self.keys:
            return self.keys[location]
        while location not in self.values:
            location = location[:-1]
        return self.values[location]

    def _explain(
        self, model: type[BaseModel], base: Location, details: ErrorDetails
    ) -> tuple[LineColumn, str]:
        location = base + tuple(details["loc"])
        kind = details["type"]
        if kind == "key":
            location += (details["ctx"]["key"],)
        message, at_key = _message(model, details, self._written(location)), False
        if kind == "extra_forbidden":
            at_key = True
        return self._where(location, at_key), self._line(location, message, at_key)

    def _written(self, location: Location) -> str:
        try:
            written = self._at(location)
        except (KeyError, IndexError, TypeError):  # the value is missing
            return ""
        if isinstance(written, str):
            return f"'{written}'"
        return "a mapping" if isinstance(written, dict) else "a list"


def load_document(path: Path, model: type[AnyModel]) -> AnyModel:
    """Read a YAML file as a ``model``.

    Raises
    ------
    ConfigError
        The file cannot be read, is not strict YAML, or does not fit the model.
    """
    return read_document(path).validate(model)


def read_document(path: Path) -> Document:
    """Read a YAML file as text values with their positions.

    Raises
    ------
    ConfigError
        The file cannot be read or is not strict YAML.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # a path with a null character
        raise ConfigError(f"{str(path)!r} cannot be read: {error}") from error
    if len(raw) > LARGEST_FILE_BYTES:
        raise ConfigError(
            f"{path}: is larger than {LARGEST_FILE_BYTES / 1e6:g} MB, too large for a file that "
            f"macrorail reads"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise ConfigError(f"{path}:{line}:{column}: is not UTF-8 text; save it as UTF-8") from error
    reader = _Reader(path, yaml.parse(text, Loader=yaml.SafeLoader))
    try:
        data = reader.read()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(path, error) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        raise ConfigError(
            f"{path}:{line}:{column}: contains a control character that YAML does not allow"
        ) from error
    return Document(path, data, reader.values, reader.keys)


@dataclass
class _Reader:
    """Builds values and positions from YAML events in one pass."""

    path: Path
    events: Iterator[yaml.Event]
    values: dict[Location, LineColumn] = field(default_factory=dict)
    keys: dict[Location, LineColumn] = field(default_factory=dict)

    def read(self) -> dict[str, Value]:
        next(self.events)  # the stream's start
        first = next(self.events)
        if isinstance(first, yaml.StreamEndEvent):
            raise ConfigError(f"{self.path}:1:1: is empty")
        root = next(self.events)
        if not isinstance(root, yaml.MappingStartEvent):
            raise self._error(root, "must be a mapping (lines of 'key: value')")
        data = self._mapping(root, ())
        next(self.events)  # the document's end
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._error(after, "a second document starts here; one file holds one document")
        return data

    def _value(self, event: yaml.Event, location: Location) -> Value:
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(event, location)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(event, location)
        return self._scalar(event, location)

    def _mapping(self, start: yaml.Event, location: Location) -> dict[str, Value]:
        self._accept(start, location)
        data: dict[str, Value] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error(event, "a key must be plain text", location)
            self._refuse_extras(event, location)
            key = event.value
            here = (*location, key)
            if key in data:
                line, column = self.keys[here]
                raise self._error(event, f"is given twice; the first is at {line}:{column}", here)
            self.keys[here] = _where(event)
            data[key] = self._value(next(self.events), here)
        return data

    def _sequence(self, start: yaml.Event, location: Location) -> list[Value]:
        self._accept(start, location)
        data: list[Value] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            data.append(self._value(event, (*location, len(data))))
        return data

    def _scalar(self, event: yaml.Event, location: Location) -> str:
        self._accept(event, location)
        assert isinstance(event, yaml.ScalarEvent)
        if event.value == "" and event.style is None:
            raise self._error(event, "has no value; write a value or remove the key", location)
        text: str = event.value
        return text

    def _accept(self, event: yaml.Event, location: Location) -> None:
        self._refuse_extras(event, location)
        if len(location) > DEEPEST_NESTING:
            raise self._error(
                event, f"is nested deeper than {DEEPEST_NESTING} levels", location[:2]
            )
        self.values[location] = _where(event)

    def _refuse_extras(self, event: yaml.Event, location: Location) -> None:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise self._error(
                event,
                "YAML anchors (&) and aliases (*) are not allowed; write the value out",
                location,
            )
        if getattr(event, "tag", None) is not None:
            raise self._error(
                event, "YAML tags (!) are not allowed; write the plain value", location
            )

    def _error(self, event: yaml.Event, message: str, location: Location = ()) -> ConfigError:
        line, column = _where(event)
        name = _dotted(location)
        return ConfigError(f"{self.path}:{line}:{column}: {name + ': ' if name else ''}{message}")


def _where(event: yaml.Event) -> LineColumn:
    mark = event.start_mark
    assert mark is not None  # every event of the parser has a mark
    return mark.line + 1, mark.column + 1


def _dotted(location: Location) -> str:
    name = ""
    for part in location:
        # Messages count list entries from 1.
        name += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if name else part
    return name


def _syntax_error(path: Path, error: yaml.MarkedYAMLError) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    where = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
    context = f" {error.context}" if error.context else ""
    hint = ""
    if "'\\t'" in (error.problem or ""):
        hint = "; indent with spaces, not tabs"
    elif "mapping values are not allowed" in (error.problem or ""):
        hint = "; check that the lines are indented equally and that text containing ': ' is quoted"
    return ConfigError(f"{path}{where}: is not valid YAML: {error.problem}{context}{hint}")


def _message(model: type[BaseModel], details: ErrorDetails, written: str) -> str:
    """Return the message for a pydantic error: what is wrong and what to write instead."""
    context = details.get("ctx", {})
    match details["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return _unknown_key(model, details["loc"])
        case "key":
            return str(context["message"])
        case "value_error":
            return str(context["error"])
        case "int_parsing" | "int_type" | "int_from_float":
            return f"must be a whole number, got {written}"
        case "float_parsing" | "float_type":
            return f"must be a number, got {written}"
        case "bool_parsing" | "bool_type":
            return f"must be yes or no, got {written}"
        case "greater_than":
            return f"must be above {context['gt']:g}, got {written}"
        case "greater_than_equal":
            return f"must be at least {context['ge']:g}, got {written}"
        case "less_than":
            return f"must be below {context['lt']:g}, got {written}"
        case "less_than_equal":
            return f"must be at most {context['le']:g}, got {written}"
        case "string_type":
            return f"must be plain text, got {written}"
        case "model_type" | "dict_type":
            return f"must be a mapping (lines of 'key: value'), got {written}"
        case "list_type" | "tuple_type":
            return f"must be a list ('- value' lines or [a, b]), got {written}"
        case "literal_error":
            return f"must be {context['expected']}, got {written}"
        case _:
            return f"{details['msg']}, got {written}"


def _unknown_key(model: type[BaseModel], location: Location) -> str:
    allowed = _allowed_keys(model, location[:-1])
    close = difflib.get_close_matches(str(location[-1]), allowed, n=1)
    guess = f"did you mean '{close[0]}'? " if close else ""
    return f"unknown key; {guess}allowed here: {', '.join(allowed)}"


def _allowed_keys(model: type[BaseModel], location: Location) -> list[str]:
    for part in location:
        for name, info in model.model_fields.items():
            if part in (name, info.alias):
                model = next(_models_in(info.annotation), model)
    return [info.alias or name for name, info in model.model_fields.items()]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the pydantic models named in an annotation, such as ``tuple[Model, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
