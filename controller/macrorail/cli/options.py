"""Reads the values of options: lengths, angles and camera settings."""

from __future__ import annotations

from collections.abc import Callable

from macrorail.errors import ConfigError


def parse_option(option: str, written: str, parse: Callable[[str], float]) -> float:
    """Parse and return the value of an option, such as ``--at 21.5mm``.

    Raises
    ------
    ConfigError
        The value is not valid; the message names the option.
    """
    try:
        return parse(written)
    except ValueError as error:
        raise ConfigError(f"{option} {error}") from error


def camera_settings(aperture: str | None, shutter: str | None, iso: str | None) -> dict[str, str]:
    """Return a dict of the camera settings that are not ``None``, by canonical name."""
    given = {"aperture": aperture, "shutter": shutter, "iso": iso}
    return {name: value for name, value in given.items() if value is not None}
