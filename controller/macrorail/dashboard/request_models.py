"""Models of the requests that the page may send; all other requests are refused."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from macrorail.dashboard.restack import Alignment, Quality, Reference


class RequestModel(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TextRequest(RequestModel):
    text: str = Field(max_length=200_000)


class ProtocolRequest(RequestModel):
    protocol: dict[str, Any]


class SaveRequest(ProtocolRequest):
    name: str = Field(max_length=80)
    replace: bool = False


class CommandRequest(RequestModel):
    do: Literal["pause", "resume", "stop"]


class MoveRequest(RequestModel):
    to_um: float = Field(allow_inf_nan=False)


class RestackRequest(RequestModel):
    quality: Quality = "best"
    reference: Reference = "middle"
    align: Alignment = "run"


class OperatorRequest(RequestModel):
    do: Literal["take", "release"]
