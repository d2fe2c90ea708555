"""The page's end of the session process: jogs and test shots, one after the other; live view."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

from macrorail.dashboard.looking import Looking
from macrorail.errors import MacrorailError
from macrorail.workers import Worker

_MODULE = "macrorail.session.instrument_process"
_STOP_SIGNAL = signal.SIGUSR1
_OPEN_TIMEOUT_S = 90.0
#: The longest travel at the slowest speed, or the longest exposure.
_WORK_TIMEOUT_S = 300.0
_CLOSE_TIMEOUT_S = 20.0
#: The work that takes but a moment.
_SHORT = "configure"
_STOP_EVERY_S = 0.1
_STOP_TRIES = 50


class NotConnected(MacrorailError):
    """The instrument is not held by the page."""


class SettingUp:
    """Holds the instrument while somebody sets up.

    Parameters
    ----------
    rig
        What the instrument is.
    """

    def __init__(self, rig: Path) -> None:
        self._rig = rig
        self._worker: Worker | None = None
        self._pictures: tempfile.TemporaryDirectory[str] | None = None
        self._turn = asyncio.Lock()
        self._doing = ""
        self._looking: Looking | None = None
        self._about: dict[str, Any] = {}

    @property
    def state(self) -> dict[str, Any] | None:
        """What is connected and where the axis is; ``None`` when nothing is."""
        if self._worker is None or not self._worker.alive or not self._about:
            return None
        moving = self._turn.locked() and self._doing in {"move", "home"}
        return {**self._about, "moving": moving}

    async def connect(self) -> dict[str, Any]:
        """Connect; nothing moves."""
        async with self._turn:
            if self.state is None:
                await asyncio.to_thread(self._let_go)
                self._pictures = tempfile.TemporaryDirectory(prefix="macrorail-test-shots-")
                self._worker = Worker(_MODULE, "set-up")
                try:
                    found = await self._request(
                        "open", _OPEN_TIMEOUT_S, rig=str(self._rig), folder=self._pictures.name
                    )
                except BaseException:
                    await asyncio.to_thread(self._let_go)
                    raise
                self._about = {**found, "picture": None}
                self._looking = Looking(Path(self._pictures.name)) if found["live"] else None
        return self.state or {}

    async def home(self) -> dict[str, Any]:
        """Find the reference, away from the specimen."""
        return await self._work("home")

    async def move(self, position_um: float) -> dict[str, Any]:
        """Go to a position."""
        return await self._work("move", position_um=position_um)

    async def configure(self, settings: dict[str, str]) -> dict[str, Any]:
        """Set the camera without taking a picture, once nothing else is under way."""
        return await self._work(_SHORT, settings=settings)

    async def look(self, after: int) -> tuple[int, bytes] | None:
        """The newest frame of live view and its number, which is above ``after``.

        Returns
        -------
        tuple or None
            ``None`` when there is none for now.

        Raises
        ------
        NotConnected
            Nothing is connected, or the camera has no live view.
        """
        if self.state is None or self._looking is None:
            raise NotConnected("there is no live view; connect the instrument first")
        return await self._looking.frame(after)

    async def shoot(self, settings: dict[str, str]) -> dict[str, Any]:
        """Take a test picture."""
        folder = self._pictures.name if self._pictures is not None else ""
        return await self._work("shoot", folder=folder, settings=settings)

    def picture(self) -> Path | None:
        """The last test picture."""
        name = self._about.get("picture")
        if self._pictures is None or name is None:
            return None
        return Path(self._pictures.name) / str(name)

    async def stop(self) -> None:
        """Bring the axis to rest, whatever is waiting; returns when it is, or after a while."""
        for _ in range(_STOP_TRIES):
            if self._worker is not None and self._worker.alive:
                os.kill(self._worker.pid, _STOP_SIGNAL)
            # A move that was asked for a moment ago may not have begun: then it is stopped next.
            await asyncio.sleep(_STOP_EVERY_S)
            if not self._turn.locked():
                return

    async def disconnect(self) -> None:
        """Let the instrument go, for a run or for others."""
        await self.stop()
        async with self._turn:
            if self._looking is not None:
                self._looking.close()
            await asyncio.to_thread(self._let_go)

    async def _work(self, verb: str, **arguments: Any) -> dict[str, Any]:
        # What nobody has asked for with a button is waited for, and waits, without a word.
        if self._turn.locked() and _SHORT not in (verb, self._doing):
            raise NotConnected("the instrument is busy with something else; wait, or stop it")
        async with self._turn:
            if self.state is None:
                raise NotConnected("connect the instrument first")
            self._doing = verb
            self._about |= await self._request(verb, _WORK_TIMEOUT_S, **arguments)
        return self.state or {}

    async def _request(self, verb: str, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        assert self._worker is not None
        answer = await asyncio.to_thread(self._worker.request, verb, timeout_s, **arguments)
        answer.pop("id")
        return answer

    def _let_go(self) -> None:
        self._looking = None
        if self._worker is not None:
            self._worker.close(_CLOSE_TIMEOUT_S)
            self._worker = None
        if self._pictures is not None:
            self._pictures.cleanup()
            self._pictures = None
        self._about = {}
