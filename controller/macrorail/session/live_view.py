"""Hands out frames of live view over a socket: one for each byte that is sent, as long as it lasts.

Whoever shows them asks for the next one when the last has been shown: none wait in a queue, and
nobody who looks away costs anything.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

#: The socket's name, in the folder that the asker makes.
SOCKET = "live"
#: Before each frame, its length in bytes; 0 for none now.
LENGTH = struct.Struct("<I")
#: A sensor that nobody looks through for so long may cool.
_IDLE_S = 20.0


class LiveViewServer:
    """Serves one asker after the other until it is closed.

    Parameters
    ----------
    folder
        Takes the socket.
    look
        The JPEG of what the lens sees, or nothing when it cannot be had now; called in a thread.
    rest
        Called when nobody has looked for a while.
    """

    def __init__(self, folder: Path, look: Callable[[], bytes], rest: Callable[[], None]) -> None:
        self._look = look
        self._rest = rest
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / SOCKET))
        self._listening.listen(1)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; no look is under way when this returns. Safe to call twice."""
        self._ended.set()
        # Closing alone would not wake an accept that waits.
        with socket.socket(socket.AF_UNIX) as knock:
            if self._listening.fileno() >= 0:
                knock.settimeout(1)
                knock.connect_ex(self._listening.getsockname())
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            asker, _ = self._listening.accept()
            with asker:
                asker.settimeout(0.2)
                try:
                    self._serve_one(asker)
                except OSError:
                    continue  # it went away in the middle

    def _serve_one(self, asker: socket.socket) -> None:
        idle_s = 0.0
        while not self._ended.is_set():
            try:
                if not asker.recv(1):
                    return
            except TimeoutError:
                idle_s += 0.2
                if abs(idle_s - _IDLE_S) < 0.1:
                    self._rest()
                continue
            idle_s = 0.0
            frame = self._look()
            asker.sendall(LENGTH.pack(len(frame)) + frame)
