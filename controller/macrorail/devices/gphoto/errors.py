"""What libgphoto2's failures mean: one table from its codes and texts to our error classes.

libgphoto2 gives a number and, through its context, sometimes a sentence. Many failures share the
number -1 or -113; then the sentence decides.
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
class Meaning:
    """An error class and what to do next."""

    error: type[DeviceError]
    advice: str


_BY_TEXT: tuple[tuple[str, Meaning], ...] = (
    ("device busy", Meaning(CameraBusy, "drain the camera and wait a moment")),
    # What a Sony answers to a drive of its lens is lost on the way through libgphoto2.
    ("'manualfocus' not found", Meaning(CameraBusy, "drain the camera and wait a moment")),
    ("invalid object handle", Meaning(FrameMissing, "drain the camera before the next exposure")),
    ("battery", Meaning(BatteryExhausted, "charge or exchange the battery")),
    ("liveview mode", Meaning(NotInLiveView, "switch live view on before driving the lens")),
    (
        "liveview cannot start",
        Meaning(CameraError, "put right what the camera names, then open it again"),
    ),
    ("at limit", Meaning(FocusLimit, "the lens is at its end stop; home the axis")),
    ("stepping too small", Meaning(CameraError, "drive the lens by more steps at once")),
    ("store full", Meaning(CameraStorageFull, "empty the card or put in another")),
    ("out of focus", Meaning(AutofocusFailed, "set the lens or the body to manual focus")),
)

_BY_CODE: dict[int, Meaning] = {
    -2: Meaning(CameraSettingRefused, "check the setting's name and value"),
    -3: Meaning(CameraStorageFull, "empty the card or put in another"),
    -6: Meaning(CameraUnsupported, "this body cannot do it; change the rig or the protocol"),
    -7: Meaning(DeviceLost, "check cable and power, then open the camera again"),
    -10: Meaning(DeviceTimeout, "open the camera again and drain it"),
    -52: Meaning(DeviceLost, "check cable and power, then open the camera again"),
    -53: Meaning(
        ConnectError,
        "another program holds the camera; a desktop releases it with 'gio mount -s gphoto2'",
    ),
    -105: Meaning(ConnectError, "check the rig's port and that the camera is switched on"),
    -108: Meaning(FrameMissing, "drain the camera before the next exposure"),
    -110: Meaning(CameraBusy, "drain the camera and wait a moment"),
    -115: Meaning(CameraStorageFull, "empty the card or put in another"),
}

_OTHERWISE = Meaning(
    CameraError, "look at the camera's display, then drain it before the next exposure"
)


def explain(code: int, text: str, doing: str) -> DeviceError:
    """The error to raise for a failure of libgphoto2.

    Parameters
    ----------
    code
        Its number, < 0.
    text
        What its context said, in English, or empty.
    doing
        What was being done ("releasing the shutter").
    """
    lowered = text.lower()
    meaning = next((meaning for part, meaning in _BY_TEXT if part in lowered), None)
    if meaning is None:
        meaning = _BY_CODE.get(code, _OTHERWISE)
    said = f"{text.strip().rstrip('.')} ({code})" if text.strip() else f"error {code}"
    return meaning.error(f"{doing}: the camera library says {said}; {meaning.advice}")


def explain_connect(code: int, text: str, port: str) -> DeviceError:
    """The error to raise when a camera cannot be opened: nothing has been lost, it never was."""
    error = explain(code, text, f"opening the camera at {port}")
    if isinstance(error, ConnectError):
        return error
    return ConnectError(
        f"no camera answers at {port} ({text or f'error {code}'}); check the rig's port, the cable "
        f"and that the camera is switched on"
    )
