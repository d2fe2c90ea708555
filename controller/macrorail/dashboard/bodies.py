"""What the page may send: anything else is refused before it is looked at."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from macrorail.dashboard.restack import Alignment, Quality, Reference


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Text(Body):
    text: str = Field(max_length=200_000)


class Values(Body):
    protocol: dict[str, Any]


class Save(Values):
    name: str = Field(max_length=80)
    replace: bool = False


class Command(Body):
    do: Literal["pause", "resume", "stop"]


class Move(Body):
    to_um: float = Field(allow_inf_nan=False)


class Restack(Body):
    quality: Quality = "best"
    reference: Reference = "middle"
    align: Alignment = "run"


class Sitting(Body):
    do: Literal["take", "leave"]
