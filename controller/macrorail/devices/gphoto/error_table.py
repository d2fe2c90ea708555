"""Translates failures of libgphoto2 to error classes, by one table of its codes and texts.

libgphoto2 returns a number and, through its context, sometimes a text. Many failures share the
numbers -1 and -113; then the text decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from macrorail.errors import (
    AutofocusFailed,
    BatteryExhausted,
    CameraBusy,
    CameraError,
    CameraSettingRefused,
    CameraStorageFull,
    CameraUnsupported,
    ConnectError,
    DeviceError,
    DeviceLost,
    DeviceTimeout,
    FocusLimit,
    FrameMissing,
    NotInLiveView,
)

GP_ERROR = -1
GP_ERROR_IO = -7


@dataclass(frozen=True)
class ErrorMeaning:
    """Error class of a failure, and what to do next."""

    error: type[DeviceError]
    advice: str


_BY_TEXT: tuple[tuple[str, ErrorMeaning], ...] = (
    ("device busy", ErrorMeaning(CameraBusy, "drain the camera and wait a moment")),
    # libgphoto2 discards the answer of a Sony to a focus drive.
    ("'manualfocus' not found", ErrorMeaning(CameraBusy, "drain the camera and wait a moment")),
    (
        "invalid object handle",
        ErrorMeaning(FrameMissing, "drain the camera before the next exposure"),
    ),
    ("battery", ErrorMeaning(BatteryExhausted, "charge or replace the battery")),
    ("liveview mode", ErrorMeaning(NotInLiveView, "switch live view on before driving the lens")),
    (
        "liveview cannot start",
        ErrorMeaning(CameraError, "correct what the camera reports, then open it again"),
    ),
    ("at limit", ErrorMeaning(FocusLimit, "the lens is at its end stop; home the axis")),
    ("stepping too small", ErrorMeaning(CameraError, "drive the lens by more steps at once")),
    ("store full", ErrorMeaning(CameraStorageFull, "empty or replace the card")),
    ("out of focus", ErrorMeaning(AutofocusFailed, "set the lens or the body to manual focus")),
)

_BY_CODE: dict[int, ErrorMeaning] = {
    -2: ErrorMeaning(CameraSettingRefused, "check the setting's name and value"),
    -3: ErrorMeaning(CameraStorageFull, "empty or replace the card"),
    -6: ErrorMeaning(
        CameraUnsupported, "this body does not support it; change the rig or the protocol"
    ),
    -7: ErrorMeaning(DeviceLost, "check cable and power, then open the camera again"),
    -10: ErrorMeaning(DeviceTimeout, "open the camera again and drain it"),
    -52: ErrorMeaning(DeviceLost, "check cable and power, then open the camera again"),
    -53: ErrorMeaning(
        ConnectError,
        "another program is using the camera; on a desktop release it with 'gio mount -s gphoto2'",
    ),
    -105: ErrorMeaning(ConnectError, "check the rig's port and that the camera is switched on"),
    -108: ErrorMeaning(FrameMissing, "drain the camera before the next exposure"),
    -110: ErrorMeaning(CameraBusy, "drain the camera and wait a moment"),
    -115: ErrorMeaning(CameraStorageFull, "empty or replace the card"),
}

_DEFAULT = ErrorMeaning(
    CameraError, "check the camera's display, then drain it before the next exposure"
)


def explain(code: int, text: str, doing: str) -> DeviceError:
    """Return the error to raise for a failure of libgphoto2.

    Parameters
    ----------
    code
        Error number of libgphoto2, < 0.
    text
        Text from the library's context, in English, or empty.
    doing
        Operation that failed ("releasing the shutter").
    """
    lowered = text.lower()
    meaning = next((meaning for part, meaning in _BY_TEXT if part in lowered), None)
    if meaning is None:
        meaning = _BY_CODE.get(code, _DEFAULT)
    said = f"{text.strip().rstrip('.')} ({code})" if text.strip() else f"error {code}"
    return meaning.error(f"{doing}: the camera library reports {said}; {meaning.advice}")


def explain_connect(code: int, text: str, port: str) -> DeviceError:
    """Return the error to raise when a camera cannot be opened; always a ``ConnectError``."""
    error = explain(code, text, f"opening the camera at {port}")
    if isinstance(error, ConnectError):
        return error
    return ConnectError(
        f"no camera responds at {port} ({text or f'error {code}'}); check the rig's port, the "
        f"cable and that the camera is switched on"
    )
