"""Routes through which the operator plans, edits protocols, controls runs and restacks."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from macrorail.dashboard.commands import RunCommandRefused, send_command
from macrorail.dashboard.page_state import PageState
from macrorail.dashboard.plan_preview import (
    parse_protocol,
    preview,
    protocol_text,
    protocol_values,
)
from macrorail.dashboard.request_models import (
    CommandRequest,
    OperatorRequest,
    ProtocolRequest,
    RestackRequest,
    SaveRequest,
    TextRequest,
)
from macrorail.dashboard.run_routes import viewer_of


def planning_routes(page: PageState) -> APIRouter:
    """Return the routes for plans and protocols."""
    router = APIRouter(prefix="/api")

    @router.post("/plan")
    def plan(body: ProtocolRequest) -> dict[str, Any]:
        return preview(body.protocol, page.rig, page.runs.folder)

    @router.post("/protocols/read")
    def parse(body: TextRequest) -> dict[str, Any]:
        return {"protocol": protocol_values(body.text)}

    @router.get("/protocols")
    def names() -> list[str]:
        return page.protocols.names()

    @router.get("/protocols/{name}")
    def read_one(name: str) -> dict[str, Any]:
        return {"protocol": protocol_values(page.protocols.read(name))}

    @router.post("/protocols")
    def save(request: Request, body: SaveRequest) -> dict[str, Any]:
        page.lock.require(viewer_of(request))
        text = protocol_text(body.protocol)
        parse_protocol(text)
        page.protocols.save(body.name, text, body.replace)
        return {"name": body.name}

    return router


def command_routes(page: PageState) -> APIRouter:
    """Return the routes for the operator's commands; every viewer may stop a run."""
    router = APIRouter(prefix="/api")

    @router.post("/operator")
    async def operator(request: Request, body: OperatorRequest) -> dict[str, Any]:
        viewer = viewer_of(request)
        (page.lock.take if body.do == "take" else page.lock.release)(viewer)
        return page.status_for(viewer)

    @router.post("/runs")
    async def start(request: Request, body: ProtocolRequest) -> dict[str, Any]:
        page.lock.require(viewer_of(request))
        text = protocol_text(body.protocol)
        async with page.handover:
            refuse_during_runs(page)
            await page.instrument.disconnect()
            return {"run": await page.launcher.run(text)}

    @router.post("/runs/{run}/resume")
    async def resume(request: Request, run: str) -> dict[str, Any]:
        """Continue an interrupted run."""
        page.lock.require(viewer_of(request))
        async with page.handover:
            refuse_during_runs(page)
            await page.instrument.disconnect()
            await page.launcher.resume(page.runs.find(run))
        return {"run": run}

    @router.post("/runs/{run}/stack")
    async def stack(request: Request, run: str, body: RestackRequest) -> dict[str, Any]:
        """Restack a finished run; refused while a run is in progress."""
        page.lock.require(viewer_of(request))
        async with page.handover:
            refuse_during_runs(page)
            folder = page.runs.find(run)
            return {"name": page.restacker.start(folder, body.quality, body.reference, body.align)}

    @router.post("/runs/{run}/command")
    def send(request: Request, run: str, body: CommandRequest) -> dict[str, Any]:
        page.lock.require(viewer_of(request))
        send_command(page.runs.find(run), body.do)
        return {"done": body.do}

    @router.post("/runs/{run}/stop")
    def stop(run: str) -> dict[str, Any]:
        """Stop the run at once; every viewer may do this."""
        send_command(page.runs.find(run), "abort")
        return {"done": "stop"}

    return router


def refuse_during_runs(page: PageState) -> None:
    """Raise ``RunCommandRefused`` while a run is in progress."""
    live = page.runs.live()
    if live:
        raise RunCommandRefused(f"a run is in progress: {', '.join(live)}")
