"""Settings and functions that supervise a run while no operator is present."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from macrorail.running.commands import Commands
from macrorail.running.interfaces import LagComparison, SceneCheck, Watch
from macrorail.states import State


@dataclass(frozen=True)
class RunSupervision:
    """Settings and functions that supervise a run while no operator is present.

    Attributes
    ----------
    commands
        Commands of the operator; ``None`` if none can be given.
    watches
        Watches for conditions outside the instrument that must be in order.
    pause_at_most_s
        Run time in seconds after which a pause ends the run.
    scene
        Check that compares frames after an interruption; with ``None`` the scene is trusted.
    lag
        Check that compares frames to find out when the shutter opens. With ``None`` the axis waits
        for each frame of a camera that does not report when it exposes.
    alarm
        Called with the reason when a run waits because its journal cannot be written.
    switch_off
        Called at the end of the run, however it ends; returns messages about failures.
    park
        Whether the axis moves away from the specimen at the end; otherwise it stays in place.
    on_state
        Called with each state that the run enters; it must not raise.
    """

    commands: Commands | None = None
    watches: tuple[Watch, ...] = ()
    pause_at_most_s: float = 12 * 3600.0
    scene: SceneCheck | None = None
    lag: LagComparison | None = None
    alarm: Callable[[str], None] = lambda _: None
    switch_off: Callable[[], list[str]] = list
    park: bool = False
    on_state: Callable[[State], None] = lambda _: None
