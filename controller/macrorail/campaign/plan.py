"""A campaign's work: every stack that it asks for, in its order, each a protocol of its own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from macrorail.campaign.positions import Place, places_of
from macrorail.campaign.schema import CampaignSection, Variant, ViewSection
from macrorail.config.document import Document, Location, read_document
from macrorail.config.identity import IdentitySection
from macrorail.config.protocol import Protocol
from macrorail.config.stage import StagePosition
from macrorail.errors import ConfigError

_KEYS = ("campaign", "stack")
#: Sections whose keys are overridden one by one; any other value is replaced as a whole.
_MERGED = ("exposure", "optics", "proof")


@dataclass(frozen=True)
class StackTask:
    """One stack: a position, a view of what lies there, a light.

    Attributes
    ----------
    key
        Names it in the campaign's journal: ``A3``, ``A3-dorsal-rim``.
    place
        The position's name.
    specimen
        For the protocol's ``specimen`` section; with an ``id`` when the campaign file gives one.
    where
        Where the stage has to be.
    view, variant
        Names; empty where the campaign has none.
    lighting, switch
        Of the variant.
    protocol
        Text at the leaves, as a protocol's file has it, without ``specimen``.
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
        """What follows the specimen's id in the name of its run folder."""
        return "".join(f"-{part}" for part in (self.view, self.variant) if part)

    def protocol_with(self, specimen: Mapping[str, str]) -> dict[str, Any]:
        """The protocol of a specimen that is known by now."""
        return {"specimen": {**self.specimen, **specimen}, **self.protocol}

    def to_dict(self) -> dict[str, Any]:
        """As ``campaign.json`` has it."""
        return {**vars(self), "where": self.where.to_dict()}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> StackTask:
        """The inverse of :meth:`to_dict`."""
        return cls(**{**told, "where": StagePosition(**told["where"])})


@dataclass(frozen=True)
class CampaignPlan:
    """Everything that a campaign is to do.

    Attributes
    ----------
    id
        Of the campaign.
    items
        In their order.
    settle_s, come_back, stop_after
        See ``CampaignSection``.
    identity
        The ``identity`` section as text, or ``None``.
    """

    id: str
    items: tuple[StackTask, ...]
    settle_s: float
    come_back: int
    stop_after: int
    identity: dict[str, Any] | None = None
    _by_key: dict[str, StackTask] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        self._by_key.update({item.key: item for item in self.items})

    def __getitem__(self, key: str) -> StackTask:
        return self._by_key[key]

    @property
    def identity_settings(self) -> IdentitySection | None:
        """The ``identity`` section, or ``None``."""
        return None if self.identity is None else IdentitySection.model_validate(self.identity)

    @property
    def places(self) -> list[str]:
        """The positions in their order, each once."""
        return list(dict.fromkeys(item.place for item in self.items))

    @property
    def places_without_id(self) -> list[str]:
        """Those whose specimen is not known before it lies under the lens."""
        return list(dict.fromkeys(i.place for i in self.items if "id" not in i.specimen))

    def with_listing(self, name: str) -> CampaignPlan:
        """The same with the list of specimens under another name."""
        return replace(self, identity={**(self.identity or {}), "list": name})

    def to_dict(self) -> dict[str, Any]:
        """As ``campaign.json`` has it."""
        return {
            "id": self.id,
            "settle_s": self.settle_s,
            "come_back": self.come_back,
            "stop_after": self.stop_after,
            "identity": self.identity,
            "items": [item.to_dict() for item in self.items],
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> CampaignPlan:
        """The inverse of :meth:`to_dict`."""
        items = tuple(StackTask.from_dict(item) for item in told["items"])
        return cls(**{**told, "items": items})


def is_campaign(path: Path) -> bool:
    """Whether a YAML file is a campaign's, not a protocol's.

    Raises
    ------
    ConfigError
        As :func:`macrorail.config.document.read_document`.
    """
    return "campaign" in read_document(path).data


def load_campaign(path: Path) -> CampaignPlan:
    """Read a campaign file and work out its stacks.

    Raises
    ------
    ConfigError
        As :func:`macrorail.config.document.load_document`, about the file itself, the protocol
        it names and its CSV files.
    """
    document = read_document(path)
    for key in document.data:
        if key not in _KEYS:
            raise document.error(
                (key,), f"unknown key; allowed here: {', '.join(_KEYS)}", at_key=True
            )
    campaign = document.validate(CampaignSection, ("campaign",))
    stack, at = _stack(document)
    written: Any = document.data["campaign"]
    places = places_of(document, campaign)
    order = campaign.axis_order
    views, variants = campaign.views or (None,), campaign.variants or (None,)
    choices: dict[str, tuple[Any, ...]] = {
        "position": tuple(places),
        "view": tuple(views),
        "variant": tuple(enumerate(variants)),
    }
    items = []
    for combination in itertools.product(*(choices[axis] for axis in order)):
        chosen = dict(zip(order, combination, strict=True))
        number, variant = chosen["variant"]
        overrides = {} if variant is None else written["variants"][number].get("exposure", {})
        items.append(_item(chosen["position"], chosen["view"], variant, stack, at, overrides))
    work = CampaignPlan(
        campaign.id,
        tuple(items),
        campaign.settle_s,
        campaign.come_back,
        campaign.stop_after,
        written.get("identity"),
    )
    if work.places_without_id and campaign.identity is None:
        raise document.error(
            ("campaign", "stage_positions"),
            f"position(s) {_listed(work.places_without_id)} have no 'id', and there is no "
            f"'identity' section to say where it comes from; give ids, or write 'identity: "
            f"{{from: prompt}}' (or list, scanner, frame)",
        )
    return work


def _stack(document: Document) -> tuple[Document, Location]:
    """The document that says what one stack is like, and where in it."""
    if "stack" not in document.data:
        raise document.error((), "stack: is missing: a protocol, or the name of a protocol's file")
    stack = document.data["stack"]
    if isinstance(stack, dict):
        return document, ("stack",)
    if not isinstance(stack, str):
        raise document.error(("stack",), "must be a protocol or the name of a protocol's file")
    return read_document(document.path.parent / stack), ()


def _item(
    place: Place,
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
        # They exclude each other.
        for one, other in (("step", "overlap"), ("overlap", "step")):
            if key == one and other not in overrides:
                merged.pop(other, None)
    return merged


def _listed(names: list[str], most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
