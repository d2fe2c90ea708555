"""Maps canonical camera settings to libgphoto2's widgets and to the values in their menus.

Makers use different names for the same setting (``aperture``, ``f-number``) and different ways to
write its values (``8``, ``f/8``; ``1/60``, ``0.0167s``). A value that is in the camera's menu is
used as it is; otherwise the menu entry with the same quantity is used.
"""

from __future__ import annotations

from collections.abc import Sequence

from macrorail.devices.frame_settings import quantity
from macrorail.errors import CameraSettingRefused

WIDGETS: dict[str, tuple[str, ...]] = {
    # Nikon's shutterspeed2 is exact where shutterspeed rounds to 0.1 ms.
    "shutter": ("shutterspeed2", "shutterspeed"),
    "aperture": ("f-number", "aperture"),
    "iso": ("iso",),
    "white_balance": ("whitebalance",),
    "image_format": ("imageformat", "imagequality"),
    "capture_target": ("capturetarget",),
}
"""Widget names by canonical name; the first one that the camera has is used."""

FOCUS_DRIVES = ("manualfocusdrive", "manualfocus")
"""Widget names of the focus drive; the second is Sony's."""

_DIRECTION = {1: "Far", -1: "Near"}

_ROUNDING = {"shutter": 0.005}
"""Relative rounding error of values in menus (some cameras show 1/60 s as 0.0167s)."""


def widgets_of(name: str) -> tuple[str, ...]:
    """Return the possible widget names of a canonical setting, in order of preference.

    Raises
    ------
    CameraSettingRefused
        There is no such canonical name.
    """
    if name not in WIDGETS:
        raise CameraSettingRefused(
            f"'{name}' is not a camera setting; the settings are {', '.join(sorted(WIDGETS))}"
        )
    return WIDGETS[name]


def choose(name: str, value: str, choices: Sequence[str]) -> str:
    """Return the menu entry in ``choices`` that means ``value`` for the setting ``name``.

    Raises
    ------
    CameraSettingRefused
        The camera does not offer the value; the message lists the values that it offers.
    """
    if value in choices:
        return value
    wanted = quantity(value)
    if wanted is not None:
        rounding = _ROUNDING.get(name, 0.0)
        for choice in choices:
            offered = quantity(choice)
            if offered is not None and abs(offered - wanted) <= rounding * wanted:
                return choice
    same = [choice for choice in choices if choice.casefold() == value.casefold()]
    if same:
        return same[0]
    raise CameraSettingRefused(
        f"the camera does not offer {name} '{value}'; it offers {', '.join(choices) or 'nothing'}"
    )


def as_in_protocol(name: str, choices: Sequence[str]) -> list[str]:
    """Return a camera's menu entries as written in a protocol: ``f/5.6``, ``1/30 s``, ``100``.

    Entries without a number (bulb, automatic) are left out. :func:`choose` accepts the returned
    values.
    """
    written = []
    for choice in choices:
        amount = quantity(choice)
        if amount is None or amount <= 0:
            continue
        if name == "aperture":
            text = f"f/{amount:g}"
        elif name == "shutter":
            parts = round(1 / amount)
            whole = parts > 1 and abs(parts * amount - 1) <= _ROUNDING["shutter"]
            short = next(s for s in (_short(amount, digits) for digits in (1, 2, 3, 6)) if s)
            text = f"1/{parts} s" if whole else f"{short} s"
        else:
            text = f"{amount:g}"
        written.append(text)
    return list(dict.fromkeys(written))


def drive_values(widget: str, is_range: bool, steps: int, size: int = 1) -> list[float | str]:
    """Return successive values of the drive widget for a number of steps, towards far if positive.

    A Nikon accepts any number of steps at once. Canon, Olympus and Panasonic bodies have drives of
    a few fixed sizes; a Sony has seven in each direction. For these bodies the values are ``steps``
    drives of one ``size`` (1 is the smallest).
    """
    if is_range and widget == "manualfocusdrive":
        return [float(steps)]
    towards = 1 if steps > 0 else -1
    one: float | str = float(towards * size) if is_range else f"{_DIRECTION[towards]} {size}"
    return [one] * abs(steps)


def drive_sizes(widget: str, choices: Sequence[str], highest: float) -> int:
    """Return the number of drive sizes of a body; 0 if it accepts any number of steps at once.

    Parameters
    ----------
    choices
        Menu of the drive widget; empty if the widget is a range up to ``highest``.
    """
    if choices:
        return sum(choice.startswith(_DIRECTION[1]) for choice in choices)
    return 0 if widget == "manualfocusdrive" else round(highest)


def exceeds(value: str, choices: Sequence[str]) -> bool:
    """Return whether a value is larger than every number in a menu."""
    wanted, offered = quantity(value), [quantity(choice) for choice in choices]
    return wanted is not None and wanted > max((each for each in offered if each), default=0.0)


def _short(seconds: float, digits: int) -> str | None:
    """Return a shutter time rounded to ``digits``, or ``None`` if that is not accurate enough."""
    rounded = float(f"{seconds:.{digits}g}")
    return f"{rounded:g}" if abs(rounded - seconds) <= _ROUNDING["shutter"] * seconds else None


def formats_of(image_format: str | None) -> tuple[str, ...]:
    """Return the kinds of file (``jpeg``, ``raw``) that one exposure gives in an image format.

    Formats are recognised by their menu texts: ``NEF+Fine``, ``RAW + Large Fine JPEG``, ``cRAW``.
    A camera that does not report its format is assumed to produce one JPEG.
    """
    words = (image_format or "jpeg").lower()
    raw = "raw" in words or "nef" in words
    both = raw and ("+" in words)
    return ("raw", "jpeg") if both else ("raw",) if raw else ("jpeg",)
