"""Serves frames of live view over a socket; each received byte requests one frame.

The client requests the next frame after showing the previous frame. So no frames are queued,
and no frames are taken for an idle client.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

#: Name of the socket in the folder that the client creates.
SOCKET = "live"
#: Format of the frame's length in bytes, which is sent before the frame; a length of 0 means that
#: no frame is available now.
LENGTH = struct.Struct("<I")
#: Time without a request after which live view is switched off, seconds of wall time.
_IDLE_S = 20.0


class LiveViewServer:
    """Serves frames to one client after another, until :meth:`close` is called.

    Parameters
    ----------
    folder
        Folder in which the socket is created.
    look
        Called in another thread; returns a frame as JPEG, or empty bytes when none is available.
    rest
        Called when no request has come for 20 s, to switch live view off.
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
        """Stop serving and wait until ``look`` has returned; safe to call twice."""
        self._ended.set()
        # Closing alone would not wake a waiting accept.
        with socket.socket(socket.AF_UNIX) as knock:
            if self._listening.fileno() >= 0:
                knock.settimeout(1)
                knock.connect_ex(self._listening.getsockname())
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            client, _ = self._listening.accept()
            with client:
                client.settimeout(0.2)
                try:
                    self._serve_one(client)
                except OSError:
                    continue  # the client disconnected during a frame

    def _serve_one(self, client: socket.socket) -> None:
        idle_s = 0.0
        while not self._ended.is_set():
            try:
                if not client.recv(1):
                    return
            except TimeoutError:
                idle_s += 0.2
                if abs(idle_s - _IDLE_S) < 0.1:
                    self._rest()
                continue
            idle_s = 0.0
            frame = self._look()
            client.sendall(LENGTH.pack(len(frame)) + frame)
