"""The schema of a rig's ``unattended`` section: what supervises a run when nobody is present."""

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
        Run before the devices are opened; if it fails, the run does not start. Example: ``curl -sf
        http://lamp.local/on``
    off
        Run at the end of every run, whatever its result. Example: ``curl -sf
        http://lamp.local/off``
    """

    on: str
    off: str


class UnattendedSection(Section):
    """What watches over runs that nobody attends.

    Attributes
    ----------
    park
        At the end of a run the axis holds where it is (``hold``), or goes to the start of its
        travel, far from the specimen (``start``).
    pause_at_most_s
        A longer pause ends the run (world time).
    keep_free_bytes
        A run pauses when its disk has less free space.
    least_battery
        A run pauses when the computer runs on its battery and that has less charge.
    hottest_c
        A run pauses when a temperature sensor shows more, until all sensors are 5 degrees below it.
        Example: ``80 °C``
    sensors
        Files that hold a temperature in thousandths of a degree, as Linux has them; ``*`` matches
        anything.
    light
        How the lamp is switched; left alone when not given. Example: ``{on: lamp on, off: lamp
        off}``
    ask
        A shell command that checks whether all is well. A run pauses when its exit code is not 0;
        the last line it prints is the reason. Example: ``/usr/local/bin/check-room``
    ask_every_s
        Time between two such checks (wall time).
    notify
        Where notifications of a run go: addresses in the form that Apprise reads, or files that
        list some. A rig is copied into the folder of every run, so keep addresses with passwords in
        a file. Example: ``[~/.config/macrorail-notify.txt]``
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
