"""A stage of two axes, and optionally a turntable, on a machine that runs grbl 1.1.

Each axis is a ``GrblRail`` with all its checks. The axes share one serial line and move one after
the other.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from macrorail.config.document import Section
from macrorail.config.rig import Travel
from macrorail.config.stage import StagePosition, StageSection
from macrorail.devices.grbl.axis import GrblRail
from macrorail.devices.interfaces import Context
from macrorail.devices.rail.link import Port, open_port
from macrorail.errors import DeviceError, LimitError
from macrorail.quantity import Angle, Duration, Length, Speed, format_length

#: grbl counts a turntable's degrees as millimetres; ``GrblRail`` counts thousandths of a degree.
_UM_PER_DEG = 1000.0
_FULL_TURN_DEG = 360.0


class StageAxis(Section):
    """An axis of the stage.

    Attributes
    ----------
    machine_axis
        Letter of the machine axis. Example: ``X``
    travel
        Allowed positions, from the home switch. Example: ``{from: 2 mm, to: 78 mm}``
    speed_um_s
        Speed of a move. Example: ``30 mm/s``
    backlash_um
        How far a move back goes beyond its target before it returns; a little more than the play.
    """

    machine_axis: Literal["X", "Y", "Z", "A"]
    travel: Travel
    speed_um_s: Speed = Field(alias="speed", gt=0)
    backlash_um: Length = Field(alias="backlash", default=50.0, ge=0)


class Turntable(Section):
    """A turntable; its settings ``$10x`` and ``$13x`` in grbl are in degrees.

    Attributes
    ----------
    machine_axis
        Letter of the machine axis.
    from_deg
        Lowest angle from the home switch. Example: ``0 deg``
    to_deg
        Highest angle. Example: ``350 deg``
    full_turn_s
        Time for a turn of 360 degrees. Example: ``10 s``
    backlash_deg
        How far a move back goes beyond its target before it returns; a little more than the play.
    """

    machine_axis: Literal["X", "Y", "Z", "A"] = "A"
    from_deg: Angle = Field(alias="from")
    to_deg: Angle = Field(alias="to")
    full_turn_s: Duration = Field(alias="full_turn", gt=0)
    backlash_deg: Angle = Field(alias="backlash", default=0.5, ge=0)


class GrblStage:
    """X, Y and a turntable on one grbl machine; a ``macrorail.devices.interfaces.Stage``."""

    class Options(StageSection):
        """Stage section of a grbl machine.

        Attributes
        ----------
        x
            Axis in the X direction. Example: ``{machine_axis: X, travel: {from: 2 mm, to: 78 mm},
            speed: 30 mm/s}``
        y
            Axis in the Y direction. Example: ``{machine_axis: Y, travel: {from: 2 mm, to: 78 mm},
            speed: 30 mm/s}``
        turntable
            Turntable, if there is one. Example: ``{machine_axis: A, from: 0 deg, to: 350 deg,
            full_turn: 10 s}``
        """

        x: StageAxis
        y: StageAxis
        turntable: Turntable | None = None

        def unreachable_reason(self, where: StagePosition) -> str | None:
            """See ``StageSection``."""
            for name, axis, to_um in (("x", self.x, where.x_um), ("y", self.y, where.y_um)):
                if to_um is not None and not axis.travel.from_um <= to_um <= axis.travel.to_um:
                    return (
                        f"{name} {format_length(to_um)} is outside the stage's travel of "
                        f"{format_length(axis.travel.from_um)} to "
                        f"{format_length(axis.travel.to_um)}"
                    )
            turn = where.turn_deg
            if turn is None or self.turntable is None:
                return None
            if self.turntable.from_deg <= turn <= self.turntable.to_deg:
                return None
            return (
                f"{turn:g} deg is outside the turntable's {self.turntable.from_deg:g} to "
                f"{self.turntable.to_deg:g} deg"
            )

        def move_s(self, here: StagePosition, there: StagePosition) -> float:
            """See ``StageSection``; the axes move one after the other."""
            total_s = 0.0
            for axis, start_um, end_um in (
                (self.x, here.x_um, there.x_um),
                (self.y, here.y_um, there.y_um),
            ):
                if end_um is not None:
                    start_um = axis.travel.from_um if start_um is None else start_um
                    total_s += abs(end_um - start_um) / axis.speed_um_s
            if self.turntable is not None and there.turn_deg is not None:
                from_deg = self.turntable.from_deg if here.turn_deg is None else here.turn_deg
                share = abs(there.turn_deg - from_deg) / _FULL_TURN_DEG
                total_s += share * self.turntable.full_turn_s
            return total_s

    def __init__(self, options: Options, context: Context) -> None:
        self._options = options
        self._context = context
        self._x: GrblRail | None = None
        self._y: GrblRail | None = None
        self._table: GrblRail | None = None
        self._here = StagePosition()

    @property
    def turns(self) -> bool:
        return self._options.turntable is not None

    def open(self) -> str:
        self.close()
        # All axes use one serial line: the first axis opens it, the last one closes it.
        line = _SharedPort(self._context.resolve_port(self._options.port, "stage"))
        context = Context(self._context.clock, {"rail": line})
        self._x = GrblRail(_rail_options(self._options.x), context)
        self._y = GrblRail(_rail_options(self._options.y), context)
        if self._options.turntable is not None:
            self._table = GrblRail(_table_options(self._options.turntable), context)
        try:
            reports = [axis.open() for axis in self._axes]
        except BaseException:
            self.close()
            raise
        return f"{', '.join(report.model for report in reports)}; {reports[0].version}"

    def home(self) -> None:
        if not self._axes:
            raise DeviceError("the stage is not open")
        self._here = StagePosition()
        for axis in self._axes:
            axis.home()

    def move(self, there: StagePosition) -> StagePosition:
        targets = self._targets(there)
        here = self._here.to_dict()
        for axis, key, target_um, unit in targets:
            # The position is not known until the axis has come to rest.
            self._here = StagePosition()
            axis.start_move(target_um)
            here[key] = axis.finish_move() / unit
            self._here = StagePosition(**here)
        return self._here

    def stop(self) -> None:
        for axis in self._axes:
            axis.stop()

    def close(self) -> None:
        axes, self._x, self._y, self._table = self._axes, None, None, None
        self._here = StagePosition()
        for axis in axes:
            axis.close()

    @property
    def _axes(self) -> list[GrblRail]:
        return [axis for axis in (self._x, self._y, self._table) if axis is not None]

    def _targets(self, there: StagePosition) -> list[tuple[GrblRail, str, float, float]]:
        """Return for each axis to move: the axis, its key, its target, and the key's unit.

        The key is the name of the coordinate in ``StagePosition``. Target and unit are in the
        micrometres that ``GrblRail`` counts.
        """
        trouble = self._options.unreachable_reason(there)
        if trouble is not None:
            raise LimitError(f"{trouble}; nothing has moved")
        wanted = (
            (self._x, "x_um", there.x_um, 1.0),
            (self._y, "y_um", there.y_um, 1.0),
            (self._table, "turn_deg", there.turn_deg, _UM_PER_DEG),
        )
        return [
            (axis, key, to * unit, unit)
            for axis, key, to, unit in wanted
            if axis is not None and to is not None
        ]


class _SharedPort:
    """A port that several drivers open and close as if each had a port of its own."""

    timeout: float | None = None

    def __init__(self, port: Any) -> None:
        self._target = port
        self._port: Port | None = None
        self._users = 0
        self.name = port if isinstance(port, str) else "the bench"

    def open(self) -> None:
        if self._port is None:
            self._port = open_port(self._target)
        self._users += 1

    def close(self) -> None:
        self._users -= 1
        if self._users == 0 and self._port is not None:
            self._port.close()
            self._port = None

    def readline(self) -> bytes:
        return self._opened().readline()

    def write(self, data: bytes) -> int | None:
        return self._opened().write(data)

    def reset_input_buffer(self) -> None:
        self._opened().reset_input_buffer()

    def _opened(self) -> Port:
        assert self._port is not None, "the stage's port is not open"
        return self._port


def _rail_options(axis: StageAxis) -> GrblRail.Options:
    travel_um = (axis.travel.from_um, axis.travel.to_um)
    return _options(axis.machine_axis, travel_um, axis.speed_um_s, axis.backlash_um)


def _table_options(table: Turntable) -> GrblRail.Options:
    travel_um = (table.from_deg * _UM_PER_DEG, table.to_deg * _UM_PER_DEG)
    speed_um_s = _FULL_TURN_DEG * _UM_PER_DEG / table.full_turn_s
    return _options(table.machine_axis, travel_um, speed_um_s, table.backlash_deg * _UM_PER_DEG)


def _options(
    machine_axis: str, travel_um: tuple[float, float], speed_um_s: float, backlash_um: float
) -> GrblRail.Options:
    return GrblRail.Options.model_validate(
        {
            "driver": "grbl",
            "port": "bench",
            "machine_axis": machine_axis,
            "travel": {"from": travel_um[0], "to": travel_um[1]},
            "speed": speed_um_s,
            "backlash": backlash_um,
        }
    )
