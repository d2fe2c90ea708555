"""A real browser for the operator's page; without one, these tests are left out and say so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.page import Server

_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (pip install playwright)"
    )
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no chromium on this machine (apt-get install chromium)")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    server.close()


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    """A tab at 1440x900; anything it complains of, and any other host it asks, fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    # Only how long a slow machine may take; nothing here is meant to be timed.
    context.set_default_timeout(90_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((server.url, "blob:", "data:"))
            else complaints.append(f"another host: {request.url}")
        ),
    )
    page.on(
        "console",
        lambda told: (
            complaints.append(f"console: {told.text}")
            if told.type == "error" and "Failed to load resource" not in told.text
            else None
        ),
    )
    yield page
    context.close()
    assert complaints == []
