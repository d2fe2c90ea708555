"""What the camera's owner does to see and to focus: live view, and the lens's motor.

Makers drive a lens in three ways: by any number of steps, by drives of a few fixed sizes, to a
place.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import gphoto2 as gp

from macrorail.devices.gphoto.library import BACK_OFF_S, Library
from macrorail.devices.gphoto.settings import FOCUS_DRIVES, drive_sizes, drive_values
from macrorail.devices.gphoto.widgets import choices_of, text_of
from macrorail.errors import (
    CameraBusy,
    CameraError,
    CameraSettingRefused,
    CameraUnsupported,
    FocusLimit,
)


class Focusing(Library):
    """A camera that shows what it sees and turns its lens."""

    def __init__(self) -> None:
        super().__init__()
        self._drives_to_a_place = False
        self._sees_always = False
        self._in_live_view = False

    def preview(self, path: str) -> dict[str, Any]:
        """Write a frame of live view as a JPEG; switches live view on when it is off."""
        if not (self._in_live_view or self._sees_always):
            self._set_live_view(True)

        def look() -> bytes:
            file = gp.CameraFile()
            self._owned().capture_preview(file, self._context)
            return bytes(memoryview(file.get_data_and_size()))

        Path(path).write_bytes(self._patiently(look, "looking through live view"))
        return {}

    def end_live_view(self) -> dict[str, Any]:
        """Live view off, if it is on."""
        if self._in_live_view:
            self._set_live_view(False)
        return {}

    def drive_focus(self, steps: int, size: int) -> dict[str, Any]:
        """Turn the lens's motor, towards far when positive; answers when it is at rest.

        Of a body with sizes of drive, the last may still be on its way: nothing tells its end.
        """
        if steps == 0:
            # A Nikon turns zero into one step.
            raise CameraSettingRefused("a focus drive of zero steps was asked for; leave it out")
        if self._drives_to_a_place:
            self._drive_to_a_place(steps)
            return {}
        name, drive = self._find_drive()
        if size > max(1, self._drive_sizes()):
            raise CameraUnsupported(
                f"this body has {self._drive_sizes()} sizes of drive, and one of size {size} was "
                f"asked for; calibrate the lens on this body"
            )
        values = drive_values(name, drive.get_type() == gp.GP_WIDGET_RANGE, steps, size)
        if not self._in_live_view and self._widget("viewfinder") is not None:
            self._set_live_view(True)
        began = time.monotonic()
        try:
            for value in values:
                self._patiently(partial(self._drive_once, name, value), "driving the lens")
        except CameraBusy as error:
            if time.monotonic() - began > sum(BACK_OFF_S) + 0.5:
                raise CameraError(
                    f"the lens was still moving when libgphoto2 gave up on a drive of {steps} "
                    f"steps; drive it by fewer steps at once and home it again"
                ) from error
            raise
        return {}

    def _drive_to_a_place(self, steps: int) -> None:
        """Of a body whose drive takes an absolute position: so many steps from where it is."""
        name, widget = self._find_drive()
        wanted = round(float(text_of(widget) or 0)) + steps
        lowest, highest, _ = widget.get_range()
        reachable = round(min(max(wanted, lowest), highest))

        self._patiently(partial(self._drive_once, name, float(reachable)), "driving the lens")
        kept = self._read_until(name, str(reachable))
        if kept != str(reachable):
            raise CameraError(
                f"the lens was sent to position {reachable} and stands at {kept}; home it again"
            )
        if reachable != wanted:
            raise FocusLimit(
                f"driving the lens: position {wanted} lies beyond its end stop at {reachable}; "
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
        # A used widget may not be sent again.
        widget = self._widget(name)
        widget.set_value(value)
        self._owned().set_single_config(name, widget, self._context)

    def _set_live_view(self, on: bool) -> None:
        def switch() -> None:
            widget = self._widget("viewfinder")
            if widget is None:
                raise CameraUnsupported("this camera has no live view, which its focus drive needs")
            widget.set_value(int(on))
            self._owned().set_single_config("viewfinder", widget, self._context)

        self._patiently(switch, f"switching live view {'on' if on else 'off'}")
        self._in_live_view = on
