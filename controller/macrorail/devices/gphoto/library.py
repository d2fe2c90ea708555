"""What the camera's owner needs of libgphoto2: calls with their failures told by class.

The library says why something failed through its context, so each failure is explained where its
words are heard.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import gphoto2 as gp

from macrorail.devices.gphoto.errors import GP_ERROR, explain
from macrorail.devices.gphoto.widgets import text_of
from macrorail.errors import CameraBusy, CameraError, ConnectError, DeviceLost

BACK_OFF_S = (0.05, 0.1, 0.2, 0.4, 0.8)
_SETTING_TAKES_S = 4.0
"""libgphoto2 believes in what it has read for two seconds; a Sony takes up to one for each."""
_Got = TypeVar("_Got")


class Library:
    """A camera of libgphoto2's, and what the library said last."""

    def __init__(self) -> None:
        self._camera: Any = None
        self._said: list[str] = []
        self._context = gp.Context()
        # The callback lives as long as this reference to it.
        self._callback = self._context.set_error_func(self._hear, None)
        # Names of files that nobody was waiting for when they came.
        self._orphans: list[str] = []

    def _owned(self) -> Any:
        if self._camera is None:
            raise ConnectError("the camera is not open; open it first")
        return self._camera

    def _hear(self, _context: object, text: str | bytes, _data: object = None) -> None:
        self._said.append(text.decode(errors="replace") if isinstance(text, bytes) else text)

    def _heard(self) -> str:
        said, self._said = " ".join(self._said), []
        return said

    def _failed(self, error: Any, doing: str) -> Exception:
        """What to raise for a failed call; -1 can also mean that the camera is gone."""
        explained = explain(error.code, self._heard(), doing)
        if error.code == GP_ERROR and type(explained) is CameraError:
            try:
                self._orphans += self._take_in(quiet_ms=1)
                # Of a Fujifilm libgphoto2 waits for events on a line that is dead.
                self._owned().get_summary(self._context)
            except DeviceLost as lost:
                return lost
            except gp.GPhoto2Error as second:
                probed = explain(second.code, self._heard(), doing)
                return probed if isinstance(probed, DeviceLost) else explained
        return explained

    def _wait(self, timeout_ms: int) -> tuple[int, Any]:
        try:
            kind, data = self._owned().wait_for_event(timeout_ms, self._context)
        except gp.GPhoto2Error as error:
            text = self._heard()
            if error.code == GP_ERROR:
                # A camera that is there answers a wait for events, whatever else it refuses.
                raise DeviceLost(
                    f"the camera is gone ({text or 'error -1'}); check cable and power, then open "
                    f"it again"
                ) from error
            raise explain(error.code, text, "waiting for the camera") from error
        return kind, data

    def _take_in(self, quiet_ms: int) -> list[str]:
        """Everything the camera has to say, until it says nothing for ``quiet_ms``."""
        names: list[str] = []
        while True:
            kind, data = self._wait(quiet_ms)
            if kind == gp.GP_EVENT_TIMEOUT:
                return names
            if kind == gp.GP_EVENT_FILE_ADDED:
                names.append(data.name)

    def _patiently(self, act: Callable[[], _Got], doing: str) -> _Got:
        """Do what a busy camera refuses at once and untouched, backing off in between."""
        for pause_s in (*BACK_OFF_S, None):
            began = time.monotonic()
            try:
                return act()
            except gp.GPhoto2Error as error:
                refused_at_once = time.monotonic() - began < 0.5
                failed = self._failed(error, doing)
                if not isinstance(failed, CameraBusy) or pause_s is None or not refused_at_once:
                    raise failed from error
            self._orphans += self._take_in(quiet_ms=0)
            time.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    def _widget(self, name: str) -> Any:
        """A fresh widget (a used one may not be sent again), or ``None`` without such a setting."""
        try:
            return self._owned().get_single_config(name, self._context)
        except gp.GPhoto2Error as error:
            text = self._heard()
            if error.code in (-1, -2):  # an unknown name, depending on the maker
                return None
            raise explain(error.code, text, f"reading {name}") from error

    def _read(self, name: str) -> str | None:
        widget = self._widget(name)
        return None if widget is None else text_of(widget)

    def _read_until(self, name: str, wanted: str) -> str | None:
        """Read a widget until it tells what was set: some bodies take their time."""
        deadline = time.monotonic() + _SETTING_TAKES_S
        while (kept := self._read(name)) != wanted and time.monotonic() < deadline:
            time.sleep(BACK_OFF_S[1])
        return kept
