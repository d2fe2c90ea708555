"""The state that all routes share: run folders, operator's lock, instrument, and events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from macrorail.config.rig import load_rig
from macrorail.dashboard.follow import RunFollowers
from macrorail.dashboard.guard import Access
from macrorail.dashboard.launch import Launcher
from macrorail.dashboard.operator_lock import OperatorLock
from macrorail.dashboard.pictures import PictureCache
from macrorail.dashboard.protocol_store import ProtocolStore
from macrorail.dashboard.restack import Restacker
from macrorail.dashboard.runs import RunFolders
from macrorail.dashboard.setup_instrument import HeldInstrument

_STATUS_EVERY_S = 0.5
_HEARTBEAT_S = 10.0


@dataclass(frozen=True)
class ServerSettings:
    """Settings of the server.

    Attributes
    ----------
    runs
        Folder of the run folders.
    rig
        YAML file of the instrument.
    protocols
        Folder of the protocols that the page opens and saves.
    access
        Rules of access to the page.
    """

    runs: Path
    rig: Path
    protocols: Path
    access: Access


class PageState:
    """The objects that all routes share, such as run folders, lock and instrument."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.rig = load_rig(settings.rig)
        self.runs = RunFolders(settings.runs)
        self.launcher = Launcher(self.runs, settings.rig)
        self.restacker = Restacker()
        self.followers = RunFollowers(self.launcher, self.restacker)
        self.pictures = PictureCache()
        self.protocols = ProtocolStore(settings.protocols)
        self.lock = OperatorLock()
        self.instrument = HeldInstrument(settings.rig)
        self.viewers = 0
        #: Locked while control of the instrument passes between the page and a run.
        self.handover = asyncio.Lock()
        self._live: tuple[float, list[str]] = (0.0, [])

    def live(self) -> list[str]:
        """Return the names of the runs in progress, updated at most twice a second."""
        now_s = time.monotonic()
        if now_s - self._live[0] > _STATUS_EVERY_S / 2:
            self._live = (now_s, self.runs.live())
        return self._live[1]

    def status_for(self, viewer: str) -> dict[str, Any]:
        """Return the runs in progress, and who operates: ``viewer``, another viewer or nobody."""
        operator = self.lock.operator
        role = "nobody" if operator is None else "you" if operator == viewer else "other"
        return {
            "operator": role,
            "live": self.live(),
            "viewers": self.viewers,
            "rig": self.settings.rig.name,
            "simulated": self.rig.bench is not None,
            "instrument": self.instrument.state,
            "restack": self.restacker.state,
        }

    async def events(self, viewer: str, run: str | None, since: int) -> AsyncIterator[str]:
        """Yield a server-sent event ``status`` or ``run`` when the status or run has changed."""
        queue: asyncio.Queue[str] = asyncio.Queue()
        tasks = [asyncio.create_task(self._status_events(viewer, queue))]
        if run is not None:
            tasks.append(asyncio.create_task(self._run_events(run, since, queue)))
        try:
            while True:
                try:
                    yield await asyncio.wait_for(queue.get(), _HEARTBEAT_S)
                except TimeoutError:
                    yield ": heartbeat\n\n"
        finally:
            for task in tasks:
                task.cancel()

    async def _status_events(self, viewer: str, queue: asyncio.Queue[str]) -> None:
        last = None
        while True:
            self.lock.seen(viewer)
            now = self.status_for(viewer)
            if now != last:
                await queue.put(f"event: status\ndata: {json.dumps(now)}\n\n")
                last = now
            await asyncio.sleep(_STATUS_EVERY_S)

    async def _run_events(self, run: str, since: int, queue: asyncio.Queue[str]) -> None:
        follower = self.followers.of(self.runs.find(run))
        async for update in follower.updates(since):
            number = update["head"]["entries"]
            await queue.put(f"id: {number}\nevent: run\ndata: {json.dumps(update)}\n\n")
