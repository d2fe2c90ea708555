"""The simulated bodies by maker, and the PTP responder for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from macrorail_sims.bodies.base import BodyWorld, CameraBody
from macrorail_sims.bodies.canon import CanonBody, CanonResponder
from macrorail_sims.bodies.fuji import FujiBody, FujiResponder
from macrorail_sims.bodies.lens import SimulatedLens
from macrorail_sims.bodies.nikon import NikonBody, NikonResponder
from macrorail_sims.bodies.ptp import Responder
from macrorail_sims.bodies.sony import SonyBody, SonyResponder

Maker = Literal["nikon", "canon", "fuji", "sony"]

BODIES: Mapping[Maker, type[CameraBody]] = {
    "nikon": NikonBody,
    "canon": CanonBody,
    "fuji": FujiBody,
    "sony": SonyBody,
}


def make_body(
    maker: Maker,
    world: BodyWorld,
    lens: SimulatedLens | None = None,
    set_by_hand: Mapping[str, str] | None = None,
) -> CameraBody:
    """Return a camera body of a maker, with some of its settings already made.

    Parameters
    ----------
    maker
        Maker of the body.
    world
        Clock and scene of the simulated world.
    lens
        Lens that the body drives; ``None`` when a lens without motor is mounted.
    set_by_hand
        Label of the value for each setting to be made, by the setting's canonical name.

    Raises
    ------
    KeyError
        The body does not have one of the settings, or a setting does not offer the value.
    """
    body = BODIES[maker](world, lens=lens)
    for name, label in (set_by_hand or {}).items():
        setting = body.settings[name]
        body.set(name, setting.choices[label])
    return body


def make_responder(body: CameraBody) -> Responder:
    """Return the PTP responder for a body."""
    if isinstance(body, NikonBody):
        return NikonResponder(body)
    if isinstance(body, FujiBody):
        return FujiResponder(body)
    if isinstance(body, SonyBody):
        return SonyResponder(body)
    assert isinstance(body, CanonBody), f"there is no responder for a {type(body).__name__}"
    return CanonResponder(body)
