"""The camera's worker process: the only process that uses libgphoto2.

libgphoto2 can crash, hang, or block the Python interpreter for seconds. All of this affects only
this process, which can be killed and restarted. It is started by
:mod:`macrorail.devices.gphoto.camera`, which also guards every request with a timeout.
"""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import gphoto2 as gp

from macrorail.devices.gphoto.error_table import GP_ERROR, explain_connect
from macrorail.devices.gphoto.live_view import LiveViewAndFocus
from macrorail.devices.gphoto.preflight import WIDGETS as MODE_WIDGETS
from macrorail.devices.gphoto.settings import (
    FOCUS_DRIVES,
    WIDGETS,
    choose,
    exceeds,
    formats_of,
    widgets_of,
)
from macrorail.devices.gphoto.widgets import choices_of, text_of
from macrorail.errors import (
    AutofocusFailed,
    CameraBusy,
    CameraError,
    CameraSettingRefused,
    CameraStorageFull,
    CameraUnsupported,
    DeviceLost,
    FrameMissing,
)
from macrorail.frame import store_frame
from macrorail.workers import serve

_EVENT_WAIT_MS = 500
_QUIET_MS = 150
_MANUAL_FOCUS = ("manual", "mf", "manual focus")

_MEMORY_FOLDER = "/"
"""Folder in which libgphoto2 shows frames in the camera's memory; fetching a frame removes it."""


