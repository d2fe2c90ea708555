"""The bodies by their makers' names, and what speaks PTP for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sims.bodies.base import Body
from sims.bodies.canon import CanonBody, CanonResponder
from sims.bodies.nikon import NikonBody, NikonResponder
from sims.bodies.ptp import Responder

Maker = Literal["nikon", "canon"]

BODIES: Mapping[Maker, type[Body]] = {"nikon": NikonBody, "canon": CanonBody}


def make_responder(body: Body) -> Responder:
    """What speaks PTP for a body."""
    if isinstance(body, NikonBody):
        return NikonResponder(body)
    assert isinstance(body, CanonBody), f"nothing speaks for a {type(body).__name__}"
    return CanonResponder(body)
