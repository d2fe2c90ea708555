"""A camera on the rail's cable: the board's contacts press its shutter, its files reach a folder.

The body is the one that PTP/IP serves elsewhere; here nobody speaks to it. It was set by hand, its
shutter follows the release line as the board's pins drove it, and what it has stored is carried
into a folder, as a card reader or a Wi-Fi card would.
"""

from __future__ import annotations

from pathlib import Path

from macrorail_sims.bodies.base import Body, Kind, Shot
from macrorail_sims.bodies.faults import Action, Fault, Refusal
from macrorail_sims.carriage import TICKS_PER_S, Carriage


class Cable:
    """Carries presses to a body and its files to a folder.

    Parameters
    ----------
    body
        The camera at the end of the cable.
    carriage
        Whose board's pins press it.
    folder
        Where its files appear.
    """

    def __init__(self, body: Body, carriage: Carriage, folder: Path) -> None:
        self._body = body
        self._state = carriage.state
        self._folder = folder
        self._presses = int(carriage.state.presses)
        self._held: Fault | None = None
        self._holding = False
        self._shots: list[Shot] = []

    def live_until(self, world_s: float) -> None:
        """Let everything happen that was due by now; to be called often."""
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
            # The board has to see the contact closed once, however short the exposure was.
            if shoe_was_closed:
                self._shots.remove(shot)
                self._body.develop(shot)
        self._carry_files()

    def _press(self, at_s: float) -> None:
        fault = self._body.faults.take("release")
        if fault is not None and fault.action is Action.REFUSE:
            return  # asleep, or its plug half out: it does nothing, and says nothing
        try:
            if self._body.is_bulb:
                self._body.open_bulb(at_s, to_card=True)
                self._holding, self._held = True, fault
            else:
                self._shots.append(self._body.release(to_card=True, fault=fault, at_s=at_s))
        except Refusal:
            return  # busy, full or trying to focus: the same

    def _carry_files(self) -> None:
        for notice in self._body.take_notices():
            if notice.kind is not Kind.FILE_ADDED:
                continue
            file = self._body.file(notice.handle)
            aside = self._folder / f".{file.name}"
            aside.write_bytes(file.data)
            aside.rename(self._folder / file.name)
            self._body.delete(notice.handle)
