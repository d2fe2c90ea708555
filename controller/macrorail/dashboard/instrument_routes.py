"""Routes for setting up a run with the instrument: connect, move, test shots, live view."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from macrorail.dashboard.operator_routes import refuse_during_runs
from macrorail.dashboard.page_state import PageState
from macrorail.dashboard.pictures import WIDTHS, NoPicture
from macrorail.dashboard.plan_preview import parse_protocol, protocol_text
from macrorail.dashboard.request_models import MoveRequest, ProtocolRequest
from macrorail.dashboard.run_routes import scaled, viewer_of


def instrument_routes(page: PageState) -> APIRouter:
    """Return the routes for the instrument, which is controlled by a separate process."""
    router = APIRouter(prefix="/api/instrument")
    held = page.instrument

    @router.post("/connect")
    async def connect(request: Request) -> dict[str, Any]:
        page.lock.require(viewer_of(request))
        async with page.handover:
            refuse_during_runs(page)
            return await held.connect()

    @router.post("/disconnect")
    async def disconnect(request: Request) -> dict[str, Any]:
        page.lock.require(viewer_of(request))
        await held.disconnect()
        return {}

    @router.post("/home")
    async def home(request: Request) -> dict[str, Any]:
        page.lock.require(viewer_of(request))
        return await held.home()

    @router.post("/move")
    async def move(request: Request, body: MoveRequest) -> dict[str, Any]:
        page.lock.require(viewer_of(request))
        return await held.move(body.to_um)

    @router.post("/shoot")
    async def shoot(request: Request, body: ProtocolRequest) -> dict[str, Any]:
        page.lock.require(viewer_of(request))
        settings = parse_protocol(protocol_text(body.protocol)).camera_settings
        return await held.shoot(settings)

    @router.post("/configure")
    async def configure(request: Request, body: ProtocolRequest) -> dict[str, Any]:
        page.lock.require(viewer_of(request))
        settings = parse_protocol(protocol_text(body.protocol)).camera_settings
        return await held.configure(settings)

    @router.post("/stop")
    async def stop() -> dict[str, Any]:
        """Stop the axis at once; every viewer may do this."""
        await held.stop()
        return {"done": "stop"}

    @router.get("/picture.jpg")
    def picture() -> Response:
        return scaled(page, held.picture(), WIDTHS[-1])

    @router.get("/detail.jpg")
    def detail(
        x: Annotated[float, Query(ge=0, le=1, allow_inf_nan=False)],
        y: Annotated[float, Query(ge=0, le=1, allow_inf_nan=False)],
    ) -> Response:
        """Return part of the last test shot at full resolution.

        ``x`` and ``y`` are the centre as fractions of the picture's width and height.
        """
        path = held.picture()
        if path is None:
            raise NoPicture("there is no test shot yet")
        return Response(page.pictures.detail(path, x, y), media_type="image/jpeg")

    @router.get("/live.jpg")
    async def live(after: Annotated[int, Query(ge=0)] = 0) -> Response:
        """Return the newest frame of live view if its number is above ``after``."""
        found = await held.live_frame(after)
        if found is None:
            return Response(status_code=204)
        number, frame = found
        return Response(frame, media_type="image/jpeg", headers={"x-frame": str(number)})

    return router
