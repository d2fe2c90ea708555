"""What one run needs before it starts: protocol, rig, plan and folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from macrorail.config.protocol import Protocol
from macrorail.config.rig import Rig
from macrorail.planning.plan import Plan
from macrorail.run.resume import Progress


@dataclass(frozen=True)
class Job:
    """What is to be done, and where.

    Attributes
    ----------
    folder
        The run folder.
    wanted, rig, plan
        What to shoot, with what, and the slices that follow from both.
    progress
        How far the run had come before it was interrupted; ``None`` for a new one.
    accept_scene
        Go on although specimen or camera are not where they were.
    searched
        Whether its range has just been searched for, so that its journal is begun.
    """

    folder: Path
    wanted: Protocol
    rig: Rig
    plan: Plan
    progress: Progress | None = None
    accept_scene: bool = False
    searched: bool = False
