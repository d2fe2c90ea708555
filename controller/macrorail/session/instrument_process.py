"""The process that holds the instrument while somebody sets up: jogs, test shots, one at a time,
and live view beside them.

It is started by the operator's page and speaks the JSON lines of ``macrorail.workers``. A stop
comes as SIGUSR1, because a request would have to wait its turn behind the move that it is to end.
When whoever started it goes away, its input ends, the axis is brought to rest and the devices are
released.
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
from macrorail.devices.interfaces import LiveView, OffersChoices
from macrorail.errors import MacrorailError, OperatorStop
from macrorail.frame import verify_frame
from macrorail.session.live_view import LiveViewServer
from macrorail.workers import serve

STOP_SIGNAL = signal.SIGUSR1
#: A camera that refuses to be looked through is asked again so much later.
_REFUSED_S = 0.3


class Session:
    """One instrument, from ``open`` until the process ends."""

    def __init__(self) -> None:
        self._devices = ExitStack()
        self._instrument: Instrument | None = None
        self._busy = self._stopping = False
        self._shots = 0
        # The camera does one thing at a time, and what was asked for comes before a look.
        self._camera = threading.Lock()
        self._in_use = threading.Event()
        self._seen = Path()

    def open(self, rig: str, folder: str) -> dict[str, Any]:
        """Connect; nothing moves. ``folder`` takes the test shots and live view's socket."""
        instrument = self._devices.enter_context(connect(load_rig(Path(rig))))
        axis = instrument.axis.open()
        camera = instrument.camera.open()
        self._instrument = instrument
        device = instrument.camera
        live = isinstance(device, LiveView) and "live_view" in camera.abilities
        self._seen = Path(folder) / "live.jpg"
        if live:
            looking = LiveViewServer(Path(folder), self._look, self._rest)
            self._devices.callback(looking.close)
        return {
            "live": live,
            "choices": device.choices() if isinstance(device, OffersChoices) else {},
            "settings": dict(camera.settings),
            "axis": axis.model,
            "camera": camera.model,
            "battery_percent": camera.battery_percent,
            "travel_um": list(axis.travel_um),
            "resolution_um": axis.resolution_um,
            "position_um": axis.position_um,
        }

    def home(self) -> dict[str, Any]:
        """Find the reference, away from the specimen."""
        return self._at_work(lambda instrument: {"position_um": instrument.axis.home()})

    def move(self, position_um: float) -> dict[str, Any]:
        """Go there; a stop on the way brings the axis to rest."""

        def go(instrument: Instrument) -> dict[str, Any]:
            try:
                instrument.axis.start_move(position_um)
                return {"position_um": instrument.axis.finish_move()}
            except OperatorStop:
                instrument.axis.stop()
                raise

        return self._at_work(go)

    def configure(self, settings: dict[str, str]) -> dict[str, Any]:
        """Set the camera, so that live view shows what a picture would."""

        def set_up(instrument: Instrument) -> dict[str, Any]:
            return {"settings": instrument.camera.configure(settings)}

        return self._at_work(set_up, with_camera=True)

    def shoot(self, folder: str, settings: dict[str, str]) -> dict[str, Any]:
        """One picture with these settings, into ``folder``."""

        def shoot(instrument: Instrument) -> dict[str, Any]:
            kept = instrument.camera.configure(settings)
            self._shots += 1
            exposure = instrument.camera.expose(Path(folder) / f"test-{self._shots}")
            frame = instrument.camera.collect(exposure)
            verify_frame(frame)
            return {"picture": frame.path.name, "settings": kept}

        return self._at_work(shoot, with_camera=True)

    def stop(self) -> None:
        """End what is under way; where nothing is, there is nothing to stop."""
        # Once for each thing under way: coming to rest must not be interrupted in its turn.
        if self._busy and not self._stopping:
            self._stopping = True
            self._request_stop()

    def close(self) -> None:
        """Bring everything to rest and release it."""
        self._devices.close()

    def _at_work(
        self, act: Callable[[Instrument], dict[str, Any]], with_camera: bool = False
    ) -> dict[str, Any]:
        assert self._instrument is not None, "the session is not open"
        uses_camera = with_camera or self._instrument.axis.shares_camera
        self._stopping = False
        self._busy = True
        try:
            if uses_camera:
                self._in_use.set()
            with self._camera if uses_camera else nullcontext():
                return act(self._instrument)
        finally:
            self._in_use.clear()
            self._busy = False

    def _request_stop(self) -> None:
        assert self._instrument is not None
        self._instrument.clock.request_stop("stopped from the page")

    def _look(self) -> bytes:
        """A frame of live view; nothing when the camera is at other work or refuses."""
        assert self._instrument is not None
        camera = self._instrument.camera
        assert isinstance(camera, LiveView)
        if self._in_use.is_set():
            time.sleep(_REFUSED_S)
            return b""
        with self._camera:
            try:
                camera.preview(self._seen)
                return self._seen.read_bytes()
            except OperatorStop:
                # It was meant for the move beside us, whose wait ends by it.
                if self._busy:
                    self._request_stop()
            except (MacrorailError, OSError):
                time.sleep(_REFUSED_S)
        while self._busy:
            time.sleep(0.01)
        return b""

    def _rest(self) -> None:
        assert self._instrument is not None
        camera = self._instrument.camera
        with self._camera, suppress(MacrorailError):
            if isinstance(camera, LiveView):
                camera.end_live_view()


def main() -> None:
    """Serve the parent until it closes the pipe."""
    session = Session()
    signal.signal(STOP_SIGNAL, lambda *_: session.stop())
    try:
        serve(
            {
                "open": session.open,
                "home": session.home,
                "move": session.move,
                "configure": session.configure,
                "shoot": session.shoot,
            }
        )
    finally:
        session.close()


if __name__ == "__main__":
    main()
