"""Controls the instrument for the page while a run is set up: moves, test shots, live view."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

from macrorail.dashboard.live_view_client import LiveViewClient
from macrorail.errors import MacrorailError
from macrorail.session.instrument_process import STOP_SIGNAL
from macrorail.workers import Worker

_MODULE = "macrorail.session.instrument_process"
_OPEN_TIMEOUT_S = 90.0
#: Longest time for a request: the longest travel at the slowest speed, or the longest exposure.
_WORK_TIMEOUT_S = 300.0
_CLOSE_TIMEOUT_S = 20.0
#: Name of the request that takes only a moment.
_SHORT = "configure"
_STOP_EVERY_S = 0.1
_STOP_TRIES = 50


class NotConnected(MacrorailError):
    """The instrument is not connected to the page, or is busy."""


class HeldInstrument:
    """The instrument while a run is set up; a separate process controls it.

    Parameters
    ----------
    rig
        YAML file of the instrument.
    """

    def __init__(self, rig: Path) -> None:
        self._rig = rig
        self._worker: Worker | None = None
        self._pictures: tempfile.TemporaryDirectory[str] | None = None
        self._turn = asyncio.Lock()
        self._current = ""
        self._live_view: LiveViewClient | None = None
        self._report: dict[str, Any] = {}

    @property
    def state(self) -> dict[str, Any] | None:
        """Connected devices and position of the axis; ``None`` when no instrument is connected."""
        if self._worker is None or not self._worker.alive or not self._report:
            return None
        moving = self._turn.locked() and self._current in {"move", "home"}
        return {**self._report, "moving": moving}

    async def connect(self) -> dict[str, Any]:
        """Connect the instrument without moving it; return its state."""
        async with self._turn:
            if self.state is None:
                await asyncio.to_thread(self._release)
                self._pictures = tempfile.TemporaryDirectory(prefix="macrorail-test-shots-")
                self._worker = Worker(_MODULE, "set-up")
                try:
                    found = await self._request(
                        "open", _OPEN_TIMEOUT_S, rig=str(self._rig), folder=self._pictures.name
                    )
                except BaseException:
                    await asyncio.to_thread(self._release)
                    raise
                self._report = {**found, "picture": None}
                self._live_view = (
                    LiveViewClient(Path(self._pictures.name)) if found["live"] else None
                )
        return self.state or {}

    async def home(self) -> dict[str, Any]:
        """Home the axis, away from the specimen; return the instrument's state."""
        return await self._work("home")

    async def move(self, position_um: float) -> dict[str, Any]:
        """Move the axis to a position; return the instrument's state."""
        return await self._work("move", position_um=position_um)

    async def configure(self, settings: dict[str, str]) -> dict[str, Any]:
        """Apply settings to the camera once the present request has ended; return the state."""
        return await self._work(_SHORT, settings=settings)

    async def live_frame(self, after: int) -> tuple[int, bytes] | None:
        """Return the newest frame of live view with a number above ``after``.

        Returns
        -------
        tuple or None
            The number and the frame as JPEG; ``None`` when no new frame has come in time.

        Raises
        ------
        NotConnected
            The instrument is not connected, or the camera has no live view.
        """
        if self.state is None or self._live_view is None:
            raise NotConnected("there is no live view; connect the instrument first")
        return await self._live_view.frame(after)

    async def shoot(self, settings: dict[str, str]) -> dict[str, Any]:
        """Take a test shot; return the instrument's state."""
        return await self._work("shoot", settings=settings)

    def picture(self) -> Path | None:
        """Return the path of the last test shot; ``None`` if there is none."""
        name = self._report.get("picture")
        if self._pictures is None or name is None:
            return None
        return Path(self._pictures.name) / str(name)

    async def stop(self) -> None:
        """Stop the axis; return when the axis is at rest, or after 5 s."""
        for _ in range(_STOP_TRIES):
            if self._worker is not None and self._worker.alive:
                os.kill(self._worker.pid, STOP_SIGNAL)
            # A move that was requested just now may not have started yet, so the stop is repeated.
            await asyncio.sleep(_STOP_EVERY_S)
            if not self._turn.locked():
                return

    async def disconnect(self) -> None:
        """Release the instrument, so that a run or another program can use it."""
        await self.stop()
        async with self._turn:
            if self._live_view is not None:
                self._live_view.close()
            await asyncio.to_thread(self._release)

    async def _work(self, verb: str, **arguments: Any) -> dict[str, Any]:
        # The page sends settings without a button press, so they are queued instead of refused.
        if self._turn.locked() and _SHORT not in (verb, self._current):
            raise NotConnected("the instrument is busy; wait, or stop it")
        async with self._turn:
            if self.state is None:
                raise NotConnected("connect the instrument first")
            self._current = verb
            self._report |= await self._request(verb, _WORK_TIMEOUT_S, **arguments)
        return self.state or {}

    async def _request(self, verb: str, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        assert self._worker is not None
        answer = await asyncio.to_thread(self._worker.request, verb, timeout_s, **arguments)
        answer.pop("id")
        return answer

    def _release(self) -> None:
        self._live_view = None
        if self._worker is not None:
            self._worker.close(_CLOSE_TIMEOUT_S)
            self._worker = None
        if self._pictures is not None:
            self._pictures.cleanup()
            self._pictures = None
        self._report = {}
