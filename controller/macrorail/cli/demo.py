"""``macrorail demo``: a complete run on the simulated bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from macrorail.cli.rigs import default_rig_path
from macrorail.cli.run import run
from macrorail.config.drivers import import_driver
from macrorail.config.rig import load_rig
from macrorail.shipped import CONFIGS


def demo(
    out: Annotated[Path, typer.Option(help="folder for the run folder")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="print the manifest")] = False,
) -> None:
    """Shoot and fuse a simulated specimen as a demonstration, and print the run folder.

    No real instrument is used. The simulated rail runs the real firmware, which is built for this
    computer the first time; the build needs a C compiler and make.

    Examples:

      macrorail demo

      macrorail demo --out /tmp/runs --json
    """
    rig = load_rig(default_rig_path())
    assert rig.bench is not None
    import_driver("bench", rig.bench.driver).prepare(rig)
    run(CONFIGS / "protocols" / "demo-rail.yaml", out=out, as_json=as_json)
