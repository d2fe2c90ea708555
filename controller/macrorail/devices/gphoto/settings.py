"""Canonical camera settings: which widgets stand for them, and which of its choices is meant.

Makers name the same thing differently (``aperture``, ``f-number``) and write its values
differently (``8``, ``f/8``; ``1/60``, ``0.0167s``). A value is taken as written when the camera
offers it so; otherwise the one choice that means the same quantity is taken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

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
"""Widget names by canonical name, the first that the camera has is used."""

FOCUS_DRIVES = ("manualfocusdrive", "manualfocus")
"""Widget names of the lens's drive; the second is Sony's."""

_WAY = {1: "Far", -1: "Near"}

_ROUNDING = {"shutter": 0.005}
"""Relative difference that a menu's rounding explains (1/60 s is 0.0167s in some)."""


def widgets_of(name: str) -> tuple[str, ...]:
    """The widgets that may stand for a canonical setting.

    Raises
    ------
    CameraSettingRefused
        No such canonical name.
    """
    if name not in WIDGETS:
        raise CameraSettingRefused(
            f"'{name}' is no camera setting; there are {', '.join(sorted(WIDGETS))}"
        )
    return WIDGETS[name]


def choose(name: str, value: str, choices: Sequence[str]) -> str:
    """The choice that ``value`` means.

    Raises
    ------
    CameraSettingRefused
        The camera does not offer it; the message lists what it does.
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


def as_written(name: str, choices: Sequence[str]) -> list[str]:
    """A camera's menu in a protocol's words: ``f/5.6``, ``1/30 s``, ``100``.

    What is no number (bulb, automatic) is left out; :func:`choose` finds each one again.
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
    """What to set a drive's widget to, one after the other, for so many steps towards far.

    A Nikon takes a number of steps at once. Canon, Olympus and Panasonic bodies offer drives of
    fixed sizes, a Sony seven each way: so many of one ``size`` (from 1, the smallest), one a time.
    """
    if is_range and widget == "manualfocusdrive":
        return [float(steps)]
    towards = 1 if steps > 0 else -1
    one: float | str = float(towards * size) if is_range else f"{_WAY[towards]} {size}"
    return [one] * abs(steps)


def drive_sizes(widget: str, choices: Sequence[str], highest: float) -> int:
    """How many sizes of drive a body offers; 0 when it takes any number of steps at once.

    Parameters
    ----------
    choices
        The menu of its drive's widget; empty when that is a range, up to ``highest``.
    """
    if choices:
        return sum(choice.startswith(_WAY[1]) for choice in choices)
    return 0 if widget == "manualfocusdrive" else round(highest)


def exceeds(value: str, choices: Sequence[str]) -> bool:
    """Whether a value is larger than every choice that is a number."""
    wanted, offered = quantity(value), [quantity(choice) for choice in choices]
    return wanted is not None and wanted > max((each for each in offered if each), default=0.0)


def _short(seconds: float, digits: int) -> str | None:
    """A shutter time in so many digits, if it still means the same."""
    rounded = float(f"{seconds:.{digits}g}")
    return f"{rounded:g}" if abs(rounded - seconds) <= _ROUNDING["shutter"] * seconds else None


def quantity(text: str) -> float | None:
    """The number in a menu's text: seconds, f-number or ISO; ``None`` when it is a word.

    Understands ``1/60``, ``1/60 s``, ``0.0167s``, ``f/8`` and ``400``.
    """
    match = re.fullmatch(r"(?:f/?)?(\d+(?:\.\d+)?)(?:/(\d+(?:\.\d+)?))?\s*s?", text.strip())
    if match is None:
        return None
    divisor = float(match.group(2) or 1)
    return float(match.group(1)) / divisor if divisor else None


def formats_of(image_format: str | None) -> tuple[str, ...]:
    """The kinds of file (``jpeg``, ``raw``) that one exposure gives in an image format.

    Formats are known by their menu texts: ``NEF+Fine``, ``RAW + Large Fine JPEG``, ``cRAW``.
    A camera that does not say its format is expected to give one JPEG.
    """
    words = (image_format or "jpeg").lower()
    raw = "raw" in words or "nef" in words
    both = raw and ("+" in words)
    return ("raw", "jpeg") if both else ("raw",) if raw else ("jpeg",)
