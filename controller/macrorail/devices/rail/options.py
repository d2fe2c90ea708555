"""Options of a rail with macrorail's firmware, checked against the limits of its board."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from macrorail.config.document import key_error
from macrorail.config.rig import AxisSection
from macrorail.quantity import Acceleration, Count, Duration, Length, format_length

SPEEDS_STEPS_S = (50, 20_000)
_ACCELERATIONS_STEPS_S2 = (100, 200_000)


class RailOptions(AxisSection):
    """Axis section of a rail with macrorail's own firmware.

    Attributes
    ----------
    port
        Serial port, or ``bench`` for a simulated rail. Example: ``/dev/ttyACM0``
    lead_um
        Distance that one turn of the screw moves the carriage.
    steps_per_revolution
        Full steps per turn of the motor.
    microsteps
        Microsteps per full step, as set on the motor's driver.
    acceleration_um_s2
        Acceleration of the ramps.
    home_clearance_um
        Distance from the home switch at which the carriage stops after homing. The travel must not
        start nearer to the switch.
    backlash_um
        How far a move away from the specimen goes beyond its target before it returns; a little
        more than the play of the screw.
    host_silence_s
        Time without any message from the computer after which the board stops by itself (run
        time).
    motor_off_after_s
        Time at rest after which the motor is switched off (run time). The rail must then be homed
        before it moves again. If not given, the motor stays on, as a vertical rail needs.
        Example: ``10 min``
    check_every_slices
        Number of slices after which the run touches the home switch again to check for lost
        steps. The run always checks at its end. Example: ``50 slices``
    check_tolerance_um
        Largest accepted error of the position. A larger error puts the slices since the previous
        check in doubt. If not given: two full steps of the motor. Example: ``20 um``
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

    finer_steps: ClassVar[str] = (
        "raise 'microsteps' in the rig file (and on the motor's driver), or use a screw with a "
        "smaller 'lead'"
    )

    def resolution_um_at(self, position_um: float) -> float:
        """See ``AxisSection``; the resolution is one microstep."""
        del position_um
        return self.um_per_step

    @property
    def um_per_step(self) -> float:
        """Distance that one microstep moves the carriage, micrometres."""
        return self.lead_um / (self.steps_per_revolution * self.microsteps)

    @property
    def tolerated_um(self) -> float:
        """Largest error of the step count that the home switch alone may cause, micrometres.

        A stepper motor that loses steps comes to rest four full steps, or a multiple of four,
        away. Half of that distance separates lost steps from the scatter of the switch.
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
