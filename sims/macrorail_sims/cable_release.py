"""A camera on the rail's cable release: the board's pins release the shutter.

The camera body is the same as with PTP/IP, but has no data connection. Its settings are made by
hand. Its shutter follows the release line, which the board's pins drive. Its files are moved to a
folder, as by a card reader or a Wi-Fi card.
"""

from __future__ import annotations

from pathlib import Path

from macrorail_sims.bodies.base import BodyEventKind, BodyExposure, CameraBody
from macrorail_sims.bodies.faults import Action, Fault, Refusal
from macrorail_sims.carriage import TICKS_PER_S, Carriage


class CableRelease:
    """Passes releases from the board to a camera body, and the body's files to a folder.

    Parameters
    ----------
    body
        The camera at the end of the cable.
    carriage
        The carriage whose board has the release pins.
    folder
        Folder in which the camera's files appear.
    """

    def __init__(self, body: CameraBody, carriage: Carriage, folder: Path) -> None:
        self._body = body
        self._state = carriage.state
        self._folder = folder
        self._presses = int(carriage.state.presses)
        self._held: Fault | None = None
        self._holding = False
        self._shots: list[BodyExposure] = []

    def run_until(self, world_s: float) -> None:
        """Simulate up to a world time in seconds; must be called often."""
        if self._state.presses != self._presses:
            self._presses = int(self._state.presses)
            self._press(self._state.pressed_at / TICKS_PER_S)
        if self._holding and not self._state.release:
            self._holding = False
            self._shots.append(
                self._body.close_bulb(self._state.let_go_at / TICKS_PER_S, self._held)
            )
        shoe_was_closed = bool(self._state.shoe)
        open_now = any(shot.light.start_s <= world_s for shot in self._shots)
        self._state.shoe = int(open_now or self._holding)
        for shot in [shot for shot in self._shots if shot.light.end_s <= world_s]:
            # Even in a short exposure, the board must see the contact closed at least once.
            if shoe_was_closed:
                self._shots.remove(shot)
                self._body.develop(shot)
        self._carry_files()

    def _press(self, at_s: float) -> None:
        fault = self._body.faults.take("release")
        if fault is not None and fault.action is Action.REFUSE:
            return  # asleep or not plugged in: nothing happens
        try:
            if self._body.is_bulb:
                self._body.open_bulb(at_s, to_card=True)
                self._holding, self._held = True, fault
            else:
                self._shots.append(self._body.release(to_card=True, fault=fault, at_s=at_s))
        except Refusal:
            return  # busy, full or unable to focus: nothing happens

    def _carry_files(self) -> None:
        for notice in self._body.take_notices():
            if notice.kind is not BodyEventKind.FILE_ADDED:
                continue
            file = self._body.file(notice.handle)
            aside = self._folder / f".{file.name}"
            aside.write_bytes(file.data)
            aside.rename(self._folder / file.name)
            self._body.delete(notice.handle)
