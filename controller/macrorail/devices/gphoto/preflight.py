"""Checks the camera's modes: autofocus, automatic exposure, delays; and returns warnings.

Bodies use different names for these modes. A mode that a body does not report is accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WIDGETS = (
    *("focusmode", "expprogram", "autoexposuremode", "autoiso", "isoauto"),
    *("capturemode", "drivemode", "exposuredelaymode", "mirrorlock", "autopoweroff"),
)
"""libgphoto2's names of the modes that are checked."""

_MANUAL_FOCUS = ("manual", "mf")
_MANUAL_EXPOSURE = ("m", "manual", "bulb", "custom")
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Modes:
    """The modes that a rig requires of the camera.

    Attributes
    ----------
    manual_focus, manual_exposure
        Whether manual focus and manual exposure are required; False if the rig says ``any``.
    mirror_delayed
        True if the shutter must not open before the mirror is still.
    lag_known
        True if the rig states how long after the release the shutter opens.
    """

    manual_focus: bool = True
    manual_exposure: bool = True
    mirror_delayed: bool = False
    lag_known: bool = False


def refusals(reported: Mapping[str, str], wanted: Modes) -> list[str]:
    """Return reasons why the camera must not be used with its present modes; empty if none.

    Parameters
    ----------
    reported
        Values by widget name; widgets that the camera does not have are missing.
    """
    found = []
    focus = reported.get("focusmode", _UNKNOWN)
    if wanted.manual_focus and not _is(focus, _MANUAL_FOCUS):
        found.append(
            f"its focus mode is '{focus}', so it may change the focus; set lens and body to manual "
            f"focus, or write 'focus_mode: any' in the rig (a lens axis needs that on some "
            f"bodies)"
        )
    for name in ("expprogram", "autoexposuremode"):
        mode = reported.get(name, _UNKNOWN)
        if wanted.manual_exposure and not _is(mode, _MANUAL_EXPOSURE):
            found.append(
                f"its exposure mode is '{mode}', so the exposure may differ between slices; set it "
                f"to manual, or write 'exposure_mode: any' in the rig"
            )
    for name in ("autoiso", "isoauto"):
        if wanted.manual_exposure and reported.get(name, "").lower() == "on":
            found.append("automatic ISO is on; switch it off")
    for name in ("capturemode", "drivemode"):
        drive = reported.get(name, "")
        if "timer" in drive.lower() and not wanted.lag_known:
            found.append(
                f"its drive mode is '{drive}', so the shutter would open when the axis has moved "
                f"on; set it to single shots, or write the timer's time as 'shutter_lag' in the "
                f"rig's camera section"
            )
    delay = reported.get("exposuredelaymode", "").lower()
    if wanted.mirror_delayed and delay != "on":
        found.append(
            "the rig has 'mirror: delayed', but the exposure delay mode of the camera is off; "
            "switch it on in the camera's menu, or remove 'mirror' from the rig and use a longer "
            "settle time"
        )
    return found


def warnings(reported: Mapping[str, str]) -> list[str]:
    """Return texts about conditions that may end a long run early."""
    found = []
    if reported.get("exposuredelaymode", "off").lower() not in ("off", "0"):
        found.append(
            "the camera's exposure delay mode is on: if frames show the plane after their own, "
            "write its time as 'shutter_lag' in the rig's camera section"
        )
    off = reported.get("autopoweroff", "0")
    if off.isdigit() and int(off) > 0:
        found.append(
            f"the camera switches itself off when idle for {off} s; disable that in its menu for "
            f"runs with long pauses"
        )
    if reported.get("mirrorlock", "0") not in ("0", "Off"):
        found.append(
            "the camera's mirror lock is on: on some bodies a release then only raises the mirror; "
            "switch it off if no frames arrive"
        )
    return found


def _is(reported: str, accepted: tuple[str, ...]) -> bool:
    words = reported.lower().split()
    return not words or words[0] == _UNKNOWN or words[0] in accepted
