"""The server's end of live view: each frame is fetched once, however many look."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

_SOCKET = "live"
_LENGTH = struct.Struct("<I")
_LARGEST_BYTES = 20_000_000
#: A viewer is answered within this, with a frame or without.
_PATIENCE_S = 2.0


class Looking:
    """Asks the session process for frames while somebody looks.

    Parameters
    ----------
    folder
        Where the process has its socket.
    """

    def __init__(self, folder: Path) -> None:
        self._address = folder / _SOCKET
        self._number = 0
        self._frame = b""
        self._fetching: asyncio.Task[None] | None = None
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def frame(self, after: int) -> tuple[int, bytes] | None:
        """The newest frame with a number above ``after``; ``None`` when none comes for a while."""
        if after > self._number:
            after = 0  # the viewer has seen another connection's frames
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        while self._number <= after:
            if self._fetching is None or self._fetching.done():
                self._fetching = asyncio.create_task(self._fetch())
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                return None
            # The fetch goes on for the other viewers when this one gives up.
            await asyncio.wait({self._fetching}, timeout=left_s)
        return self._number, self._frame

    async def _fetch(self) -> None:
        """One frame, over the connection that stays open between frames."""
        try:
            reader, writer = await self._connection()
            writer.write(b"?")
            await writer.drain()
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            if length > _LARGEST_BYTES:
                raise ConnectionError(f"a frame of {length} bytes")
            frame = await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            await asyncio.sleep(_PATIENCE_S / 4)
            return
        if frame:
            self._number += 1
            self._frame = frame

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._open is None:
            self._open = await asyncio.open_unix_connection(str(self._address), limit=1 << 20)
        return self._open

    def close(self) -> None:
        """Hang up; the process stays. Safe to call twice."""
        if self._open is not None:
            self._open[1].close()
            self._open = None