class CameraWorker(LiveViewAndFocus):
    """Uses the camera and handles the parent's requests, one at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._port = ""
        self._number = 0
        self._released = False
        self._arrived: list[tuple[str, str]] = []
        self._release_lasts = False
        self._release_in_parts = False
        self._gave_up = False

    def open(self, port: str) -> dict[str, Any]:
        """Connect; return the camera's model, settings and abilities."""
        self._port = port
        camera = gp.Camera()
        ports, models = gp.PortInfoList(), gp.CameraAbilitiesList()
        try:
            ports.load()
            if port.startswith("ptpip:"):
                models.load()
                camera.set_abilities(models[models.lookup_model("PTP/IP Camera")])
            if port != "auto":
                camera.set_port_info(ports[ports.lookup_path(port)])
            camera.init(self._context)
        except gp.GPhoto2Error as error:
            raise explain_connect(error.code, self._take_messages(), port) from error
        self._camera = camera
        maker = (self._read("manufacturer") or "").lower()
        self._release_lasts = "nikon" in maker
        # The focus drive of a Fujifilm takes a position, that of a Nikon a number of steps.
        self._drives_to_position = "fuji" in maker
        # A Sony is always in live view; its release takes four requests.
        self._live_view_always_on = self._release_in_parts = "sony" in maker
        target = self._card_or_first()
        if target is not None:
            self._set_text("capture_target", target)
        return {
            "model": self._read("cameramodel") or "unknown",
            "version": self._read("deviceversion") or "unknown",
            "serial": self._read("serialnumber") or "unknown",
            "battery": self._read("batterylevel"),
            "abilities": self._abilities(),
            "drive_sizes": self._drive_sizes(),
            "refusals_certain": not self._release_in_parts,
            "settings": self._settings(),
            "card": self._card_files(),
        }

    def configure(self, settings: dict[str, str]) -> dict[str, Any]:
        """Set each setting and read it back; return all settings."""
        for name, value in settings.items():
            if name == "shutter":
                self._set_shutter(value)
            else:
                self._set_text(name, value)
        return {"settings": self._settings()}

    def expose(self, number: int, timeout_s: float) -> dict[str, Any]:
        """Release the shutter; return when the exposure is over.

        On a Nikon the release call lasts as long as the exposure. On other bodies the call returns
        at once and the end of the exposure is not reported, so this method waits for the first
        file.
        """
        if self._released:
            raise CameraBusy(
                f"exposure {self._number} has not been collected; drain the camera first"
            )
        self._unclaimed += self._drain_events(quiet_ms=0)
        self._release()
        self._arrived = []
        self._gave_up = not self._release_lasts and not self._first_file_came(timeout_s)
        self._number, self._released = number, True
        return {}

    def open_shutter(self) -> dict[str, Any]:
        """Open the shutter until :meth:`close_shutter` is called; the camera is set to bulb."""
        if self._released:
            raise CameraBusy(
                f"exposure {self._number} has not been collected; drain the camera first"
            )
        self._unclaimed += self._drain_events(quiet_ms=0)
        self._retry_while_busy(partial(self._hold_open, True), "opening the shutter")
        self._arrived = []
        return {}

    def close_shutter(self, number: int, timeout_s: float) -> dict[str, Any]:
        """End the exposure; return when it is over, as :meth:`expose` does."""
        self._retry_while_busy(partial(self._hold_open, False), "closing the shutter")
        self._gave_up = not self._release_lasts and not self._first_file_came(timeout_s)
        self._number, self._released = number, True
        return {}

    def collect(self, number: int, stem: str, timeout_s: float) -> dict[str, Any]:
        """Receive and store the frame of an exposure; delete it from the camera once stored."""
        if not self._released or number != self._number:
            raise FrameMissing(f"exposure {number} gave no frame: its shutter was not released")
        self._released = False
        if self._gave_up:
            timeout_s = 0.0  # the time limit has already passed
        # Read this now, while the axis moves; before the release it would cost time.
        wanted = len(formats_of(self._read_setting("image_format")))
        deadline = time.monotonic() + timeout_s
        arrived, self._arrived = self._arrived, []
        complete = False
        while len(arrived) < wanted or not complete:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            # When all files are received, only events that are already pending matter.
            wait_ms = 1 if len(arrived) >= wanted else min(_EVENT_WAIT_MS, int(left_s * 1000) + 1)
            kind, data = self._wait_for_event(wait_ms)
            if kind == gp.GP_EVENT_FILE_ADDED:
                arrived.append((data.folder, data.name))
            elif kind == gp.GP_EVENT_CAPTURE_COMPLETE:
                complete = True
            elif kind == gp.GP_EVENT_TIMEOUT and len(arrived) >= wanted:
                break
        if len(arrived) != wanted:
            raise FrameMissing(
                f"exposure {number}: {len(arrived)} of {wanted} files arrived within "
                f"{timeout_s:g} s; drain the camera before the next exposure"
            )
        return {"files": [self._fetch(folder, name, Path(stem)) for folder, name in arrived]}

    def fetch(self, paths: list[str], stem: str) -> dict[str, Any]:
        """Fetch an exposure's frame from the card: the files that appeared since its release."""
        wanted = len(formats_of(self._read_setting("image_format")))
        if len(paths) != wanted:
            raise FrameMissing(
                f"{len(paths)} new files are on the card where the exposure gives {wanted}"
                f"{': ' if paths else ''}{', '.join(paths)}; its slice is shot again"
            )
        split = [path.rpartition("/") for path in paths]
        return {"files": [self._fetch(folder, name, Path(stem)) for folder, _, name in split]}

    def health(self) -> dict[str, Any]:
        """Return battery charge, free space on the card in kB, and the modes of the camera.

        The modes may have been changed on the camera during the run.
        """
        try:
            stores = self._open_camera().get_storageinfo(self._context)
        except gp.GPhoto2Error as error:
            failed = self._explained(error, "reading the free space")
            if isinstance(failed, DeviceLost):
                raise failed from error
            stores = []
        return {
            "battery": self._read("batterylevel"),
            "free_kb": max((store.freekbytes for store in stores), default=None),
            "modes": {name: text for name in MODE_WIDGETS if (text := self._read(name))},
        }

    def drain(self, wait_s: float) -> dict[str, Any]:
        """Receive all events; wait up to ``wait_s`` for a frame.

        Frames in the camera's memory are discarded; those on its card stay there.
        """
        self._released, self._arrived = False, []
        names, self._unclaimed = self._unclaimed, []
        names += self._drain_events(_QUIET_MS)
        deadline = time.monotonic() + wait_s
        while not names and time.monotonic() < deadline:
            names += self._drain_events(_QUIET_MS)
        return {"files": names}

    def choices(self) -> dict[str, Any]:
        """Return the menus of aperture, shutter and ISO as the camera offers them now."""
        offered = {}
        for name in ("aperture", "shutter", "iso"):
            widgets = (self._widget(widget) for widget in WIDGETS[name])
            menu = next((choices_of(widget) for widget in widgets if widget is not None), [])
            if menu:
                offered[name] = menu
        return {"choices": offered}

    def close(self) -> dict[str, Any]:
        """Switch live view off and close the camera."""
        camera, self._camera = self._camera, None
        if camera is None:
            return {}
        try:
            if self._in_live_view:
                self._camera = camera
                self._set_live_view(False)
        finally:
            self._camera = None
            try:
                camera.exit(self._context)
            except gp.GPhoto2Error as error:
                raise self._explained(error, "closing the camera") from error
        return {}

    # Releasing and receiving.

    def _release(self) -> None:
        try:
            self._open_camera().trigger_capture(self._context)
        except gp.GPhoto2Error as error:
            failed = self._explained(error, "releasing the shutter")
            if error.code == GP_ERROR and type(failed) is CameraError:
                failed = self._reason_of_refusal() or failed
            raise failed from error

    def _reason_of_refusal(self) -> CameraError | None:
        """Return why the shutter was not released if libgphoto2 reports only -1; else ``None``."""
        try:
            free_kb = [
                store.freekbytes for store in self._open_camera().get_storageinfo(self._context)
            ]
        except gp.GPhoto2Error as error:
            _log(f"the free space cannot be read: {error}")
            free_kb = []
        if free_kb and max(free_kb) == 0:
            return CameraStorageFull("releasing the shutter: the card is full; empty or replace it")
        focus = self._read("focusmode")
        if focus is not None and focus.lower() not in _MANUAL_FOCUS:
            return AutofocusFailed(
                f"releasing the shutter: the camera refused; its focus mode is '{focus}'. Set lens "
                f"and body to manual focus"
            )
        return None

    def _first_file_came(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while not self._arrived and time.monotonic() < deadline:
            kind, data = self._wait_for_event(_EVENT_WAIT_MS)
            if kind == gp.GP_EVENT_FILE_ADDED:
                self._arrived.append((data.folder, data.name))
        return bool(self._arrived)

    def _fetch(self, folder: str, name: str, stem: Path) -> dict[str, Any]:
        try:
            # The bytes belong to the CameraFile: without this reference they would be freed.
            file = self._open_camera().file_get(
                folder, name, gp.GP_FILE_TYPE_NORMAL, None, self._context
            )
            data = bytes(memoryview(file.get_data_and_size()))
        except gp.GPhoto2Error as error:
            raise self._explained(error, f"fetching {name}") from error
        frame = store_frame(stem.with_name(stem.name + Path(name).suffix.lower()), data, name)
        if folder != _MEMORY_FOLDER:
            try:
                self._open_camera().file_delete(folder, name, self._context)
            except gp.GPhoto2Error as error:
                # The frame is safe on disk. Leaving it on the card only takes space.
                _log(f"{name} stays on the card: {error}")
        return {
            "path": str(frame.path),
            "sha256": frame.sha256,
            "size_bytes": frame.size_bytes,
            "camera_name": name,
        }

    # Settings.

    def _set_shutter(self, value: str) -> None:
        """Set the shutter time; a time that is not in the menu is exposed in bulb mode."""
        try:
            self._set_text("shutter", value)
        except CameraSettingRefused:
            _, widget = self._find("shutter")
            offered = choices_of(widget)
            bulb = next((each for each in offered if each.lower() == "bulb"), None)
            if bulb is None or not exceeds(value, offered) or self._widget("bulb") is None:
                raise
            self._set_text("shutter", bulb)

    def _hold_open(self, is_open: bool) -> None:
        widget = self._widget("bulb")
        if widget is None:
            raise CameraUnsupported(
                "the shutter of this camera cannot be held open by remote control"
            )
        widget.set_value(int(is_open))
        self._open_camera().set_single_config("bulb", widget, self._context)

    def _set_text(self, name: str, value: str) -> None:
        widget_name, widget = self._find(name)
        choices = choices_of(widget)
        chosen = choose(name, value, choices)
        by_hand = name == "capture_target" and self._is_set_by_hand(choices)
        if text_of(widget) == chosen and (by_hand or name != "capture_target"):
            return
        if by_hand:
            raise CameraSettingRefused(
                f"capture_target is '{text_of(widget)}' and cannot be set to '{chosen}' by remote "
                f"control; set in the camera's menu where still images are saved"
            )

        def put() -> None:
            fresh = self._widget(widget_name)
            fresh.set_value(chosen)
            self._open_camera().set_single_config(widget_name, fresh, self._context)

        self._retry_while_busy(put, f"setting {name} to {chosen}")
        kept = self._read_until(widget_name, chosen)
        if kept != chosen:
            raise CameraSettingRefused(
                f"{name} was set to '{chosen}' but the camera kept '{kept}'; check its mode dial "
                f"and lens"
            )

    def _find(self, name: str) -> tuple[str, Any]:
        for widget_name in widgets_of(name):
            widget = self._widget(widget_name)
            if widget is not None:
                return widget_name, widget
        raise CameraSettingRefused(f"this camera has no setting for {name}")

    def _settings(self) -> dict[str, str | None]:
        return {name: self._read_setting(name) for name in WIDGETS}

    def _read_setting(self, name: str) -> str | None:
        values = (self._read(widget) for widget in WIDGETS[name])
        return next((value for value in values if value is not None), None)

    def _card_or_first(self) -> str | None:
        """Return the value for ``capture_target``: the card, or the first choice without a card.

        Frames on the card survive a lost connection. Returns ``None`` for a body without a choice.

        Raises
        ------
        CameraSettingRefused
            A Sony saves its frames only on its card, where they cannot be read.
        """
        widget = self._widget("capturetarget")
        if widget is None:
            return None
        choices = choices_of(widget)
        if self._is_set_by_hand(choices):
            if text_of(widget) == "card":
                raise CameraSettingRefused(
                    "the camera saves its frames only on the card, where they cannot be read; set "
                    "its menu to save still images to the computer as well"
                )
            return None
        return next((choice for choice in choices if "card" in choice.lower()), choices[0])

    @staticmethod
    def _is_set_by_hand(targets: list[str]) -> bool:
        """Return whether these are the targets of a Sony, which must be set by hand.

        On a Sony libgphoto2 2.5.34 sends no value, and over PTP/IP it hangs.
        """
        return "sdram" in targets

    def _abilities(self) -> list[str]:
        operations = self._open_camera().get_abilities().operations
        trigger = gp.GP_OPERATION_TRIGGER_CAPTURE
        if self._port.startswith("ptpip:"):
            # For PTP/IP the library lists the abilities of an unknown model, without the trigger.
            trigger |= gp.GP_OPERATION_CAPTURE_IMAGE
        has = {
            "capture": operations & gp.GP_OPERATION_CAPTURE_IMAGE,
            "trigger": operations & trigger,
            "focus_drive": any(self._widget(name) is not None for name in FOCUS_DRIVES),
            "live_view": self._live_view_always_on or self._widget("viewfinder") is not None,
            "bulb": self._widget("bulb") is not None,
        }
        return sorted(name for name, present in has.items() if present)

    def _card_files(self) -> list[str]:
        """Return the path of every file on the camera's card, as ``folder/name``."""
        camera, found, folders = self._open_camera(), [], ["/"]
        try:
            while folders:
                folder = folders.pop()
                files = camera.folder_list_files(folder, self._context)
                found += [f"{folder.rstrip('/')}/{files.get_name(i)}" for i in range(files.count())]
                below = camera.folder_list_folders(folder, self._context)
                folders += [
                    f"{folder.rstrip('/')}/{below.get_name(i)}" for i in range(below.count())
                ]
        except gp.GPhoto2Error as error:
            raise self._explained(error, "listing the card") from error
        return sorted(found)


def _log(text: str) -> None:
    os.write(2, f"{text}\n".encode())


def main() -> None:
    """Answer the parent process's requests until the parent closes the pipe."""
    worker = CameraWorker()
    serve(
        {
            "open": worker.open,
            "configure": worker.configure,
            "expose": worker.expose,
            "open_shutter": worker.open_shutter,
            "close_shutter": worker.close_shutter,
            "collect": worker.collect,
            "fetch": worker.fetch,
            "drain": worker.drain,
            "health": worker.health,
            "preview": worker.preview,
            "end_live_view": worker.end_live_view,
            "choices": worker.choices,
            "drive_focus": worker.drive_focus,
            "close": worker.close,
        }
    )


if __name__ == "__main__":
    main()
