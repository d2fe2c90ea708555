"""The process that controls the instrument while a run is set up: moves, test shots, live view.

The operator's page starts this process and sends it requests as JSON lines (see
``macrorail.workers``), one at a time. A stop is requested with SIGUSR1, because a normal request
would wait until the move has ended. When the parent process ends, the axis is stopped and the
devices are released.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from typing import Any

from macrorail.config.rig import load_rig
from macrorail.devices.connect import Instrument, connect
from macrorail.errors import MacrorailError, OperatorStop
from macrorail.session.instrument import AxisControl, CameraControl
from macrorail.session.live_view import LiveViewServer
from macrorail.workers import serve

STOP_SIGNAL = signal.SIGUSR1
#: Waiting time before a camera that refused live view is asked for another frame.
_RETRY_S = 0.3


class InstrumentHolder:
    """Keeps one instrument connected, from ``open`` until the process ends."""

    def __init__(self) -> None:
        self._devices = ExitStack()
        self._busy = self._stopping = False
        # The camera does one thing at a time, and requests take precedence over live view.
        self._camera_lock = threading.Lock()
        self._camera_wanted = threading.Event()
        self._instrument: Instrument
        self._axis: AxisControl
        self._camera: CameraControl

    def open(self, rig: str, folder: str) -> dict[str, Any]:
        """Connect the instrument without moving it; return what the axis and the camera can do.

        Parameters
        ----------
        rig
            Path of the rig's YAML file.
        folder
            Folder for test shots and for the live-view socket.
        """
        instrument = self._devices.enter_context(connect(load_rig(Path(rig))))
        self._axis = AxisControl(instrument.axis, instrument.axis.open())
        self._camera = CameraControl(instrument.camera, instrument.camera.open(), Path(folder))
        self._instrument = instrument
        if self._camera.has_live_view:
            server = LiveViewServer(Path(folder), self._look, self._rest)
            self._devices.callback(server.close)
        axis, camera = self._axis.report, self._camera.report
        return {
            "live": self._camera.has_live_view,
            "choices": self._camera.choices,
            "settings": dict(camera.settings),
            "axis": axis.model,
            "camera": camera.model,
            "battery_percent": camera.battery_percent,
            "travel_um": list(axis.travel_um),
            "resolution_um": axis.resolution_um,
            "position_um": axis.position_um,
        }

    def home(self) -> dict[str, Any]:
        """Home the axis, away from the specimen; return the axis's position."""
        return self._carry_out(lambda: {"position_um": self._axis.home()})

    def move(self, position_um: float) -> dict[str, Any]:
        """Move the axis and return the axis's position; :meth:`stop` ends the move early."""
        return self._carry_out(lambda: {"position_um": self._axis.move_to(position_um)})

    def configure(self, settings: dict[str, str]) -> dict[str, Any]:
        """Apply ``settings`` to the camera, also for live view; return the settings read back."""
        return self._carry_out(
            lambda: {"settings": self._camera.configure(**settings)}, with_camera=True
        )

    def shoot(self, settings: dict[str, str]) -> dict[str, Any]:
        """Take one picture with ``settings``; return its file name and the settings read back."""

        def shoot() -> dict[str, Any]:
            applied = self._camera.configure(**settings)
            return {"picture": self._camera.shoot().path.name, "settings": applied}

        return self._carry_out(shoot, with_camera=True)

    def stop(self) -> None:
        """Stop the request that is being carried out, if there is one."""
        if self._busy and not self._stopping:
            self._stopping = True
            self._request_stop()

    def close(self) -> None:
        """Stop and release the devices."""
        self._devices.close()

    def _carry_out(
        self, act: Callable[[], dict[str, Any]], with_camera: bool = False
    ) -> dict[str, Any]:
        uses_camera = with_camera or self._instrument.axis.shares_camera
        self._stopping = False
        self._busy = True
        try:
            if uses_camera:
                self._camera_wanted.set()
            with self._camera_lock if uses_camera else nullcontext():
                return act()
        finally:
            self._camera_wanted.clear()
            self._busy = False

    def _request_stop(self) -> None:
        self._instrument.clock.request_stop("stopped from the page")

    def _look(self) -> bytes:
        """Return a live-view frame as JPEG; empty when the camera is busy or reports an error."""
        if self._camera_wanted.is_set():
            time.sleep(_RETRY_S)
            return b""
        with self._camera_lock:
            try:
                return self._camera.live_view_jpeg()
            except OperatorStop:
                # The stop was meant for the present move, so it is passed on.
                if self._busy:
                    self._request_stop()
            except (MacrorailError, OSError):
                time.sleep(_RETRY_S)
        while self._busy:
            time.sleep(0.01)
        return b""

    def _rest(self) -> None:
        with self._camera_lock, suppress(MacrorailError):
            self._camera.end_live_view()


def main() -> None:
    """Carry out the parent process's requests until the parent closes the pipe."""
    holder = InstrumentHolder()
    signal.signal(STOP_SIGNAL, lambda *_: holder.stop())
    try:
        serve(
            {
                "open": holder.open,
                "home": holder.home,
                "move": holder.move,
                "configure": holder.configure,
                "shoot": holder.shoot,
            }
        )
    finally:
        holder.close()


if __name__ == "__main__":
    main()
