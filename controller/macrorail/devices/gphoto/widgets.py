"""Reads libgphoto2's widgets and avoids a crash on values that have no name.

A radio widget whose current value is not among its choices (f/0 with a bellows or manual lens)
contains a NULL pointer, which python-gphoto2 2.6 dereferences. So the pointer is first checked with
ctypes.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import gphoto2 as gp


def text_of(widget: Any) -> str | None:
    """Return the widget's value as text; ``None`` if the widget has no value."""
    if widget.get_type() in (gp.GP_WIDGET_RADIO, gp.GP_WIDGET_MENU, gp.GP_WIDGET_TEXT):
        if _is_null(widget):
            return None
        return str(widget.get_value())
    return f"{widget.get_value():g}"


def choices_of(widget: Any) -> list[str]:
    """Return the values that the widget offers; empty if it is not a menu."""
    if widget.get_type() not in (gp.GP_WIDGET_RADIO, gp.GP_WIDGET_MENU):
        return []
    return [str(choice) for choice in widget.get_choices()]


def _is_null(widget: Any) -> bool:
    value = ctypes.c_void_p()
    # The SWIG handle is the address of the C widget.
    address = ctypes.c_void_p(int(widget.this))
    code = _library().gp_widget_get_value(address, ctypes.byref(value))
    return code < 0 or value.value is None


@cache
def _library() -> ctypes.CDLL:
    """Return the libgphoto2 library that python-gphoto2 has loaded into this process."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.split()[-1]
        if Path(path).name.startswith("libgphoto2") and "_port" not in Path(path).name:
            return ctypes.CDLL(path)
    raise RuntimeError("libgphoto2 is not loaded in this process")
