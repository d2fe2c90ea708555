"""The focus axis of docs/how-to/write-a-driver.md, with a simulated stage that speaks its lines."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from macrorail.devices.interfaces import Context
from macrorail_sims.clock import VirtualClock
from tests.conformance.axes import AxisWorld

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-driver.md"


def documented_driver() -> ModuleType:
    """The page's Python block as the module ``line_stage``."""
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    module = ModuleType("line_stage")
    sys.modules["line_stage"] = module
    exec(compile(source, f"{PAGE}:line_stage", "exec"), vars(module))
    return module


class LineStageDevice:
    """A stage that answers as the page's table says, in virtual time; an opened port."""

    def __init__(self, clock: VirtualClock, speed_um_s: float) -> None:
        self._clock = clock
        self._speed_um_s = speed_um_s
        self._from_um, self._to_um, self._since_s = 7_000.0, 7_000.0, 0.0
        self._answer = b""

    def position_um(self) -> float:
        """Where it truly is."""
        gone_um = (self._clock.now() - self._since_s) * self._speed_um_s
        way_um = self._to_um - self._from_um
        return (
            self._to_um
            if gone_um >= abs(way_um)
            else self._from_um + (gone_um if way_um > 0 else -gone_um)
        )

    def write(self, line: bytes) -> None:
        verb, *target = line.decode().split()
        here_um = self.position_um()
        if verb in ("home", "move", "stop"):
            to_um = float(target[0]) if target else 0.0 if verb == "home" else here_um
            self._from_um, self._to_um, self._since_s = here_um, to_um, self._clock.now()
        state = "idle" if here_um == self._to_um else "busy"
        answers = {"version": "linestage 1.4", "home": "ok", "move": "ok"}
        self._answer = answers.get(verb, f"{state} {here_um:.1f}").encode() + b"\n"

    def readline(self) -> bytes:
        answer, self._answer = self._answer, b""
        return answer

    def close(self) -> None:
        """Nothing to release."""


@contextmanager
def documented_axis() -> Iterator[AxisWorld]:
    """The page's driver on the simulated stage."""
    module = documented_driver()
    clock = VirtualClock()
    options = module.LineStage.Options.model_validate(
        {
            "driver": "line_stage:LineStage",
            "port": "bench",
            "travel": {"from": "1 mm", "to": "60 mm"},
            "closest_approach": "45 mm",
            "speed": "5 mm/s",
        }
    )
    device = LineStageDevice(clock, options.speed_um_s)
    context = Context(clock, {"rail": device})
    yield AxisWorld(
        make=lambda: module.LineStage(options, context),
        clock=clock,
        travel_um=options.allowed_um,
        true_position_um=device.position_um,
        slack_um=0.0,
    )
    sys.modules.pop("line_stage", None)
