"""``macrorail resume``: go on with a run that was interrupted, whatever interrupted it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from controller.cli.job import Job, carry_out
from controller.cli.messages import message_console
from controller.document import load_document
from controller.errors import JournalError
from controller.instrument import Rig, load_rig
from controller.journal import JOURNAL, Entry, read_journal
from controller.plan import make_plan
from controller.protocol import Protocol
from controller.resume import read_progress
from controller.states import FinishReason


def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="the run folder")],
    accept_scene: Annotated[
        bool,
        typer.Option("--accept-scene", help="go on although specimen or camera have moved"),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print the manifest instead of the folder")
    ] = False,
) -> None:
    """Continue an interrupted run: no slice lost, none twice.

    Works after a crash, a kill, a power cut or a stop. The axis is homed anew; frames that are
    done are checked by their hashes and stay; an exposure that was under way is adopted when its
    frame lies whole on disk, and shot again otherwise. Before anything else the last slice is
    looked at once more: specimen, lamp and camera must be where they were.

    Examples:

      macrorail resume runs/20261122-200000-beetle
    """
    console = message_console()
    for name in ("protocol.yaml", "rig.yaml", "plan.json"):
        if not (run / name).is_file():
            raise JournalError(f"{run} is no run folder: it has no {name}")
    wanted = load_document(run / "protocol.yaml", Protocol)
    rig = load_rig(run / "rig.yaml")
    plan = make_plan(wanted, rig)
    if json.loads((run / "plan.json").read_text()) != json.loads(json.dumps(plan.to_dict())):
        raise JournalError(
            f"{run / 'plan.json'} is not what this macrorail plans from the run's protocol and "
            f"rig; resume it with the version that began it, or stack what there is with "
            f"'macrorail stack {run}'"
        )
    entries = read_journal(run / JOURNAL) if (run / JOURNAL).exists() else []
    if entries and entries[-1].fields.get("reason") == FinishReason.COMPLETED.value:
        console.print("This run is complete; there is nothing to resume.")
        typer.echo(run)
        return
    progress = read_progress(plan, entries, run)
    console.print(
        f"{len(progress.counted)} slice(s) are done and whole, "
        f"{len(progress.targets)} are still to be shot"
        + ("; one frame that was on its way is adopted" if progress.orphan else "")
    )
    job = Job(run, wanted, _same_world(rig, entries), plan, progress, accept_scene)
    carry_out(job, console, as_json)


def _same_world(rig: Rig, entries: list[Entry]) -> Rig:
    """The rig with its simulated world, if that is still alive, instead of a new one."""
    addresses = [e.fields["bench"] for e in entries if e.event in {"started", "resumed"}]
    if rig.bench is None or not addresses or not Path(addresses[-1]).exists():
        return rig
    bench = rig.bench.model_copy(update={"address": addresses[-1]})
    return rig.model_copy(update={"bench": bench})
