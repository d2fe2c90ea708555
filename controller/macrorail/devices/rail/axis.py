"""The rail: a carriage on a lead screw, moved by macrorail's firmware on an Arduino."""

from __future__ import annotations

import math

from macrorail.devices.interfaces import AxisReport, Context, LostStepCheck
from macrorail.devices.rail.codes import STOPS
from macrorail.devices.rail.link import CommandRefused, Link, open_port
from macrorail.devices.rail.options import SPEEDS_STEPS_S, RailOptions
from macrorail.devices.rail.remedies import remedy_of
from macrorail.devices.rail.wire import Greeting, Shots, Status, shots_of
from macrorail.devices.travel import limited_travel, refuse_outside
from macrorail.errors import (
    DeviceError,
    DeviceTimeout,
    LimitError,
    PositionInDoubt,
    RailAlarm,
    WireError,
)
from macrorail.quantity import format_length

_POLL_S = 0.05
_SWITCH_QUIET_S = 0.02
_HOME_SWITCH = 1
_LET_GO_LATEST_S = 2.0


class SerialRail:
    """A rail behind a serial port; a ``macrorail.devices.interfaces.FocusAxis``.

    Every target is approached with the carriage moving towards the specimen, so that the play of
    the screw has no effect. Every position reached is checked against the board's own step count.
    """

    class Options(RailOptions):
        """Keys of a rig's axis section."""

    def __init__(self, options: Options, context: Context) -> None:
        self._options = options
        self._context = context
        self._clock = context.clock
        self._um_per_step = options.um_per_step
        self._backlash_steps = math.ceil(options.backlash_um / self._um_per_step)
        self._link: Link | None = None
        self._greeting: Greeting | None = None
        self._travel_um = options.allowed_um
        self._lowest, self._highest = 0, 0
        # Position in steps at which the carriage last came to rest; None while it is not known.
        self._position: int | None = None
        self._approached = False
        # Target of finish_move() in steps, and the end of the present part of the move.
        self._target: int | None = None
        self._leg = 0
        self._motion = 0
        self._deadline_s = 0.0

    @property
    def shares_camera(self) -> bool:
        return False

    @property
    def lost_step_check(self) -> LostStepCheck:
        options = self._options
        return LostStepCheck(self.check_count, options.check_every_slices, options.tolerated_um)

    def open(self, closest_approach_um: float | None = None) -> AxisReport:
        self.close()
        self._forget()
        self._set_limits(closest_approach_um)
        port = self._context.resolve_port(self._options.port, "rail")
        name = port if isinstance(port, str) else "the bench"
        link = Link(open_port(port), name)
        try:
            self._greeting = greeting = link.hello()
            self._link = link
            # A board that was not reset may still be stopping a motion started by an earlier
            # program.
            status = self._wait_for_rest(link)
            self._configure()
        except BaseException:
            self._link = None
            link.close()
            raise
        self._position = status.position if status.is_known else None
        return AxisReport(
            model="macrorail rail",
            version=f"firmware {greeting.version}",
            travel_um=self._travel_um,
            resolution_um=self._um_per_step,
            position_um=None if self._position is None else self._position * self._um_per_step,
            estimated=False,
        )

    def home(self) -> float:
        options = self._options
        speed = options.speed_um_s / 2
        search_um = 1.2 * options.travel.to_um + options.home_clearance_um
        self._forget()
        clearance = round(options.home_clearance_um / self._um_per_step)
        self._motion = self._ask(
            "HOME",
            round(search_um / self._um_per_step),
            max(round(speed / self._um_per_step), SPEEDS_STEPS_S[0]),
            clearance,
        )
        # Backing off and touching the switch again is slow but takes a few seconds at most.
        self._deadline_s = self._clock.now() + 2 * search_um / speed + 60
        status = self._finish("homing")
        if status.position != clearance or not status.is_known:
            raise WireError(
                f"the rail says it is homed at step {status.position}, expected {clearance}; "
                f"flash the firmware that came with this macrorail"
            )
        self._position, self._approached = clearance, True
        return clearance * self._um_per_step

    def check_count(self) -> float:
        """Touch the home switch again and restart the step count there.

        Returns
        -------
        float
            Error of the step count in micrometres: the distance that the motor lost since the last
            homing. Above 0 the carriage was nearer to the home switch than reported.

        Raises
        ------
        PositionInDoubt
            The position is not known, so there is no count to check.
        """
        if self._position is None:
            raise PositionInDoubt("the rail does not know where it is; home it first")
        self.home()
        return self._opened().status().slip * self._um_per_step

    def measure_play(self) -> float:
        """Measure with the home switch how far the screw turns back before the carriage follows.

        Homes the rail, drives onto the switch and moves back step by step until the switch opens.
        The distance that the switch itself needs to open is included.

        Returns
        -------
        float
            Play of the screw in micrometres.

        Raises
        ------
        DeviceError
            The switch did not open within ``home_clearance``.
        """
        clearance = round(self.home() / self._um_per_step)
        try:
            self._ask("LIMITS", 0, self._highest)
            for step in range(clearance + 1):
                self._go(step)
                self._finish_leg()
                self._clock.sleep(_SWITCH_QUIET_S)
                if not self._opened().status().inputs & _HOME_SWITCH:
                    # Without play the switch opens at the first step away from it.
                    return (step - 1) * self._um_per_step
        finally:
            self._approached = False
            self._configure()
        raise DeviceError(
            f"the home switch had not opened {format_length(self._options.home_clearance_um)} from "
            f"where it closed; raise 'home_clearance' in the rig file, or check whether the nut is "
            f"loose"
        )

    def start_move(self, position_um: float) -> None:
        refuse_outside(position_um, self._travel_um)
        self._opened()
        if self._position is None:
            raise PositionInDoubt("the rail does not know where it is; home it first")
        # The limits are positions, not steps: rounding must not move a target across a limit.
        target = min(max(round(position_um / self._um_per_step), self._lowest), self._highest)
        self._target = target
        first_leg = target
        if target < self._position or not self._approached:
            first_leg = target - self._backlash_steps
        self._go(first_leg)

    def finish_move(self) -> float:
        if self._target is None:
            raise PositionInDoubt("no move of the rail is under way; start one")
        target = self._target
        if self._finish_leg() != target:
            self._go(target)
            self._finish_leg()
        self._approached = True
        self._target = None
        return target * self._um_per_step

    def expose(self, focus_s: float, release_s: float, flash_s: float = 0.0) -> Shots:
        """Release the camera by its cable: close the focus line, then the release line as well.

        The focus line is closed alone for ``focus_s`` seconds, then both for ``release_s`` seconds.
        Returns when both lines are open again and the hot-shoe contact has fired, or when
        ``flash_s`` (run time) has passed without the contact.

        Raises
        ------
        RailAlarm
            The rail is moving, or the shutter is already being released.
        DeviceTimeout
            The board has not opened the release line.
        """
        before = self.shots()
        self._ask("EXPOSE", round(focus_s * 1000), round(release_s * 1000))
        over_s = self._clock.now() + focus_s + release_s
        # Ask repeatedly: a board that receives nothing for a while opens the lines.
        while True:
            self._clock.sleep(_POLL_S)
            shots, now_s = self.shots(), self._clock.now()
            if shots.pulses != before.pulses and shots.lasted_us != 0:
                if shots.contacts != before.contacts or now_s > over_s + flash_s:
                    return shots
            elif now_s > over_s + _LET_GO_LATEST_S:
                raise DeviceTimeout(f"the board has not released the shutter: {shots}; reset it")

    def inspect(self) -> tuple[Greeting, Status]:
        """Return the board's greeting from when it was opened, and its present status."""
        link = self._opened()
        assert self._greeting is not None
        return self._greeting, link.status()

    def shots(self) -> Shots:
        """Return how often release and hot-shoe contact have closed since the board's reset."""
        return shots_of(self._opened().ask("SHOTS"))

    def stop(self) -> None:
        if self._link is None:
            return
        self._target = None
        self._approached = False
        try:
            self._ask("STOP")
        except DeviceError:
            # Sent without waiting for an answer: nothing more can be done over a failing
            # connection.
            self._opened().emergency()
            raise
        status = self._wait_for_rest(self._opened())
        self._position = status.position if status.is_known else None

    def halt(self) -> None:
        if self._link is not None:
            self._link.emergency()
            self._forget()

    def close(self) -> None:
        link = self._link
        if link is None:
            return
        try:
            self.stop()
        except DeviceError:
            # The connection is broken; the board stops by itself when it receives nothing.
            self._forget()
        finally:
            self._link = None
            link.close()

    def _set_limits(self, closest_approach_um: float | None) -> None:
        low_um, high_um = limited_travel(self._options.allowed_um, closest_approach_um)
        self._travel_um = (low_um, high_um)
        # A tiny tolerance, so that a limit of 45 mm is step 72000 and not 71999.
        self._lowest = math.ceil(low_um / self._um_per_step - 1e-6)
        self._highest = math.floor(high_um / self._um_per_step + 1e-6)

    def _wait_for_rest(self, link: Link) -> Status:
        options = self._options
        deadline_s = self._clock.now() + options.speed_um_s / options.acceleration_um_s2 + 5
        while (status := link.status()).state != "idle":
            if self._clock.now() > deadline_s:
                link.emergency()
                self._forget()
                raise DeviceTimeout(
                    "the rail did not come to rest within 5 s of a stop and was halted; home it"
                )
            self._clock.sleep(_POLL_S)
        return status

    def _configure(self) -> None:
        options = self._options
        self._ask(
            "PACE",
            round(options.speed_um_s / self._um_per_step),
            round(options.acceleration_um_s2 / self._um_per_step),
        )
        self._ask("LIMITS", self._lowest - self._backlash_steps, self._highest)
        self._ask("SILENCE", round(options.host_silence_s * 1000))
        self._ask("REST", round((options.motor_off_after_s or 0) * 1000))

    def _opened(self) -> Link:
        if self._link is None:
            raise DeviceError("the rail is not open")
        return self._link

    def _forget(self) -> None:
        self._position, self._approached, self._target = None, False, None

    def _ask(self, verb: str, *arguments: int) -> int:
        """Send a command and wait until the board accepts it; return its sequence number."""
        try:
            return self._opened().ask(verb, *arguments).sequence
        except CommandRefused as refusal:
            raise self._refusal(refusal) from refusal
        except DeviceError:
            self._forget()
            raise

    def _refusal(self, refusal: CommandRefused) -> DeviceError:
        said = f"{refusal}; nothing has moved"
        match refusal.code:
            case "unhomed":
                self._forget()
                return PositionInDoubt(f"{said}{self._why_unknown()}; home the rail first")
            case "switch_fault":
                self._forget()
                return RailAlarm(
                    "switch_fault", f"{said}; its position is in doubt; {remedy_of('switch_fault')}"
                )
            case "outside" | "limit":
                return LimitError(said)
            case "estop":
                return RailAlarm("estop", f"{said}; release the emergency stop")
            case "busy" | "exposing":
                return RailAlarm(refusal.code, f"{said}; stop the rail first")
            case _:
                return WireError(f"{said}; this is a bug, or the firmware is not ours")

    def _why_unknown(self) -> str:
        """Return why the position is not known, as part of a sentence; empty without a reason."""
        stop = self._opened().status().stop
        return "" if stop in ("none", "done") else f" ({STOPS[stop]})"

    def _go(self, target: int) -> None:
        assert self._position is not None
        way_um = abs(target - self._position) * self._um_per_step
        options = self._options
        expected_s = way_um / options.speed_um_s + options.speed_um_s / options.acceleration_um_s2
        self._motion = self._ask("GO", target)
        self._leg = target
        self._deadline_s = self._clock.now() + 2 * expected_s + 2

    def _finish_leg(self) -> int:
        status = self._finish(f"moving to {format_length(self._leg * self._um_per_step)}")
        if status.position != self._leg:
            self._forget()
            raise PositionInDoubt(
                f"the rail reports that it has arrived, but it is at step {status.position} "
                f"instead of {self._leg}; home it"
            )
        self._position = self._leg
        return self._leg

    def _finish(self, what: str) -> Status:
        """Wait until the motion started last has reached its target; return the status."""
        link = self._opened()
        while True:
            try:
                status = link.status()
            except DeviceError:
                self._forget()
                raise
            if status.motion != self._motion:
                self._forget()
                raise WireError(
                    f"the rail is busy with motion {status.motion} while {what} as motion "
                    f"{self._motion}; home it"
                )
            if status.state == "idle":
                break
            if self._clock.now() > self._deadline_s:
                link.emergency()
                self._forget()
                raise DeviceTimeout(f"the rail is still {what} long after its time; home it")
            self._clock.sleep(_POLL_S)
        if status.stop != "done":
            raise self._alarm(status, what)
        return status

    def _alarm(self, status: Status, what: str) -> RailAlarm:
        self._forget()
        where = "its position is in doubt"
        if status.is_known:
            self._position = status.position
            where = f"it rests at {format_length(status.position * self._um_per_step)}"
        return RailAlarm(
            status.stop,
            f"the rail stopped while {what}: {STOPS[status.stop]}; {where}; "
            f"{remedy_of(status.stop)}",
        )
