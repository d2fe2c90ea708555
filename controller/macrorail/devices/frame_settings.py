"""Reads a frame's exposure settings from its EXIF data and compares them with the requested ones.

During a run a dial may be turned by accident, or the body exchanged, and no camera reports this.
But the EXIF data of every frame contain its settings, its size and the body's serial number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from macrorail.errors import (
    FrameSizeDiffers,
    OtherCamera,
    SettingsByHandDiffer,
    SettingsDiffer,
)
from macrorail.exif import Exif, read_exif
from macrorail.frame import Frame
from macrorail.quantity import parse_duration
from macrorail.stacking.kinds import RAW, TIFF, kind_of

_SHUTTER, _APERTURE, _ISO, _FOCAL_LENGTH, _SERIAL = 0x829A, 0x829D, 0x8827, 0x920A, 0xA431
_TIFF_SIZE, _EXIF_SIZE = (0x0100, 0x0101), (0xA002, 0xA003)
_HIGHEST_ISO = 65535
"""EXIF's ISO field has 16 bits; higher values are written as 65535 (CIPA DC-008, table 8)."""
_TOLERANCE = 0.1
"""Accepted relative difference between two values of a setting. Some bodies write 1/64 for 1/60. A
third of a stop is 0.26 (0.12 for f-numbers)."""
_SIZE_TOLERANCE = 0.02
"""Accepted relative difference between two sizes. A raw file has a few rows and columns more than
the same body's JPEG."""


@dataclass(frozen=True)
class FrameSettings:
    """Settings of a frame according to its EXIF data.

    Attributes
    ----------
    values
        Settings by name: ``shutter`` in seconds, ``aperture`` as f-number, ``iso``,
        ``focal_length`` in mm. Settings that the frame does not contain are missing.
    size_px
        Width and height before any rotation for viewing; ``None`` if the file does not contain
        them.
    serial
        Serial number of the body; empty if the file does not contain it.
    """

    values: Mapping[str, float]
    size_px: tuple[int, int] | None = None
    serial: str = ""


@dataclass(frozen=True)
class FramesAsked:
    """Settings and size that the frames of a run must have.

    Attributes
    ----------
    settings
        Settings as written in the protocol, by canonical name. Only numbers are compared.
    size_px
        Width and height according to the rig file; with ``None`` sizes are not compared.
    varies
        Whether settings that were not requested may differ from frame to frame, because the camera
        sets its exposure automatically.
    drifts
        Whether aperture and focal length may change gradually. They do if the lens is the focus
        axis, because a lens changes both while it focuses.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    size_px: tuple[int, int] | None = None
    varies: bool = False
    drifts: bool = False


class FrameSettingsCheck:
    """Checks that all frames of one run have the same camera, size and settings.

    Parameters
    ----------
    asked
        Settings and size that the frames must have.
    """

    def __init__(self, asked: FramesAsked) -> None:
        self._asked = asked
        self._first: FrameSettings | None = None
        self._before: FrameSettings | None = None

    def adopt(self, path: Path) -> None:
        """Use a frame accepted earlier in an interrupted run for comparison with later frames."""
        self._remember(read_frame_settings(path))

    def check(self, frame: Frame, by_hand: bool = False) -> None:
        """Accept a frame, or raise an error that says what differs.

        Parameters
        ----------
        by_hand
            Whether the camera can only be set by hand.

        Raises
        ------
        OtherCamera
            The frame was taken with another body than the first frame of the run.
        FrameSizeDiffers
            The run's first frame has another size than the rig file states.
        SettingsDiffer, SettingsByHandDiffer
            The frame was exposed with other settings than requested, or with other settings than
            the first frame of the run.
        """
        said = read_frame_settings(frame.path)
        first = self._first or said
        if said.serial and first.serial and said.serial != first.serial:
            raise OtherCamera(
                f"{frame.camera_name} was taken by the body with the serial number {said.serial}, "
                f"and the run began with {first.serial}; connect the first body again"
            )
        # Some raw files have the size of their preview in their EXIF data.
        wanted_px = None if kind_of(frame.path) is RAW else self._asked.size_px
        if self._first is None and not same_size(said.size_px, wanted_px):
            raise FrameSizeDiffers(size_differs(frame.camera_name, said, wanted_px))
        differing = self._differing(said)
        if differing or not same_size(said.size_px, first.size_px):
            if not differing:
                differing = [f"{_size(said.size_px)} pixels instead of {_size(first.size_px)}"]
            by_hand = by_hand or any(text.startswith("focal") for text in differing)
            if by_hand:
                raise SettingsByHandDiffer(
                    f"{frame.camera_name} was exposed with {' and '.join(differing)}, so its slice "
                    f"does not count; set the camera to the required values again"
                )
            raise SettingsDiffer(
                f"{frame.camera_name} was exposed with {' and '.join(differing)}, so its slice "
                f"does not count; do not turn the camera's dials during a run"
            )
        self._remember(said)

    def _remember(self, said: FrameSettings) -> None:
        self._first, self._before = self._first or said, said

    def _differing(self, said: FrameSettings) -> list[str]:
        found = differences(said, self._asked.settings, without=self._drifting)
        for name, value in said.values.items():
            reference = self._before if name in self._drifting else self._first
            wanted = None if reference is None else reference.values.get(name)
            compared = name in self._drifting or name not in self._asked.settings
            varies = self._asked.varies and name != "focal_length"
            if wanted and compared and not varies and _differ(value, wanted):
                found.append(f"{_named(name, value)} instead of {_text(name, wanted)}")
        return found

    @property
    def _drifting(self) -> frozenset[str]:
        """Return the names of settings that are compared with the previous frame."""
        names = ("aperture", "focal_length") if self._asked.drifts else ()
        return frozenset(names if self._before is not None else ())


def read_frame_settings(path: Path) -> FrameSettings:
    """Return a frame's settings from its EXIF data; unreadable settings are left out."""
    try:
        exif = read_exif(path)
    except OSError:
        return FrameSettings({})
    tags = {
        "shutter": _SHUTTER,
        "aperture": _APERTURE,
        "iso": _ISO,
        "focal_length": _FOCAL_LENGTH,
    }
    values = {name: exif.number(tag) for name, tag in tags.items()}
    # A lens without contacts is recorded as f/0 and 0 mm.
    said = {name: value for name, value in values.items() if value is not None and value > 0}
    if said.get("iso") == _HIGHEST_ISO:
        del said["iso"]
    return FrameSettings(said, _size_of(path, exif), exif.text(_SERIAL))


