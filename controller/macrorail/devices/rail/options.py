"""What a rig file says of a rail with our firmware, and whether its board can do it."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from macrorail.config.document import key_error
from macrorail.config.rig import AxisSection
from macrorail.quantity import Acceleration, Count, Duration, Length, format_length

SPEEDS_STEPS_S = (50, 20_000)
_ACCELERATIONS_STEPS_S2 = (100, 200_000)


class RailOptions(AxisSection):
    """Keys of a rig's axis section.

    Attributes
    ----------
    port
        Serial port, or ``bench``.
    lead_um
        How far one turn of the screw moves the carriage, micrometres.
    steps_per_revolution, microsteps
        Of the motor, and of its driver.
    acceleration_um_s2
        Of the ramps, micrometres per second squared.
    home_clearance_um
        How far from the home switch the carriage comes to rest after homing; the travel
        must not start nearer to it.
    backlash_um
        By how much more than the screw's play a move away from the specimen overshoots
        before it returns.
    host_silence_s
        World time without a word from us after which the board stops by itself.
    motor_off_after_s
        World time at rest after which the motor is switched off, and the rail has to be homed
        before it moves again; ``None`` lets it hold for ever, as a vertical rail must.
    check_every_slices
        How often a run touches the home switch again to see whether the motor lost steps; at
        the end of a run it always does.
    check_tolerance_um
        A larger error puts the slices since the check before in doubt; two full steps of the
        motor when not given.
    """

    port: str
    lead_um: Length = Field(alias="lead", default=2000.0, gt=0)
    steps_per_revolution: int = Field(default=200, gt=0)
    microsteps: int = Field(default=16, gt=0)
    acceleration_um_s2: Acceleration = Field(alias="acceleration", default=20_000.0, gt=0)
    home_clearance_um: Length = Field(alias="home_clearance", default=200.0, gt=0)
    backlash_um: Length = Field(alias="backlash", default=50.0, ge=0)
    host_silence_s: Duration = Field(alias="host_silence", default=2.0, ge=0.1, le=600)
    motor_off_after_s: Duration | None = Field(
        alias="motor_off_after", default=None, ge=1, le=86_400
    )
    check_every_slices: Count | None = Field(alias="check_every", default=None, ge=1)
    check_tolerance_um: Length | None = Field(alias="check_tolerance", default=None, ge=0)

    @property
    def um_per_step(self) -> float:
        """Micrometres of one microstep."""
        return self.lead_um / (self.steps_per_revolution * self.microsteps)

    @property
    def tolerated_um(self) -> float:
        """Error of the count that is still taken for the switch's own spread, micrometres.

        A stepper that loses its step falls into the next place where its coils fit, which is
        four full steps away: half of that tells loss from spread.
        """
        if self.check_tolerance_um is not None:
            return self.check_tolerance_um
        return 2 * self.lead_um / self.steps_per_revolution

    @model_validator(mode="after")
    def _the_board_can(self) -> Self:
        _check_range("speed", self.speed_um_s / self.um_per_step, SPEEDS_STEPS_S, "steps/s")
        _check_range(
            "acceleration",
            self.acceleration_um_s2 / self.um_per_step,
            _ACCELERATIONS_STEPS_S2,
            "steps/s²",
        )
        if self.travel.from_um < self.home_clearance_um:
            raise key_error(
                "travel",
                f"must not start nearer to the home switch than 'home_clearance' "
                f"({format_length(self.home_clearance_um)}), or a move would press it",
            )
        if self.home_clearance_um < 2 * self.backlash_um:
            raise key_error(
                "home_clearance",
                f"must be at least twice 'backlash' ({format_length(self.backlash_um)}), or "
                f"taking up the play would press the home switch",
            )
        return self


def _check_range(key: str, steps: float, limits: tuple[int, int], unit: str) -> None:
    low, high = limits
    if not low <= steps <= high:
        raise key_error(
            key,
            f"asks the motor for {steps:.0f} {unit}, the board can do {low} to {high}; change it, "
            f"or 'microsteps'",
        )
