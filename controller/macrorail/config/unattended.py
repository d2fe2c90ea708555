"""The schema of a rig's ``unattended`` section: supervision of runs without an operator."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from macrorail.config.document import Section
from macrorail.quantity import DataSize, Duration, Fraction, Temperature


class LightSection(Section):
    """Shell commands that switch the lamp through a socket or relay.

    Attributes
    ----------
    on
        Command that switches the lamp on before the devices are opened. If the command fails, the
        run does not start. Example: ``curl -sf http://lamp.local/on``
    off
        Command that switches the lamp off at the end of every run, whatever its result. Example:
        ``curl -sf http://lamp.local/off``
    """

    on: str
    off: str


class UnattendedSection(Section):
    """Supervision of runs without an operator.

    Attributes
    ----------
    park
        Where the axis goes at the end of a run. ``hold``: it stays at its last position. ``start``:
        it goes to the start of its travel, far from the specimen.
    pause_at_most_s
        Longest pause (run time). A longer pause ends the run.
    keep_free_bytes
        Least free space on the disk of a run. A run pauses when less is free.
    least_battery
        Lowest charge of the computer's battery. A run pauses when the computer runs on its battery
        and the charge is lower.
    hottest_c
        Highest temperature of any sensor. A run pauses when a sensor shows more, until all sensors
        are 5 degrees below this limit. Example: ``80 °C``
    sensors
        Files that contain a temperature in thousandths of a degree Celsius, as Linux provides them;
        ``*`` matches any text.
    light
        Commands that switch the lamp; the lamp is not switched when not given. Example: ``{on: lamp
        on, off: lamp off}``
    ask
        A shell command that checks whether the run may continue. A run pauses when the exit code is
        not 0; the last line of the command's output is the reason. Example:
        ``/usr/local/bin/check-room``
    ask_every_s
        Time between two checks by ``ask`` (wall time).
    notify
        Where notifications of a run go: addresses in the form that Apprise reads, or files that
        list such addresses. A rig is copied into the folder of every run, so keep addresses with
        passwords in a file. Example: ``[~/.config/macrorail-notify.txt]``
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
