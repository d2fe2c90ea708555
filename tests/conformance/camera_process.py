"""A simulated body behind PTP/IP for the conformance suite; told what to do on standard input."""

from __future__ import annotations

import json
import sys
from typing import Any

import cv2
import numpy as np

from macrorail.clock import Clock, WorldClock
from macrorail_sims.bodies.base import CameraBody
from macrorail_sims.bodies.exposure import SimulatedExposure
from macrorail_sims.bodies.faults import Action, Fault, Reason
from macrorail_sims.bodies.lens import SimulatedLens
from macrorail_sims.bodies.makers import BODIES, Maker, make_responder
from macrorail_sims.ptpip import PtpIpServer

TIME_SCALE = 8.0


class NumberedWorld:
    """A world in which every picture shows the number of its exposure."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def render(self, light: SimulatedExposure) -> bytes:
        picture = np.zeros((200, 300, 3), np.uint8)
        cv2.putText(picture, str(light.number), (10, 150), 0, 4, (255, 255, 255), 5)
        return bytes(cv2.imencode(".jpg", picture)[1])


def make_body(
    clock: Clock, maker: Maker = "nikon", with_lens: bool = True, **body: Any
) -> CameraBody:
    """A body with its own lens, or with another optic."""
    lens = SimulatedLens() if with_lens else None
    return BODIES[maker](NumberedWorld(clock), lens=lens, **body)


def facts(body: CameraBody) -> dict[str, Any]:
    """What is true of a body."""
    files = list(body.files.values())
    return {
        "exposures": body.exposures,
        "card": sorted(file.name for file in files if file.on_card),
        "memory": sorted(file.name for file in files if not file.on_card),
        "glass_steps": body.lens.glass_steps if body.lens else None,
        "plane_um": body.lens.state.plane_um if body.lens else None,
        "live_view": body.live_view,
        "settings": {name: setting.label for name, setting in body.settings.items()},
    }


def main() -> None:
    """Answer JSON lines until standard input ends."""
    body: CameraBody | None = None
    server: PtpIpServer | None = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        match request.pop("do"):
            case "make":
                clock = WorldClock(request.pop("time_scale", TIME_SCALE))
                body = make_body(clock, **request)
                server = PtpIpServer(make_responder(body)).start()
                answer = {"address": server.address, "epoch_s": clock.epoch_s}
            case "fault" if body is not None:
                action, reason = Action[request.pop("action")], Reason[request.pop("reason")]
                body.faults.add(Fault(action=action, reason=reason, **request))
            case "battery" if body is not None:
                body.battery_percent = request["percent"]
            case "set_body" if body is not None:
                for name, value in request.items():
                    setattr(body, name, value)
            case "clear_faults" if body is not None:
                body.faults.clear()
            case "facts" if body is not None:
                answer = facts(body)
            case "address" if server is not None:
                answer = {"address": server.address}
            case "unplug" if server is not None:
                server.unplug()
            case "unmake" if server is not None:
                server.stop()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
