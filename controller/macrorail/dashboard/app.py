"""The server's addresses: what the page asks for, and what it may command."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from macrorail.config.rig import load_rig
from macrorail.dashboard import bodies
from macrorail.dashboard.commands import NotDone, command
from macrorail.dashboard.desk import Desk, NotOperator
from macrorail.dashboard.follow import Follower
from macrorail.dashboard.guard import Access, Guard
from macrorail.dashboard.launch import Launcher, NotStarted
from macrorail.dashboard.pictures import WIDTHS, NoPicture, Pictures
from macrorail.dashboard.planning import parse_protocol, preview, protocol_text, values_of
from macrorail.dashboard.restack import Restacker
from macrorail.dashboard.runs import NoSuchRun, Runs
from macrorail.dashboard.setting_up import NotConnected, SettingUp
from macrorail.dashboard.shelf import Shelf
from macrorail.errors import ConfigError, DeviceError, MacrorailError, OperatorStop

STATIC = Path(__file__).parent / "static"
#: Pages that are kept up to date at once; each costs a connection, so there is an end to them.
MOST_VIEWERS = 100
_DESK_EVERY_S = 0.5
_HEARTBEAT_S = 10.0
#: A report is a page of its own: it may carry its pictures and styles, and run nothing.
_REPORT_POLICY = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; sandbox"
_DOWNLOADS = {
    "fused.jpg": "image/jpeg",
    "fused.tif": "image/tiff",
    "depth.tif": "image/tiff",
    "depth-confidence.png": "image/png",
    "manifest.json": "application/json",
    "protocol.yaml": "text/plain",
}


@dataclass(frozen=True)
class Settings:
    """What the server serves.

    Attributes
    ----------
    runs
        Folder of the run folders.
    rig
        What the instrument is.
    protocols
        Folder of the protocols that can be opened and saved.
    access
        Who may come in.
    """

    runs: Path
    rig: Path
    protocols: Path
    access: Access


class Page:
    """What stands behind the addresses."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.rig = load_rig(settings.rig)
        self.runs = Runs(settings.runs)
        self.launcher = Launcher(self.runs, settings.rig)
        self.restacker = Restacker()
        self.follower = Follower(self.launcher, self.restacker)
        self.pictures = Pictures()
        self.shelf = Shelf(settings.protocols)
        self.desk = Desk()
        self.setting_up = SettingUp(settings.rig)
        self.viewers = 0
        self.busy = asyncio.Lock()
        self._live: tuple[float, list[str]] = (0.0, [])

    def live(self) -> list[str]:
        """Runs that a controller is at work in; looked up at most twice a second."""
        now_s = time.monotonic()
        if now_s - self._live[0] > _DESK_EVERY_S / 2:
            self._live = (now_s, self.runs.live())
        return self._live[1]

    def desk_as_seen_by(self, viewer: str) -> dict[str, Any]:
        """Who operates and what runs, for one viewer."""
        operator = self.desk.operator
        role = "nobody" if operator is None else "you" if operator == viewer else "other"
        return {
            "operator": role,
            "live": self.live(),
            "viewers": self.viewers,
            "rig": self.settings.rig.name,
            "simulated": self.rig.bench is not None,
            "instrument": self.setting_up.state,
            "restack": self.restacker.state,
        }

    async def events(self, viewer: str, run: str | None, since: int) -> AsyncIterator[str]:
        """Server-sent events: ``desk`` and ``run``, as they change."""
        queue: asyncio.Queue[str] = asyncio.Queue()
        tasks = [asyncio.create_task(self._desk_events(viewer, queue))]
        if run is not None:
            tasks.append(asyncio.create_task(self._run_events(run, since, queue)))
        try:
            while True:
                try:
                    yield await asyncio.wait_for(queue.get(), _HEARTBEAT_S)
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            for task in tasks:
                task.cancel()

    async def _desk_events(self, viewer: str, queue: asyncio.Queue[str]) -> None:
        last = None
        while True:
            self.desk.seen(viewer)
            now = self.desk_as_seen_by(viewer)
            if now != last:
                await queue.put(f"event: desk\ndata: {json.dumps(now)}\n\n")
                last = now
            await asyncio.sleep(_DESK_EVERY_S)

    async def _run_events(self, run: str, since: int, queue: asyncio.Queue[str]) -> None:
        followed = self.follower.follow(self.runs.find(run))
        async for update in followed.updates(since):
            number = update["head"]["entries"]
            await queue.put(f"id: {number}\nevent: run\ndata: {json.dumps(update)}\n\n")


