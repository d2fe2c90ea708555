"""One axis of a machine that runs grbl 1.1, grblHAL or FluidNC, such as a CNC frame.

A move has three parts: the target is set, read back, and only then approached. ``G92`` makes the
target the work zero, which moves nothing. grbl's next report shows which work zero it has set.
``$J=G90G21X0F..`` moves there. If characters of that last line are lost, grbl refuses the line, or
moves more slowly to the same place.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from macrorail.config.rig import AxisSection
from macrorail.devices.grbl.link import GrblLink, GrblRefused
from macrorail.devices.grbl.settings import check_settings, read_settings
from macrorail.devices.grbl.wire import (
    AXES,
    JOG_CANCEL,
    SOFT_RESET,
    STUCK,
    Report,
)
from macrorail.devices.interfaces import AxisReport, Context
from macrorail.devices.rail.link import open_port
from macrorail.devices.travel import limited_travel, refuse_outside
from macrorail.errors import (
    ConnectError,
    DeviceError,
    DeviceTimeout,
    LimitError,
    PositionInDoubt,
    RailAlarm,
    WireError,
)
from macrorail.quantity import Length, format_length

_POLL_S = 0.1
_ATTEMPTS = 6
#: grbl reports positions with a resolution of a thousandth of a millimetre.
_REPORTED_UM = 1.0


class GrblRail:
    """An axis of a grbl machine; a ``macrorail.devices.interfaces.FocusAxis``.

    Position 0 is where the axis's home switch closes, according to ``$27`` (pull-off). Opening
    resets grbl. grbl does not report how many steps its motor lost, because homing restarts its
    count.
    """

    class Options(AxisSection):
        """Axis section of one axis of a grbl machine.

        Attributes
        ----------
        port
            Serial port, or ``bench`` for a simulated machine. Example: ``/dev/ttyUSB0``
        machine_axis
            Letter of the machine axis that carries the camera. Example: ``Z``
        backlash_um
            How far a move away from the specimen goes beyond its target before it returns; a little
            more than the play of the screw.
        """

        port: str
        machine_axis: Literal["X", "Y", "Z", "A"]
        backlash_um: Length = Field(alias="backlash", default=50.0, ge=0)

    def __init__(self, options: Options, context: Context) -> None:
        self._options = options
        self._context = context
        self._clock = context.clock
        self._axis = AXES.index(options.machine_axis)
        self._letter = options.machine_axis
        self._travel_um = options.allowed_um
        self._link: GrblLink | None = None
        self._settings: dict[int, float] = {}
        self._homes_alone = False
        # Machine position after homing, mm; None while the position is not known.
        self._home_mm: float | None = None
        self._approached = False
        self._target_um: float | None = None
        self._leg_um = 0.0
        self._deadline_s = 0.0

    @property
    def shares_camera(self) -> bool:
        return False

    @property
    def lost_step_check(self) -> None:
        """``None``: homing restarts grbl's step count, and grbl does not report its error."""
        return

    def open(self, closest_approach_um: float | None = None) -> AxisReport:
        self.close()
        self._forget()
        self._travel_um = limited_travel(self._options.allowed_um, closest_approach_um)
        port = self._context.resolve_port(self._options.port, "rail")
        name = port if isinstance(port, str) else getattr(port, "name", "the bench")
        link = GrblLink(open_port(port), name, self._clock)
        try:
            welcome = link.reset()
            self._link = link
            if not welcome.is_spoken_here:
                raise ConnectError(
                    f"{name} runs {welcome.dialect} {welcome.version}; macrorail needs grbl 1.1, "
                    f"grblHAL or FluidNC"
                )
            found = read_settings(self._harmless, welcome.dialect, self._axis)
            check_settings(found)
            self._settings, self._homes_alone = found.values, found.homes_alone
            self._check_travel()
            self._check_reports()
        except BaseException:
            self._link = None
            link.close()
            raise
        return AxisReport(
            model=f"grbl, axis {self._letter}",
            version=f"{welcome.dialect} {welcome.version}",
            travel_um=self._travel_um,
            resolution_um=max(1000 / self._setting(100), 2 * _REPORTED_UM),
            position_um=None,
            estimated=False,
        )

    def home(self) -> float:
        link = self._opened()
        self._forget()
        # Clear any alarm or incomplete line left over from before.
        link.reset()
        way_mm = self._setting(130)
        seek_mm_min = self._settings[25]
        patience_s = 60 + 3 * 60 * way_mm / seek_mm_min
        try:
            link.ask(f"$H{self._letter}" if self._homes_alone else "$H", patience_s)
        except GrblRefused as refusal:
            raise RailAlarm("grbl_home", f"{refusal}; nothing has moved") from refusal
        report = self._rest("homing")
        self._home_mm = self._machine_mm(report)
        self._approached = True
        return self._position_um(self._home_mm)

    def start_move(self, position_um: float) -> None:
        refuse_outside(position_um, self._travel_um)
        self._opened()
        if self._home_mm is None:
            raise PositionInDoubt("the rail does not know where it is; home it first")
        here_um = self._position_um(self._machine_mm(self._rest("at rest")))
        self._target_um = position_um
        backwards = position_um < here_um or not self._approached
        self._go(position_um - self._options.backlash_um if backwards else position_um)

    def finish_move(self) -> float:
        if self._target_um is None:
            raise PositionInDoubt("no move of the rail is under way; start one")
        target_um = self._target_um
        achieved_um = self._finish_leg()
        if self._leg_um != target_um:
            self._go(target_um)
            achieved_um = self._finish_leg()
        self._approached = True
        self._target_um = None
        return achieved_um

    def stop(self) -> None:
        if self._link is None:
            return
        self._target_um = None
        self._approached = False
        self._link.send_now(JOG_CANCEL)
        self._deadline_s = self._clock.now() + 10
        if self._home_mm is not None:
            self._wait("stopping")
        else:
            # Only a reset can end homing.
            self._link.reset()

    def halt(self) -> None:
        if self._link is not None:
            self._link.send_now(SOFT_RESET)
            self._forget()

    def close(self) -> None:
        link = self._link
        if link is None:
            return
        try:
            self.stop()
            # Remove the temporary work zero, so that other programs find their own unchanged.
            self._harmless("G92.1")
        except DeviceError:
            self._forget()
        finally:
            self._link = None
            link.close()

    # ------------------------------------------------------------------- one move, three sentences

    def _go(self, position_um: float) -> None:
        """Set the target as work zero, read it back, and move there."""
        link = self._opened()
        target_mm = self._wanted_mm(position_um)
        self._stage(target_mm)
        way_um = abs(position_um - self._position_um(self._machine_mm(self._rest("at rest"))))
        speed_mm_min = self._options.speed_um_s * 60 / 1000
        rate_um_s2 = self._setting(120) * 1000
        expected_s = way_um / self._options.speed_um_s + self._options.speed_um_s / rate_um_s2
        line = f"$J=G90G21{self._letter}0F{speed_mm_min:.1f}"
        for _ in range(_ATTEMPTS):
            try:
                link.ask(line)
                self._leg_um = position_um
                self._deadline_s = self._clock.now() + 2 * expected_s + 3
                return
            except GrblRefused as refusal:
                # Either the line lost characters, and no part of it is a move, or grbl really
                # refused it.
                if refusal.code == 15:
                    raise LimitError(f"{refusal}; nothing has moved") from refusal
            except DeviceError:
                self._forget()
                raise
        self._forget()
        raise WireError(
            f"grbl did not understand '{line}' in any of {_ATTEMPTS} attempts; check the cable, "
            f"then open it again and home it"
        )

    def _stage(self, target_mm: float) -> None:
        link = self._opened()
        for _ in range(_ATTEMPTS):
            here_mm = self._machine_mm(self._rest("at rest"))
            self._harmless(f"G21G92{self._letter}{here_mm - target_mm:.3f}")
            offset = link.offset()
            if offset is not None and abs(offset[self._axis] - target_mm) < 0.0015:
                return
        self._forget()
        raise WireError(
            f"grbl did not accept {target_mm:.3f} mm as its target in {_ATTEMPTS} attempts; check "
            f"the cable, then open it again and home it"
        )

    def _finish_leg(self) -> float:
        report = self._wait(f"moving to {format_length(self._leg_um)}")
        achieved_um = self._position_um(self._machine_mm(report))
        allowed_um = 1000 / self._setting(100) + _REPORTED_UM
        if abs(achieved_um - self._leg_um) > allowed_um:
            self._forget()
            raise PositionInDoubt(
                f"grbl came to rest at {format_length(achieved_um, 6)} instead "
                f"of {format_length(self._leg_um, 6)}; home it"
            )
        return achieved_um

    # ---------------------------------------------------------------------------------- small help

    def _wait(self, what: str) -> Report:
        """Wait until the axis is at rest; return the last report."""
        while True:
            report = self._report()
            if report.state == "Idle":
                return report
            self._judge(report, what)
            if self._clock.now() > self._deadline_s:
                self.halt()
                raise DeviceTimeout(f"grbl is still {what} long after its time; home it")
            self._clock.sleep(_POLL_S)

    def _rest(self, what: str) -> Report:
        report = self._report()
        if report.state != "Idle":
            self._judge(report, what)
            raise RailAlarm("busy", f"grbl moves while it should be {what}; stop it first")
        return report

    def _report(self) -> Report:
        try:
            return self._opened().report()
        except DeviceError:
            self._forget()
            raise

    def _judge(self, report: Report, what: str) -> None:
        if report.state in ("Jog", "Home"):
            return
        self._forget()
        if report.state == "Alarm":
            raise RailAlarm(
                "grbl_alarm", f"grbl went into alarm while {what}; see what happened, then home it"
            )
        raise RailAlarm(
            f"grbl_{report.state.lower()}",
            f"grbl does not go on while {what}: {STUCK[report.state]}; then home it",
        )

    def _harmless(self, line: str) -> list[str]:
        """Send a line that moves nothing, and send it again if the line or its answer got lost."""
        for attempt in range(_ATTEMPTS):
            try:
                return self._opened().ask(line)
            except (GrblRefused, DeviceTimeout) as error:
                if attempt == _ATTEMPTS - 1:
                    self._forget()
                    raise WireError(f"{error}, in {_ATTEMPTS} attempts") from error
            except DeviceError:
                self._forget()
                raise
        raise AssertionError("unreachable")

    def _check_travel(self) -> None:
        fastest_um_s = self._setting(110) * 1000 / 60
        if self._options.speed_um_s > fastest_um_s:
            raise ConnectError(
                f"the rig's speed is beyond grbl's ${110 + self._axis}="
                f"{self._setting(110):g} mm/min; lower 'speed' in the rig file"
            )
        low_um = self._travel_um[0] - self._options.backlash_um
        pull_off_um, way_um = self._settings[27] * 1000, self._setting(130) * 1000
        if low_um < pull_off_um / 2 or self._options.travel.to_um > way_um:
            raise LimitError(
                f"the rig's travel does not fit grbl's: its start less 'backlash' must be beyond "
                f"{format_length(pull_off_um / 2)} (half of $27) and its end before "
                f"{format_length(way_um)} (${130 + self._axis})"
            )

    def _check_reports(self) -> None:
        """Raise an error if reports lack the machine position or work offset that moves need."""
        if self._report().machine_mm is None:
            raise ConnectError("grbl reports work positions; set $10=1")
        if self._opened().offset() is None:
            raise ConnectError(
                "grbl's reports leave out the work offset (WCO), which each move is checked by; "
                "set $10=511 on grblHAL"
            )

    def _setting(self, of_x: int) -> float:
        return self._settings[of_x + self._axis]

    @property
    def _direction(self) -> int:
        """Direction of the machine axis from the home switch to the specimen: 1 or -1."""
        return 1 if int(self._settings[23]) >> self._axis & 1 else -1

    def _position_um(self, machine_mm: float) -> float:
        assert self._home_mm is not None
        way_um = self._direction * (machine_mm - self._home_mm) * 1000
        return round(self._settings[27] * 1000 + way_um, 3)

    def _wanted_mm(self, position_um: float) -> float:
        assert self._home_mm is not None
        per_um = self._setting(100) / 1000
        pull_off_um = self._settings[27] * 1000
        # The limits are positions, not steps: rounding must not move a target across a limit.
        low, high = (per_um * (limit_um - pull_off_um) for limit_um in self._travel_um)
        steps = round(per_um * (position_um - pull_off_um))
        if position_um >= self._travel_um[0]:
            steps = min(max(steps, math.ceil(low - 1e-6)), math.floor(high + 1e-6))
        return round(self._home_mm + self._direction * steps / per_um / 1000, 3)

    def _machine_mm(self, report: Report) -> float:
        if report.machine_mm is None:
            self._forget()
            raise WireError("grbl began to report work positions; set $10=1, then open it again")
        if self._axis >= len(report.machine_mm):
            raise ConnectError(
                f"the machine has {len(report.machine_mm)} axes, no {self._letter}; change "
                f"'machine_axis' in the rig file"
            )
        return report.machine_mm[self._axis]

    def _opened(self) -> GrblLink:
        if self._link is None:
            raise DeviceError("the rail is not open")
        return self._link

    def _forget(self) -> None:
        self._home_mm, self._approached, self._target_um = None, False, None
