"""The schema of a rig's ``unattended`` section: what looks after its runs while nobody does."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from macrorail.config.document import Section
from macrorail.quantity import DataSize, Duration, Fraction, Temperature


class LightSection(Section):
    """Shell commands that switch the lamp, for a socket or relay that a program can reach.

    Attributes
    ----------
    on
        Before the devices are opened; a run whose light does not come on does not begin.
    off
        In the end, whatever the end.
    """

    on: str
    off: str


class UnattendedSection(Section):
    """What looks after runs.

    Attributes
    ----------
    park
        In the end the axis holds where it is (``hold``), or goes to the start of its travel, far
        from the specimen (``start``).
    pause_at_most_s
        World time after which a pause ends the run.
    keep_free_bytes
        A run pauses when its disk has less room than this.
    least_battery
        A run pauses when the computer runs on its battery and has less left than this.
    hottest_c
        A run pauses when a sensor shows more than this, and until all are 5 degrees below it.
    sensors
        Files in thousandths of a degree, as Linux has them; ``*`` stands for anything. The
        computer's own when not given.
    light
        How the lamp is switched; ``None`` leaves it alone.
    ask
        A shell command that tells whether all is well: it pauses the run by ending with anything
        but 0, and its last line says why.
    ask_every_s
        Wall time between two such questions.
    notify
        Where news of a run goes: addresses that Apprise knows, or files that list some. A rig is
        copied into every run's folder, so addresses with passwords belong in a file.
    """

    park: Literal["hold", "start"] = "hold"
    pause_at_most_s: Duration = Field(alias="pause_at_most", default=12 * 3600.0, gt=0)
    keep_free_bytes: DataSize = Field(alias="keep_free", default=500e6, ge=0)
    least_battery: Fraction = Field(alias="battery", default=0.10, ge=0, le=1)
    hottest_c: Temperature | None = Field(alias="temperature", default=None)
    sensors: tuple[str, ...] = ("/sys/class/thermal/thermal_zone*/temp",)
    light: LightSection | None = None
    ask: str | None = None
    ask_every_s: Duration = Field(alias="ask_every", default=30.0, gt=0)
    notify: tuple[str, ...] = ()
