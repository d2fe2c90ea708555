"""The process that holds the instrument while somebody sets up: jogs, test shots, one at a time.

It is started by the operator's page and speaks the JSON lines of ``controller.workers``. A stop
comes as SIGUSR1, because a request would have to wait its turn behind the move that it is to end.
When whoever started it goes away, its input ends, the axis is brought to rest and the devices are
released.
"""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from controller.errors import OperatorStop
from controller.frame import verify_frame
from controller.instrument import load_rig
from controller.rig import Instrument, connect
from controller.workers import serve

STOP_SIGNAL = signal.SIGUSR1


class Session:
    """One instrument, from ``open`` until the process ends."""

    def __init__(self) -> None:
        self._devices = ExitStack()
        self._instrument: Instrument | None = None
        self._busy = False
        self._shots = 0

    def open(self, rig: str) -> dict[str, Any]:
        """Connect; nothing moves."""
        instrument = self._devices.enter_context(connect(load_rig(Path(rig))))
        axis = instrument.axis.open()
        camera = instrument.camera.open()
        self._instrument = instrument
        return {
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

    def shoot(self, folder: str, settings: dict[str, str]) -> dict[str, Any]:
        """One picture with these settings, into ``folder``."""

        def shoot(instrument: Instrument) -> dict[str, Any]:
            kept = instrument.camera.configure(settings)
            self._shots += 1
            exposure = instrument.camera.expose(Path(folder) / f"test-{self._shots}")
            frame = instrument.camera.collect(exposure)
            verify_frame(frame)
            return {"picture": frame.path.name, "settings": kept}

        return self._at_work(shoot)

    def stop(self) -> None:
        """End what is under way; where nothing is, there is nothing to stop."""
        if self._busy and self._instrument is not None:
            self._instrument.clock.request_stop("stopped from the page")

    def close(self) -> None:
        """Bring everything to rest and release it."""
        self._devices.close()

    def _at_work(self, act: Any) -> dict[str, Any]:
        assert self._instrument is not None, "the session is not open"
        self._busy = True
        try:
            answer: dict[str, Any] = act(self._instrument)
            return answer
        finally:
            self._busy = False


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
                "shoot": session.shoot,
            }
        )
    finally:
        session.close()


if __name__ == "__main__":
    main()
