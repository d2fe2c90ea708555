"""Reports a run to systemd when it runs as a service; see sd_notify(3)."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

from macrorail.states import State

#: Shortest time between two resets of systemd's watchdog, seconds. WatchdogSec in the service file
#: is several minutes.
_BEAT_EVERY_S = 1.0


class SystemdNotifier:
    """Sends messages to systemd's notification socket; does nothing if there is no socket."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        # A leading @ stands for a zero byte, which marks an abstract socket.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._beat_s = float("-inf")
        self._send("READY=1")

    def on_state(self, state: State) -> None:
        """Send the run's state to systemd, which shows it in ``systemctl status``."""
        self._send(f"STATUS={state.value}")

    def beat(self) -> None:
        """Reset systemd's watchdog; called during every wait of the run, in the run's thread."""
        now_s = time.monotonic()
        if now_s - self._beat_s >= _BEAT_EVERY_S:
            self._beat_s = now_s
            self._send("WATCHDOG=1")

    def close(self) -> None:
        """Report to systemd that the run is over."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.setblocking(False)
            link.sendto(text.encode(), self._address)