def differences(
    said: FrameSettings, settings: Mapping[str, str], without: frozenset[str] = frozenset()
) -> list[str]:
    """Return a phrase for each setting in which a frame differs from ``settings``.

    The phrase contains both values. Settings named in ``without`` are not compared.
    """
    found = []
    for name, text in settings.items():
        wanted, value = _asked(name, text), said.values.get(name)
        if wanted and value and name not in without and _differ(value, wanted):
            found.append(f"{_named(name, value)} instead of {_text(name, wanted)}")
    return found


def same_size(size_px: tuple[int, int] | None, wanted_px: tuple[int, int] | None) -> bool:
    """Return whether two sizes are equal, rotated or not; True if one of them is not known."""
    if size_px is None or wanted_px is None:
        return True
    pairs = zip(sorted(size_px), sorted(wanted_px), strict=True)
    return all(abs(size - wanted) <= _SIZE_TOLERANCE * wanted for size, wanted in pairs)


def size_differs(name: str, said: FrameSettings, wanted_px: tuple[int, int] | None) -> str:
    """Return a message about a frame whose size differs from the size in the rig file."""
    return (
        f"{name} has {_size(said.size_px)} pixels, and the rig says {_size(wanted_px)} "
        f"(image_width, image_height): scale bar and micrometres would be wrong. Set the camera's "
        f"image size back, or correct the rig with the pixel pitch that belongs to this size"
    )


def quantity(text: str) -> float | None:
    """Return the number in a menu entry: seconds, f-number or ISO; ``None`` without a number.

    Understands ``1/60``, ``1/60 s``, ``0.0167s``, ``f/8`` and ``400``.
    """
    match = re.fullmatch(r"(?:f/?)?(\d+(?:\.\d+)?)(?:/(\d+(?:\.\d+)?))?\s*s?", text.strip())
    if match is None:
        return None
    divisor = float(match.group(2) or 1)
    return float(match.group(1)) / divisor if divisor else None


def _asked(name: str, text: str) -> float | None:
    """Return the numeric value that the protocol requests for a setting.

    Returns ``None`` if the requested value is not a number (for example, automatic ISO).
    """
    number = quantity(text)
    if number is None and name == "shutter":
        try:
            return parse_duration(text)
        except ValueError:
            return None
    return number


def _differ(value: float, wanted: float) -> bool:
    return abs(value - wanted) > _TOLERANCE * wanted


def _size_of(path: Path, exif: Exif) -> tuple[int, int] | None:
    kind = kind_of(path)
    if kind in (TIFF, RAW):
        # The first directory of a raw file describes its thumbnail.
        tags = _TIFF_SIZE if kind is TIFF else _EXIF_SIZE
        width, height = (exif.number(tag) for tag in tags)
        return (round(width), round(height)) if width and height else None
    try:
        with Image.open(path) as picture:
            return picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # reading the pixels reports what is wrong


def _size(size_px: tuple[int, int] | None) -> str:
    return "unknown" if size_px is None else f"{size_px[0]} x {size_px[1]}"


def _named(name: str, value: float) -> str:
    label = {"iso": "", "aperture": ""}.get(name, name.replace("_", " ") + " ")
    return label + _text(name, value)


def _text(name: str, value: float) -> str:
    match name:
        case "aperture":
            return f"f/{value:.3g}"
        case "iso":
            return f"ISO {value:.0f}"
        case "shutter":
            return f"1/{1 / value:.0f} s" if value < 0.4 else f"{value:.3g} s"
    return f"{value:.3g} mm"
