"""Calls libgphoto2 and raises the project's error classes for its failures.

libgphoto2 reports the reason of a failure as a text through its context. So each failure is
translated where that text is received.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import gphoto2 as gp

from macrorail.devices.gphoto.error_table import GP_ERROR, explain
from macrorail.devices.gphoto.widgets import text_of
from macrorail.errors import CameraBusy, CameraError, ConnectError, DeviceLost

BACK_OFF_S = (0.05, 0.1, 0.2, 0.4, 0.8)
_SETTING_TAKES_S = 4.0
"""Longest time until a changed setting is read back. libgphoto2 caches a value for two seconds; a
Sony takes up to one second for each change."""
_Result = TypeVar("_Result")


class GphotoLibrary:
    """A camera opened with libgphoto2, and the last messages of the library."""

    def __init__(self) -> None:
        self._camera: Any = None
        self._messages: list[str] = []
        self._context = gp.Context()
        # This reference keeps the callback from being freed.
        self._callback = self._context.set_error_func(self._on_message, None)
        # Names of files that arrived while no exposure was waiting for a file.
        self._unclaimed: list[str] = []

    def _open_camera(self) -> Any:
        if self._camera is None:
            raise ConnectError("the camera is not open; open it first")
        return self._camera

    def _on_message(self, _context: object, text: str | bytes, _data: object = None) -> None:
        self._messages.append(text.decode(errors="replace") if isinstance(text, bytes) else text)

    def _take_messages(self) -> str:
        said, self._messages = " ".join(self._messages), []
        return said

    def _explained(self, error: Any, doing: str) -> Exception:
        """Return the error to raise for a failed call; for -1, check if the connection is lost."""
        explained = explain(error.code, self._take_messages(), doing)
        if error.code == GP_ERROR and type(explained) is CameraError:
            try:
                self._unclaimed += self._drain_events(quiet_ms=1)
                # With a Fujifilm, libgphoto2 waits for events even if the connection is lost.
                self._open_camera().get_summary(self._context)
            except DeviceLost as lost:
                return lost
            except gp.GPhoto2Error as second:
                probed = explain(second.code, self._take_messages(), doing)
                return probed if isinstance(probed, DeviceLost) else explained
        return explained

    def _wait_for_event(self, timeout_ms: int) -> tuple[int, Any]:
        try:
            kind, data = self._open_camera().wait_for_event(timeout_ms, self._context)
        except gp.GPhoto2Error as error:
            text = self._take_messages()
            if error.code == GP_ERROR:
                # A connected camera always answers a wait for events.
                raise DeviceLost(
                    f"the connection to the camera is lost ({text or 'error -1'}); check cable and "
                    f"power, then open it again"
                ) from error
            raise explain(error.code, text, "waiting for the camera") from error
        return kind, data

    def _drain_events(self, quiet_ms: int) -> list[str]:
        """Receive events until there is none for ``quiet_ms``; return the names of new files."""
        names: list[str] = []
        while True:
            kind, data = self._wait_for_event(quiet_ms)
            if kind == gp.GP_EVENT_TIMEOUT:
                return names
            if kind == gp.GP_EVENT_FILE_ADDED:
                names.append(data.name)

    def _retry_while_busy(self, act: Callable[[], _Result], doing: str) -> _Result:
        """Call ``act``; while the camera is busy and refuses at once, wait and call it again."""
        for pause_s in (*BACK_OFF_S, None):
            began = time.monotonic()
            try:
                return act()
            except gp.GPhoto2Error as error:
                refused_at_once = time.monotonic() - began < 0.5
                failed = self._explained(error, doing)
                if not isinstance(failed, CameraBusy) or pause_s is None or not refused_at_once:
                    raise failed from error
            self._unclaimed += self._drain_events(quiet_ms=0)
            time.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    def _widget(self, name: str) -> Any:
        """Return a new widget for the setting ``name``; ``None`` if there is no such setting.

        Each change of a setting needs a new widget, because a widget cannot be sent twice.
        """
        try:
            return self._open_camera().get_single_config(name, self._context)
        except gp.GPhoto2Error as error:
            text = self._take_messages()
            if error.code in (-1, -2):  # an unknown name, depending on the maker
                return None
            raise explain(error.code, text, f"reading {name}") from error

    def _read(self, name: str) -> str | None:
        widget = self._widget(name)
        return None if widget is None else text_of(widget)

    def _read_until(self, name: str, wanted: str) -> str | None:
        """Read a widget until it has the value that was set, or for some seconds at most.

        Returns the value that was read last. Some bodies need a while to report a new value.
        """
        deadline = time.monotonic() + _SETTING_TAKES_S
        while (kept := self._read(name)) != wanted and time.monotonic() < deadline:
            time.sleep(BACK_OFF_S[1])
        return kept
