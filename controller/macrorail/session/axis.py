"""Opens only the focus axis of a rig and no other device, for homing, moves and measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from macrorail.config.rig import load_rig
from macrorail.devices.connect import connect
from macrorail.devices.interfaces import AxisReport, FocusAxis
from macrorail.devices.rail.axis import SerialRail
from macrorail.errors import ConfigError, MacrorailError
from macrorail.quantity import format_length
from macrorail.session.signals import stopped_by_signals

Permit = Callable[[str], object]
"""Called before anything moves, with a text about the move; raises ``OperatorStop`` to refuse."""


@contextmanager
def opened_axis(rig: Path) -> Iterator[tuple[FocusAxis, AxisReport]]:
    """Open the rig's focus axis without moving it, and yield the axis.

    If the focus axis is a camera's lens, the camera is opened too.

    Yields
    ------
    FocusAxis, AxisReport
        The open axis and its report. The axis is stopped and released when the ``with`` block
        ends, even with an error.

    Raises
    ------
    ConfigError, DeviceError
    """
    with connect(load_rig(rig)) as instrument, stopped_by_signals(instrument.clock):
        axis = instrument.axis
        if axis.shares_camera:
            instrument.camera.open()
        report = axis.open()
        with at_rest_after_errors(axis):
            yield axis, report


@contextmanager
def at_rest_after_errors(axis: FocusAxis) -> Iterator[None]:
    """Stop the axis when the ``with`` block ends with an error or Ctrl-C."""
    try:
        yield
    except (MacrorailError, KeyboardInterrupt):
        axis.stop()
        raise


def reach_of(report: AxisReport) -> str:
    """Return a sentence for the user that gives the farthest position the axis may move to."""
    return f"The axis never goes beyond {format_length(report.travel_um[1])}."


def serial_rail(axis: FocusAxis, verb: str) -> SerialRail:
    """Return the axis as a ``SerialRail``; refuse an axis without macrorail's own firmware.

    Raises
    ------
    ConfigError
        The axis is driven by another driver; the message names the command ``verb``.
    """
    if not isinstance(axis, SerialRail):
        raise ConfigError(
            f"'macrorail {verb}' is for rails with macrorail's own firmware "
            f"(driver: rail); this rig's axis has another driver"
        )
    return axis
