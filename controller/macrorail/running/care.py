"""What looks after a run while nobody does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from macrorail.running.commands import Commands
from macrorail.running.interfaces import SceneCheck, Watch


@dataclass(frozen=True)
class Care:
    """What looks after a run while nobody does.

    Attributes
    ----------
    commands
        What the operator wants; ``None`` when there is no way to say it.
    watches
        What else must be well.
    pause_at_most_s
        World time after which a pause ends the run.
    scene
        Compares frames after an interruption; ``None`` trusts the scene.
    alarm
        Told why a run stands still whose folder can take nothing any more, not even that.
    switch_off
        Called in the end, whatever the end; tells what could not be done.
    park
        Whether the axis goes far from the specimen in the end, or holds where it is.
    """

    commands: Commands | None = None
    watches: tuple[Watch, ...] = ()
    pause_at_most_s: float = 12 * 3600.0
    scene: SceneCheck | None = None
    alarm: Callable[[str], None] = lambda _: None
    switch_off: Callable[[], list[str]] = list
    park: bool = False
