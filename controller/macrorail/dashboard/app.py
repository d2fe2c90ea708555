"""Creates the web application: routes, answers to errors, and the guard that checks requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp

from macrorail.dashboard.commands import RunCommandRefused
from macrorail.dashboard.guard import Guard
from macrorail.dashboard.instrument_routes import instrument_routes
from macrorail.dashboard.launch import NotStarted
from macrorail.dashboard.operator_lock import NotOperator
from macrorail.dashboard.operator_routes import command_routes, planning_routes
from macrorail.dashboard.page_state import PageState, ServerSettings
from macrorail.dashboard.pictures import NoPicture
from macrorail.dashboard.run_routes import run_routes
from macrorail.dashboard.runs import NoSuchRun
from macrorail.dashboard.setup_instrument import NotConnected
from macrorail.errors import ConfigError, DeviceError, MacrorailError, OperatorStop

STATIC = Path(__file__).parent / "static"


def create_app(settings: ServerSettings) -> ASGIApp:
    """Create and return the complete application, including its guard.

    Raises
    ------
    ConfigError
        The rig cannot be read.
    """
    page = PageState(settings)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    for error, status in _STATUS.items():
        app.add_exception_handler(error, _error_answer(status))
    app.add_exception_handler(RequestValidationError, _malformed)
    app.include_router(run_routes(page))
    app.include_router(planning_routes(page))
    app.include_router(command_routes(page))
    app.include_router(instrument_routes(page))
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
    RunCommandRefused: 409,
    NotStarted: 409,
    ConfigError: 400,
    DeviceError: 409,
    OperatorStop: 409,
    MacrorailError: 500,
}


def _error_answer(status: int) -> Any:
    async def answer(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status)

    return answer


async def _malformed(_request: Request, _error: Exception) -> JSONResponse:
    return JSONResponse({"error": "this request is not valid"}, 422)
