"""What must be so before the first shot and stay so, whatever was set: no focusing by itself, no
exposing by itself; and what is worth a warning.

Bodies name these things differently; what a body does not tell is not held against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WIDGETS = (
    *("focusmode", "expprogram", "autoexposuremode", "autoiso", "isoauto"),
    *("exposuredelaymode", "mirrorlock", "autopoweroff"),
)
"""libgphoto2's names of what is looked at."""

_MANUAL_FOCUS = ("manual", "mf")
_MANUAL_EXPOSURE = ("m", "manual", "bulb", "custom")
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Modes:
    """What a rig wants of the camera's modes.

    Attributes
    ----------
    manual_focus, manual_exposure
        False when the rig says ``any``.
    mirror_delayed
        True when the shutter must wait until the mirror is still.
    """

    manual_focus: bool = True
    manual_exposure: bool = True
    mirror_delayed: bool = False


def refusals(told: Mapping[str, str], wanted: Modes) -> list[str]:
    """Why nothing may be shot as the camera is set; empty when it may.

    Parameters
    ----------
    told
        Values by widget, without those that the camera does not have.
    """
    found = []
    focus = told.get("focusmode", _UNKNOWN)
    if wanted.manual_focus and not _is(focus, _MANUAL_FOCUS):
        found.append(
            f"its focus mode is '{focus}', so that it may focus by itself; set lens and body to "
            f"manual focus, or write 'focus_mode: any' in the rig (a lens axis needs that on some "
            f"bodies)"
        )
    for name in ("expprogram", "autoexposuremode"):
        mode = told.get(name, _UNKNOWN)
        if wanted.manual_exposure and not _is(mode, _MANUAL_EXPOSURE):
            found.append(
                f"its exposure mode is '{mode}', so that slices may differ in light; set it to "
                f"manual, or write 'exposure_mode: any' in the rig"
            )
    for name in ("autoiso", "isoauto"):
        if wanted.manual_exposure and told.get(name, "").lower() == "on":
            found.append("it sets its ISO by itself; switch automatic ISO off")
    delay = told.get("exposuredelaymode", "").lower()
    if wanted.mirror_delayed and delay != "on":
        found.append(
            "'mirror: delayed' is wanted and its exposure delay mode is not on; switch it on in "
            "the camera's menu, or leave 'mirror' out and give more settle time"
        )
    return found


def warnings(told: Mapping[str, str]) -> list[str]:
    """What may end a long run early, in words."""
    found = []
    off = told.get("autopoweroff", "0")
    if off.isdigit() and int(off) > 0:
        found.append(
            f"the camera switches itself off after {off} s without work; switch that off in its "
            f"menu for runs with long pauses"
        )
    if told.get("mirrorlock", "0") not in ("0", "Off"):
        found.append(
            "the camera's mirror lock is on: on some bodies a release then only lifts the mirror; "
            "switch it off if frames do not come"
        )
    return found


def _is(told: str, accepted: tuple[str, ...]) -> bool:
    words = told.lower().split()
    return not words or words[0] == _UNKNOWN or words[0] in accepted
