"""Live view and the focus motor of the lens, in the camera's worker process.

Camera makers drive a lens in three ways: by any number of steps, by drives of a few fixed sizes,
or to an absolute position.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import gphoto2 as gp

from macrorail.devices.gphoto.library import BACK_OFF_S, GphotoLibrary
from macrorail.devices.gphoto.settings import FOCUS_DRIVES, drive_sizes, drive_values
from macrorail.devices.gphoto.widgets import choices_of, text_of
from macrorail.errors import (
    CameraBusy,
    CameraError,
    CameraSettingRefused,
    CameraUnsupported,
    FocusLimit,
)

_FRAME_TAKES_S = 10.0
"""Time for which a camera may have no frame ready, for example after live view was switched on."""


class LiveViewAndFocus(GphotoLibrary):
    """The part of the camera worker for live view and focusing."""

    def __init__(self) -> None:
        super().__init__()
        self._drives_to_position = False
        self._live_view_always_on = False
        self._in_live_view = False

    def preview(self, path: str) -> dict[str, Any]:
        """Write a live-view frame as a JPEG; switch live view on if it is off."""
        if not (self._in_live_view or self._live_view_always_on):
            self._set_live_view(True)

        def capture() -> bytes:
            file = gp.CameraFile()
            self._open_camera().capture_preview(file, self._context)
            return bytes(memoryview(file.get_data_and_size()))

        deadline = time.monotonic() + _FRAME_TAKES_S
        while True:
            try:
                picture = self._retry_while_busy(capture, "reading live view")
            except CameraBusy:
                if time.monotonic() > deadline:
                    raise
            else:
                Path(path).write_bytes(picture)
                return {}

    def end_live_view(self) -> dict[str, Any]:
        """Switch live view off if it is on."""
        if self._in_live_view:
            self._set_live_view(False)
        return {}

    def drive_focus(self, steps: int, size: int) -> dict[str, Any]:
        """Drive the focus motor by ``steps``, towards far if positive; return when it is at rest.

        On a body with drive sizes the last drive may still be running, because the body does not
        report the end of a drive.
        """
        if steps == 0:
            # A Nikon would make one step for zero.
            raise CameraSettingRefused("a focus drive of zero steps was requested; do not call it")
        if self._drives_to_position:
            self._drive_to_position(steps)
            return {}
        name, drive = self._find_drive()
        if size > max(1, self._drive_sizes()):
            raise CameraUnsupported(
                f"this body has {self._drive_sizes()} drive sizes, and size {size} was requested; "
                f"calibrate the lens on this body"
            )
        values = drive_values(name, drive.get_type() == gp.GP_WIDGET_RANGE, steps, size)
        if not self._in_live_view and self._widget("viewfinder") is not None:
            self._set_live_view(True)
        began = time.monotonic()
        try:
            for value in values:
                self._retry_while_busy(partial(self._drive_once, name, value), "driving the lens")
        except CameraBusy as error:
            if time.monotonic() - began > sum(BACK_OFF_S) + 0.5:
                raise CameraError(
                    f"the lens was still moving when libgphoto2 timed out on a drive of {steps} "
                    f"steps; drive the lens by fewer steps at once, and home it again"
                ) from error
            raise
        return {}

    def _drive_to_position(self, steps: int) -> None:
        """Move by ``steps`` on a body whose drive takes an absolute position."""
        name, widget = self._find_drive()
        wanted = round(float(text_of(widget) or 0)) + steps
        lowest, highest, _ = widget.get_range()
        reachable = round(min(max(wanted, lowest), highest))

        self._retry_while_busy(
            partial(self._drive_once, name, float(reachable)), "driving the lens"
        )
        kept = self._read_until(name, str(reachable))
        if kept != str(reachable):
            raise CameraError(
                f"the lens was sent to position {reachable} and is at {kept}; home it again"
            )
        if reachable != wanted:
            raise FocusLimit(
                f"driving the lens: position {wanted} is beyond its end stop at {reachable}; "
                f"home the axis"
            )

    def _find_drive(self) -> tuple[str, Any]:
        for name in FOCUS_DRIVES:
            widget = self._widget(name)
            if widget is not None:
                return name, widget
        raise CameraUnsupported("this camera cannot drive its lens; use another focus axis")

    def _drive_sizes(self) -> int:
        try:
            name, widget = self._find_drive()
        except CameraUnsupported:
            return 0
        choices = choices_of(widget)
        return drive_sizes(name, choices, 0.0 if choices else widget.get_range()[1])

    def _drive_once(self, name: str, value: float | str) -> None:
        # A widget cannot be sent twice.
        widget = self._widget(name)
        widget.set_value(value)
        self._open_camera().set_single_config(name, widget, self._context)

    def _set_live_view(self, on: bool) -> None:
        def switch() -> None:
            widget = self._widget("viewfinder")
            if widget is None:
                raise CameraUnsupported("this camera has no live view, which its focus drive needs")
            widget.set_value(int(on))
            self._open_camera().set_single_config("viewfinder", widget, self._context)

        self._retry_while_busy(switch, f"switching live view {'on' if on else 'off'}")
        self._in_live_view = on