def create_app(settings: Settings) -> ASGIApp:
    """The whole application, guarded.

    Raises
    ------
    ConfigError
        The rig cannot be read.
    """
    page = Page(settings)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    for error, status in _STATUS.items():
        app.add_exception_handler(error, _teller(status))
    app.add_exception_handler(RequestValidationError, _malformed)
    app.include_router(_watching(page))
    app.include_router(_planning(page))
    app.include_router(_commanding(page))
    app.include_router(_setting_up(page))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/")
    async def index() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    return Guard(app, settings.access)


_STATUS: dict[type[Exception], int] = {
    NoSuchRun: 404,
    NoPicture: 404,
    NotOperator: 409,
    NotConnected: 409,
    NotDone: 409,
    NotStarted: 409,
    ConfigError: 400,
    DeviceError: 409,
    OperatorStop: 409,
    MacrorailError: 500,
}


def _teller(status: int) -> Any:
    async def tell(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status)

    return tell


async def _malformed(_request: Request, _error: Exception) -> JSONResponse:
    return JSONResponse({"error": "this request cannot be understood"}, 422)


def _viewer(request: Request) -> str:
    viewer: str = request.scope["viewer"]
    return viewer


class EventStream(StreamingResponse):
    """Events for one viewer, who is counted from the check to the last byte.

    Counting where the answer is sent leaves no moment between the check and the count for
    the other callers of the same burst.
    """

    def __init__(self, page: Page, events: AsyncIterator[str]) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or say that there is no room."""
        if self._page.viewers >= MOST_VIEWERS:
            full = JSONResponse({"error": "too many pages are open"}, 503)
            await full(scope, receive, send)
            return
        self._page.viewers += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._page.viewers -= 1


def _watching(page: Page) -> APIRouter:
    router = APIRouter(prefix="/api")

    @router.get("/events")
    async def events(
        request: Request,
        run: str | None = None,
        since: Annotated[int, Query(ge=-1)] = -1,
    ) -> Response:
        if run is not None:
            page.runs.find(run)
        with suppress(ValueError):  # a browser that comes back tells what it has seen
            since = int(request.headers.get("last-event-id", since))
        stream = page.events(_viewer(request), run, since)
        return EventStream(page, stream)

    @router.get("/desk")
    async def desk(request: Request, run: str | None = None) -> dict[str, Any]:
        """The same once, for a page in the background that keeps no stream open."""
        page.desk.seen(_viewer(request))
        head = None if run is None else page.follower.follow(page.runs.find(run)).look()
        return {"desk": page.desk_as_seen_by(_viewer(request)), "head": head}

    @router.get("/runs")
    def runs() -> list[dict[str, Any]]:
        return page.runs.summaries()

    @router.get("/runs/{run}/picture.jpg")
    def picture(run: str, width: int = WIDTHS[-1], growing: bool = False) -> Response:
        path = page.runs.file(run, "preview.jpg" if growing else "fused.jpg")
        return _small(page, path, width)

    @router.get("/runs/{run}/depth.jpg")
    def depth(run: str) -> Response:
        path = page.runs.file(run, "depth.tif")
        if path is None:
            raise NoPicture("there is no depth map yet")
        return Response(page.pictures.depth(path, WIDTHS[-1]), media_type="image/jpeg")

    @router.get("/runs/{run}/coverage.png")
    def coverage(run: str) -> Response:
        path = page.runs.file(run, "coverage.png")
        if path is None:
            raise NoPicture("coverage is proven when the run has ended")
        return FileResponse(path, media_type="image/png")

    @router.get("/runs/{run}/stacked-again/{name}.jpg")
    def stacked_again(run: str, name: str, width: int = WIDTHS[-1]) -> Response:
        return _small(page, page.restacker.picture(page.runs.find(run), name), width)

    @router.get("/runs/{run}/stacked-again/{name}.tif")
    def stacked_again_whole(run: str, name: str) -> Response:
        path = page.restacker.picture(page.runs.find(run), name)
        if path is None:
            raise NoPicture("there is no such picture")
        return FileResponse(path, media_type="image/tiff", filename=f"{run}-{name}.tif")

    @router.get("/runs/{run}/frames/{number}.jpg")
    def frame(run: str, number: int, width: int = WIDTHS[0]) -> Response:
        folder = page.runs.find(run) / "frames"
        found = (page.runs.file(run, "frames", f"{number:04d}{suffix}") for suffix in _JPEGS)
        path = None if folder.is_symlink() else next((p for p in found if p is not None), None)
        return _small(page, path, width)

    @router.get("/runs/{run}/files/{name}")
    def download(run: str, name: str) -> Response:
        path = page.runs.file(run, name) if name in _DOWNLOADS else None
        if path is None:
            raise NoPicture("this run has no such file")
        return FileResponse(path, media_type=_DOWNLOADS[name], filename=f"{run}-{name}")

    @router.get("/runs/{run}/report.html")
    def report(run: str) -> Response:
        path = page.runs.file(run, "report.html")
        if path is None:
            raise NoPicture("this run has no report")
        return FileResponse(path, headers={"content-security-policy": _REPORT_POLICY})

    return router


_JPEGS = (".jpg", ".jpeg")


def _small(page: Page, path: Path | None, width: int) -> Response:
    if path is None:
        raise NoPicture("there is no such picture yet")
    if width not in WIDTHS:
        raise NoPicture(f"pictures are {' or '.join(map(str, WIDTHS))} pixels wide")
    return Response(page.pictures.scaled(path, width), media_type="image/jpeg")


def _planning(page: Page) -> APIRouter:
    router = APIRouter(prefix="/api")

    @router.post("/plan")
    def plan(body: bodies.Values) -> dict[str, Any]:
        return preview(body.protocol, page.rig, page.runs.folder)

    @router.post("/protocols/read")
    def read(body: bodies.Text) -> dict[str, Any]:
        return {"protocol": values_of(body.text)}

    @router.get("/protocols")
    def names() -> list[str]:
        return page.shelf.names()

    @router.get("/protocols/{name}")
    def one(name: str) -> dict[str, Any]:
        return {"protocol": values_of(page.shelf.read(name))}

    @router.post("/protocols")
    def save(request: Request, body: bodies.Save) -> dict[str, Any]:
        page.desk.require(_viewer(request))
        text = protocol_text(body.protocol)
        parse_protocol(text)
        page.shelf.save(body.name, text, body.replace)
        return {"name": body.name}

    return router


def _commanding(page: Page) -> APIRouter:
    router = APIRouter(prefix="/api")

    @router.post("/desk")
    async def desk(request: Request, body: bodies.Sitting) -> dict[str, Any]:
        viewer = _viewer(request)
        (page.desk.take if body.do == "take" else page.desk.leave)(viewer)
        return page.desk_as_seen_by(viewer)

    @router.post("/runs")
    async def start(request: Request, body: bodies.Values) -> dict[str, Any]:
        page.desk.require(_viewer(request))
        text = protocol_text(body.protocol)
        async with page.busy:
            _nothing_runs(page)
            await page.setting_up.disconnect()
            return {"run": await page.launcher.run(text)}

    @router.post("/runs/{run}/again")
    async def again(request: Request, run: str) -> dict[str, Any]:
        """Continue an interrupted run."""
        page.desk.require(_viewer(request))
        async with page.busy:
            _nothing_runs(page)
            await page.setting_up.disconnect()
            await page.launcher.resume(page.runs.find(run))
        return {"run": run}

    @router.post("/runs/{run}/stack")
    async def stack(request: Request, run: str, body: bodies.Restack) -> dict[str, Any]:
        """Stack a finished run again; a run that is under way needs the machine for itself."""
        page.desk.require(_viewer(request))
        async with page.busy:
            _nothing_runs(page)
            folder = page.runs.find(run)
            return {"name": page.restacker.start(folder, body.quality, body.reference, body.align)}

    @router.post("/runs/{run}/command")
    def tell(request: Request, run: str, body: bodies.Command) -> dict[str, Any]:
        page.desk.require(_viewer(request))
        command(page.runs.find(run), body.do)
        return {"done": body.do}

    @router.post("/runs/{run}/stop")
    def stop(run: str) -> dict[str, Any]:
        """Whoever sees that something goes wrong may stop it, at once."""
        command(page.runs.find(run), "abort")
        return {"done": "stop"}

    return router


def _setting_up(page: Page) -> APIRouter:
    """The instrument in the operator's hand: a session process holds it, never the server."""
    router = APIRouter(prefix="/api/instrument")
    held = page.setting_up

    @router.post("/connect")
    async def connect(request: Request) -> dict[str, Any]:
        page.desk.require(_viewer(request))
        async with page.busy:
            _nothing_runs(page)
            return await held.connect()

    @router.post("/disconnect")
    async def disconnect(request: Request) -> dict[str, Any]:
        page.desk.require(_viewer(request))
        await held.disconnect()
        return {}

    @router.post("/home")
    async def home(request: Request) -> dict[str, Any]:
        page.desk.require(_viewer(request))
        return await held.home()

    @router.post("/move")
    async def move(request: Request, body: bodies.Move) -> dict[str, Any]:
        page.desk.require(_viewer(request))
        return await held.move(body.to_um)

    @router.post("/shoot")
    async def shoot(request: Request, body: bodies.Values) -> dict[str, Any]:
        page.desk.require(_viewer(request))
        settings = parse_protocol(protocol_text(body.protocol)).camera_settings
        return await held.shoot(settings)

    @router.post("/configure")
    async def configure(request: Request, body: bodies.Values) -> dict[str, Any]:
        page.desk.require(_viewer(request))
        settings = parse_protocol(protocol_text(body.protocol)).camera_settings
        return await held.configure(settings)

    @router.post("/stop")
    async def stop() -> dict[str, Any]:
        """Whoever sees that something goes wrong may stop it."""
        await held.stop()
        return {"done": "stop"}

    @router.get("/picture.jpg")
    def picture() -> Response:
        return _small(page, held.picture(), WIDTHS[-1])

    @router.get("/detail.jpg")
    def detail(
        x: Annotated[float, Query(ge=0, le=1, allow_inf_nan=False)],
        y: Annotated[float, Query(ge=0, le=1, allow_inf_nan=False)],
    ) -> Response:
        """A piece of the last test shot, pixel for pixel, around a place in shares of its size."""
        path = held.picture()
        if path is None:
            raise NoPicture("there is no test shot yet")
        return Response(page.pictures.detail(path, x, y), media_type="image/jpeg")

    @router.get("/live.jpg")
    async def live(after: Annotated[int, Query(ge=0)] = 0) -> Response:
        """The next frame of live view; asked for anew by each viewer as fast as it can show it."""
        found = await held.look(after)
        if found is None:
            return Response(status_code=204)
        number, frame = found
        return Response(frame, media_type="image/jpeg", headers={"x-frame": str(number)})

    return router


def _nothing_runs(page: Page) -> None:
    live = page.runs.live()
    if live:
        raise NotDone(f"the instrument is at work: {', '.join(live)}")
