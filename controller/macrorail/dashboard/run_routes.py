"""Read-only routes that show runs: events, lists, pictures and files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from macrorail.dashboard.page_state import PageState
from macrorail.dashboard.pictures import WIDTHS, NoPicture

#: Largest number of pages that receive events at the same time; each page needs a connection.
MOST_VIEWERS = 100
#: Headers of a report, with which it may show its pictures and styles but not run scripts.
_REPORT_POLICY = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; sandbox"
_DOWNLOADS = {
    "fused.jpg": "image/jpeg",
    "fused.tif": "image/tiff",
    "depth.tif": "image/tiff",
    "depth-confidence.png": "image/png",
    "manifest.json": "application/json",
    "protocol.yaml": "text/plain",
}
_JPEGS = (".jpg", ".jpeg")


def viewer_of(request: Request) -> str:
    """Return the id of the browser that sent the request."""
    viewer: str = request.scope["viewer"]
    return viewer


def scaled(page: PageState, path: Path | None, width: int) -> Response:
    """Return a response with the picture reduced to ``width``, one of :data:`WIDTHS`, as JPEG."""
    if path is None:
        raise NoPicture("there is no such picture yet")
    if width not in WIDTHS:
        raise NoPicture(f"pictures are {' or '.join(map(str, WIDTHS))} pixels wide")
    return Response(page.pictures.scaled(path, width), media_type="image/jpeg")


class EventStream(StreamingResponse):
    """An event stream for one viewer, which counts towards the limit of open pages until it ends.

    Checking the limit and counting are one step, so that a burst of requests cannot exceed the
    limit.
    """

    def __init__(self, page: PageState, events: AsyncIterator[str]) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events, or refuse if too many pages are open."""
        if self._page.viewers >= MOST_VIEWERS:
            full = JSONResponse({"error": "too many pages are open"}, 503)
            await full(scope, receive, send)
            return
        self._page.viewers += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._page.viewers -= 1


def run_routes(page: PageState) -> APIRouter:
    """Return the routes that every viewer may use: runs, their events, pictures and files."""
    router = APIRouter(prefix="/api")

    @router.get("/events")
    async def events(
        request: Request,
        run: str | None = None,
        since: Annotated[int, Query(ge=-1)] = -1,
    ) -> Response:
        if run is not None:
            page.runs.find(run)
        with suppress(ValueError):  # a reconnecting browser sends the last id it has received
            since = int(request.headers.get("last-event-id", since))
        stream = page.events(viewer_of(request), run, since)
        return EventStream(page, stream)

    @router.get("/status")
    async def status(request: Request, run: str | None = None) -> dict[str, Any]:
        """Return the present status of page and run, for a page without an event stream."""
        page.lock.seen(viewer_of(request))
        head = None if run is None else page.followers.of(page.runs.find(run)).head_now()
        return {"status": page.status_for(viewer_of(request)), "head": head}

    @router.get("/runs")
    def runs() -> list[dict[str, Any]]:
        return page.runs.summaries()

    @router.get("/runs/{run}/picture.jpg")
    def picture(run: str, width: int = WIDTHS[-1], growing: bool = False) -> Response:
        path = page.runs.file(run, "preview.jpg" if growing else "fused.jpg")
        return scaled(page, path, width)

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
            raise NoPicture("the coverage map is drawn at the end of the run")
        return FileResponse(path, media_type="image/png")

    @router.get("/runs/{run}/stacked-again/{name}.jpg")
    def restacked(run: str, name: str, width: int = WIDTHS[-1]) -> Response:
        return scaled(page, page.restacker.picture(page.runs.find(run), name), width)

    @router.get("/runs/{run}/stacked-again/{name}.tif")
    def restacked_tiff(run: str, name: str) -> Response:
        path = page.restacker.picture(page.runs.find(run), name)
        if path is None:
            raise NoPicture("there is no such picture")
        return FileResponse(path, media_type="image/tiff", filename=f"{run}-{name}.tif")

    @router.get("/runs/{run}/frames/{number}.jpg")
    def frame(run: str, number: int, width: int = WIDTHS[0]) -> Response:
        folder = page.runs.find(run) / "frames"
        found = (page.runs.file(run, "frames", f"{number:04d}{suffix}") for suffix in _JPEGS)
        path = None if folder.is_symlink() else next((p for p in found if p is not None), None)
        return scaled(page, path, width)

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
