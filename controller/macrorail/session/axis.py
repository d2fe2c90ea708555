"""Opens the focus axis of a rig alone: to home it, to move it by hand, to measure it."""

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
"""Called with what is about to move, before it moves; raises ``OperatorStop`` to refuse."""


@contextmanager
def opened_axis(rig: Path) -> Iterator[tuple[FocusAxis, AxisReport]]:
    """The rig's axis, open. Opening moves nothing.

    A lens is driven through its camera, which is opened too.

    Yields
    ------
    FocusAxis, AxisReport
        At rest and released when the block ends, however it ends.

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
    """Stop the axis when the block ends with an error or Ctrl-C."""
    try:
        yield
    except (MacrorailError, KeyboardInterrupt):
        axis.stop()
        raise


def reach_of(report: AxisReport) -> str:
    """How far the axis moves at most, as a sentence."""
    return f"It never goes beyond {format_length(report.travel_um[1])}."


def serial_rail(axis: FocusAxis, verb: str) -> SerialRail:
    """The axis as a rail with macrorail's own firmware.

    Raises
    ------
    ConfigError
        It has another driver.
    """
    if not isinstance(axis, SerialRail):
        raise ConfigError(
            f"'macrorail {verb}' is for rails with macrorail's own firmware "
            f"(driver: rail); this rig's axis has another driver"
        )
    return axis
