"""The plan of a campaign: all stacks in their order, each with its own protocol."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from macrorail.campaign.positions import WrittenPosition, places_of
from macrorail.campaign.schema import CampaignSection, Variant, ViewSection
from macrorail.config.document import Document, Location, read_document
from macrorail.config.identity import IdentitySection
from macrorail.config.protocol import Protocol
from macrorail.config.stage import StagePosition
from macrorail.errors import ConfigError

_KEYS = ("campaign", "stack")
#: Sections whose keys are overridden one by one. Other values are replaced completely.
_MERGED = ("exposure", "optics", "proof")


@dataclass(frozen=True)
class StackTask:
    """One stack of a campaign: the position of a specimen, a view of it, and a variant of light.

    Attributes
    ----------
    key
        Name of the stack in the campaign's journal, such as ``A3`` or ``A3-dorsal-rim``.
    place
        Name of the position.
    specimen
        Contents of the protocol's ``specimen`` section; has an ``id`` if the campaign file gives
        one.
    where
        Position of the stage.
    view, variant
        Names of the view and the variant; empty if the campaign has none.
    lighting, switch
        The variant's light for the operator, and its shell command that switches the light.
    protocol
        Contents of the stack's protocol without ``specimen``; all values are texts.
    """

    key: str
    place: str
    specimen: dict[str, str]
    where: StagePosition
    view: str
    variant: str
    lighting: str
    switch: str
    protocol: dict[str, Any]

    @property
    def tail(self) -> str:
        """Part of the run folder's name after the specimen's id."""
        return "".join(f"-{part}" for part in (self.view, self.variant) if part)

    def protocol_with(self, specimen: Mapping[str, str]) -> dict[str, Any]:
        """Return the stack's protocol with ``specimen`` as its ``specimen`` section."""
        return {"specimen": {**self.specimen, **specimen}, **self.protocol}

    def to_dict(self) -> dict[str, Any]:
        """Return the stack as JSON values, for ``campaign.json``."""
        return {**vars(self), "where": self.where.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StackTask:
        """Return the stack for the JSON values that :meth:`to_dict` returned."""
        return cls(**{**data, "where": StagePosition(**data["where"])})


@dataclass(frozen=True)
class CampaignPlan:
    """The plan of a campaign.

    Attributes
    ----------
    id
        Id of the campaign.
    tasks
        The stacks in their order.
    settle_s, come_back, stop_after
        Settings of the campaign file; see ``CampaignSection``.
    identity
        The ``identity`` section with texts as values; ``None`` if the campaign has none.
    """

    id: str
    tasks: tuple[StackTask, ...]
    settle_s: float
    come_back: int
    stop_after: int
    identity: dict[str, Any] | None = None
    _by_key: dict[str, StackTask] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        self._by_key.update({task.key: task for task in self.tasks})

    def __getitem__(self, key: str) -> StackTask:
        return self._by_key[key]

    @property
    def identity_settings(self) -> IdentitySection | None:
        """The checked ``identity`` section; ``None`` if the campaign has none."""
        return None if self.identity is None else IdentitySection.model_validate(self.identity)

    @property
    def places(self) -> list[str]:
        """Names of the positions in their order."""
        return list(dict.fromkeys(task.place for task in self.tasks))

    @property
    def places_without_id(self) -> list[str]:
        """Names of the positions without an id; their specimens are identified when shot."""
        return list(dict.fromkeys(i.place for i in self.tasks if "id" not in i.specimen))

    def with_listing(self, name: str) -> CampaignPlan:
        """Return a copy of the plan in which ``name`` is the file name of the list of specimens."""
        return replace(self, identity={**(self.identity or {}), "list": name})

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values, for ``campaign.json``."""
        return {
            "id": self.id,
            "settle_s": self.settle_s,
            "come_back": self.come_back,
            "stop_after": self.stop_after,
            "identity": self.identity,
            "items": [task.to_dict() for task in self.tasks],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CampaignPlan:
        """Return the plan for the JSON values that :meth:`to_dict` returned."""
        return cls(
            data["id"],
            tuple(StackTask.from_dict(task) for task in data["items"]),
            data["settle_s"],
            data["come_back"],
            data["stop_after"],
            data["identity"],
        )


def is_campaign(path: Path) -> bool:
    """Return whether a YAML file is a campaign file rather than a protocol.

    Raises
    ------
    ConfigError
        The file cannot be read, or is not valid YAML.
    """
    return "campaign" in read_document(path).data


def load_campaign(path: Path) -> CampaignPlan:
    """Read a campaign file and return the plan of its stacks.

    Raises
    ------
    ConfigError
        The campaign file, the protocol that it names, or a CSV file cannot be read or is not valid.
    """
    document = read_document(path)
    for key in document.data:
        if key not in _KEYS:
            raise document.error(
                (key,), f"unknown key; allowed here: {', '.join(_KEYS)}", at_key=True
            )
    section = document.validate(CampaignSection, ("campaign",))
    stack, at = _stack(document)
    written: Any = document.data["campaign"]
    places = places_of(document, section)
    order = section.axis_order
    views, variants = section.views or (None,), section.variants or (None,)
    choices: dict[str, tuple[Any, ...]] = {
        "position": tuple(places),
        "view": tuple(views),
        "variant": tuple(enumerate(variants)),
    }
    tasks = []
    for combination in itertools.product(*(choices[axis] for axis in order)):
        chosen = dict(zip(order, combination, strict=True))
        number, variant = chosen["variant"]
        overrides = {} if variant is None else written["variants"][number].get("exposure", {})
        tasks.append(_task(chosen["position"], chosen["view"], variant, stack, at, overrides))
    campaign = CampaignPlan(
        section.id,
        tuple(tasks),
        section.settle_s,
        section.come_back,
        section.stop_after,
        written.get("identity"),
    )
    if campaign.places_without_id and section.identity is None:
        raise document.error(
            ("campaign", "stage_positions"),
            f"position(s) {_listed(campaign.places_without_id)} have no 'id', and there is no "
            f"'identity' section. Give an id for each position, or write 'identity: {{from: "
            f"prompt}}' (or list, scanner, frame) to identify the specimens during the campaign",
        )
    return campaign


def _stack(document: Document) -> tuple[Document, Location]:
    """Return the document that contains the protocol, and the protocol's location in it."""
    if "stack" not in document.data:
        raise document.error((), "stack: is missing: a protocol, or the name of a protocol's file")
    stack = document.data["stack"]
    if isinstance(stack, dict):
        return document, ("stack",)
    if not isinstance(stack, str):
        raise document.error(("stack",), "must be a protocol or the name of a protocol's file")
    return read_document(document.path.parent / stack), ()


def _task(
    place: WrittenPosition,
    view: ViewSection | None,
    variant: Variant | None,
    stack: Document,
    at: Location,
    exposure: Mapping[str, Any],
) -> StackTask:
    position = place.position
    protocol: dict[str, Any] = dict(stack.data if at == () else _at(stack, at))
    specimen = {
        name: value for name, value in dict(protocol.pop("specimen", {})).items() if name != "id"
    }
    protocol.pop("identity", None)
    specimen |= place.written.get("specimen", {})
    if view is not None:
        specimen["orientation"] = view.name
    if position.id is not None:
        specimen["id"] = position.id
    protocol = _merged(protocol, place.written.get("stack", {}))
    protocol = _merged(protocol, {"exposure": exposure} if exposure else {})
    try:
        stack.validate(Protocol, at, {"specimen": {"id": position.name, **specimen}, **protocol})
    except ConfigError as error:
        raise ConfigError(f"{error} (position {position.name})") from error
    names = [position.name]
    names += [part.name for part in (view, variant) if part is not None]
    return StackTask(
        key="-".join(names),
        place=position.name,
        specimen=specimen,
        where=StagePosition(position.x_um, position.y_um, None if view is None else view.turn_deg),
        view="" if view is None else view.name,
        variant="" if variant is None else variant.name,
        lighting=(variant and variant.lighting) or "",
        switch=(variant and variant.switch) or "",
        protocol=protocol,
    )


def _at(document: Document, location: Location) -> Any:
    data: Any = document.data
    for part in location:
        data = data[part]
    return data


def _merged(protocol: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(protocol)
    for key, value in overrides.items():
        if key in _MERGED and isinstance(merged.get(key), dict):
            merged[key] = {**merged[key], **value}
            continue
        merged[key] = value
        # Only one of these two keys may be given.
        for one, other in (("step", "overlap"), ("overlap", "step")):
            if key == one and other not in overrides:
                merged.pop(other, None)
    return merged


def _listed(names: list[str], most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
