"""Fetches frames of live view from the instrument process, each frame once for all viewers."""

from __future__ import annotations

import asyncio
from pathlib import Path

from macrorail.session.live_view import LENGTH, SOCKET

_LARGEST_BYTES = 20_000_000
#: Time after which a viewer's request is answered without a frame, seconds.
_TIMEOUT_S = 2.0


class LiveViewClient:
    """Requests frames from the instrument process while at least one viewer watches.

    Parameters
    ----------
    folder
        Folder with the socket of the instrument process.
    """

    def __init__(self, folder: Path) -> None:
        self._address = folder / SOCKET
        self._number = 0
        self._frame = b""
        self._fetching: asyncio.Task[None] | None = None
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def frame(self, after: int) -> tuple[int, bytes] | None:
        """Return number and JPEG of the newest frame above ``after``; ``None`` after a timeout."""
        if after > self._number:
            after = 0  # the number is from an earlier connection
        deadline = asyncio.get_running_loop().time() + _TIMEOUT_S
        while self._number <= after:
            if self._fetching is None or self._fetching.done():
                self._fetching = asyncio.create_task(self._fetch())
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                return None
            # The fetch continues for the other viewers when this viewer's request times out.
            await asyncio.wait({self._fetching}, timeout=left_s)
        return self._number, self._frame

    async def _fetch(self) -> None:
        """Fetch one frame over the connection, which stays open between frames."""
        try:
            reader, writer = await self._connection()
            writer.write(b"?")
            await writer.drain()
            (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
            if length > _LARGEST_BYTES:
                raise ConnectionError(f"a frame of {length} bytes")
            frame = await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            await asyncio.sleep(_TIMEOUT_S / 4)
            return
        if frame:
            self._number += 1
            self._frame = frame

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._open is None:
            self._open = await asyncio.open_unix_connection(str(self._address), limit=1 << 20)
        return self._open

    def close(self) -> None:
        """Close the connection; the instrument process continues. Safe to call twice."""
        if self._open is not None:
            self._open[1].close()
            self._open = None
