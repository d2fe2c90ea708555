"""What the verbs that move an axis by hand share: asking first, and opening only the axis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from macrorail.cli.rigs import choose_rig
from macrorail.config.rig import load_rig
from macrorail.devices.connect import connect
from macrorail.devices.interfaces import AxisReport, FocusAxis
from macrorail.devices.rail.axis import SerialRail
from macrorail.errors import ConfigError, MacrorailError, OperatorStop
from macrorail.quantity import format_length
from macrorail.session.signals import stopped_by_signals

YES_HELP = "move without asking; for scripts"


@contextmanager
def opened_axis(rig: Path | None, console: Console) -> Iterator[tuple[FocusAxis, AxisReport]]:
    """The rig's axis, opened; at rest when the block ends. Opening moves nothing.

    A lens is driven through its camera, which is opened too.
    """
    loaded = load_rig(choose_rig(rig, console))
    with connect(loaded) as instrument, stopped_by_signals(instrument.clock):
        if instrument.axis.shares_camera:
            instrument.camera.open()
        report = instrument.axis.open()
        console.print(f"{report.model}, {report.version}", markup=False)
        try:
            yield instrument.axis, report
        except (MacrorailError, KeyboardInterrupt):
            instrument.axis.stop()
            raise


def ask_first(what: str, report: AxisReport, yes: bool) -> None:
    """Say what will move, and how far at most; go on only with a yes.

    Raises
    ------
    OperatorStop
        The answer is no.
    """
    reach = f"It never goes beyond {format_length(report.travel_um[1])}."
    if not yes and not typer.confirm(f"{what} {reach} Move now?", err=True):
        raise OperatorStop("nothing has moved")


def our_rail(axis: FocusAxis, verb: str) -> SerialRail:
    """The axis as a rail with our firmware.

    Raises
    ------
    ConfigError
        It is another one.
    """
    if not isinstance(axis, SerialRail):
        raise ConfigError(
            f"'macrorail {verb}' is for rails with macrorail's own firmware "
            f"(driver: rail); this rig's axis has another driver"
        )
    return axis
