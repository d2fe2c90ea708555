"""libgphoto2's failures: which class each becomes, and that each says what to do."""

from __future__ import annotations

import pytest

from macrorail import errors
from macrorail.devices.gphoto.error_table import explain, explain_connect


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (-1, "", errors.CameraError),
        (-1, "Nikon manual focus works only in LiveView mode.", errors.NotInLiveView),
        (-1, "Liveview cannot start: Battery exhausted", errors.BatteryExhausted),
        (-113, "Nikon manual focus at limit.", errors.FocusLimit),
        (-113, "Nikon manual focus stepping too small.", errors.CameraError),
        (-1, "PTP Store Full", errors.CameraStorageFull),
        (-1, "PTP Out of Focus", errors.AutofocusFailed),
        (-2, "", errors.CameraSettingRefused),
        (-3, "", errors.CameraStorageFull),
        (-6, "", errors.CameraUnsupported),
        (-7, "", errors.DeviceLost),
        (-10, "", errors.DeviceTimeout),
        (-52, "", errors.DeviceLost),
        (-53, "", errors.ConnectError),
        (-108, "", errors.FrameMissing),
        (-110, "", errors.CameraBusy),
        (-115, "", errors.CameraStorageFull),
        (-999, "", errors.CameraError),
    ],
)
def test_every_failure_has_its_class_and_names_the_next_step(
    code: int, text: str, expected: type[Exception]
) -> None:
    error = explain(code, text, "doing something")
    assert type(error) is expected
    message = str(error)
    assert message.startswith("doing something: ")
    assert str(code) in message
    assert text.rstrip(".") in message
    assert len(message.split("; ")[-1].split()) >= 3, "a next step is more than a word"


def test_text_decides_where_the_number_is_ambiguous() -> None:
    assert type(explain(-1, "", "x")) is not type(explain(-1, "PTP Store Full", "x"))


@pytest.mark.parametrize("code", [-1, -7, -10, -52, -105])
def test_a_camera_that_was_never_there_is_not_lost(code: int) -> None:
    error = explain_connect(code, "", "ptpip:192.168.1.1")
    assert type(error) is errors.ConnectError
    assert "ptpip:192.168.1.1" in str(error)


def test_a_claimed_camera_says_who_has_it() -> None:
    assert "gio mount -s gphoto2" in str(explain_connect(-53, "", "usb:001,004"))
