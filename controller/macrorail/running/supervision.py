"""What supervises a run while no operator is present."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from macrorail.running.commands import Commands
from macrorail.running.interfaces import LagComparison, SceneCheck, Watch
from macrorail.states import State


@dataclass(frozen=True)
class RunSupervision:
    """What supervises a run while no operator is present.

    Attributes
    ----------
    commands
        The operator's commands; ``None`` when there is no way to give any.
    watches
        What else must be well.
    pause_at_most_s
        World time after which a pause ends the run.
    scene
        Compares frames after an interruption; ``None`` trusts the scene.
    lag
        Compares the frames that tell when the shutter opens; with ``None`` the axis waits for each
        frame of a camera that does not report it.
    alarm
        Called with the reason why a run waits whose folder cannot even take the journal.
    switch_off
        Called at the end, however the run ends; returns what could not be done.
    park
        Whether the axis moves far from the specimen at the end, or stays where it is.
    on_state
        Called with each state that is entered; it must not raise.
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
