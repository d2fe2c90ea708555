"""``macrorail calibrate``: measure the instrument for its rig file and lens file."""

from __future__ import annotations

import typer

from macrorail.cli.calibrate.backlash import backlash
from macrorail.cli.calibrate.lens import lens
from macrorail.cli.calibrate.settle import settle

calibrate = typer.Typer(
    name="calibrate", help="Measure the instrument and write the results.",
    no_args_is_help=True,
)  # fmt: skip
calibrate.command()(lens)
calibrate.command()(backlash)
calibrate.command()(settle)


@calibrate.callback()
def kinds() -> None:
    """Measure the instrument and write the results."""
