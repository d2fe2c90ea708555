"""How long the firmware's interrupts take in the emulated chip, and how evenly the steps come.

``python -m tests.studies.interrupts`` prints the figures; ``--help`` says what can be chosen.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from macrorail_sims.firmware_avr import F_CPU, AvrBoard
from tests.board import Host

_NAMES = {4: "hot shoe", 7: "millisecond", 11: "step", 18: "byte in", 19: "byte out"}
_STEP_VECTOR = 11


@dataclass(frozen=True)
class Budget:
    """Figures of one move at a speed, with the status polled at 20 Hz meanwhile.

    Attributes
    ----------
    steps_per_s
        The speed.
    longest_cycles
        Of each interrupt, from its entry to its return, clock cycles.
    latest_cycles
        Longest wait of the step interrupt for its turn, cycles: the steps' jitter.
    repeats
        Lines that had to be said again.
    """

    steps_per_s: int
    longest_cycles: dict[str, int]
    latest_cycles: int
    repeats: int


def measure(steps_per_s: int, duration_s: float, chatter: bool = False) -> Budget:
    """Move at a speed and look at every interrupt; with a chattering hot shoe if wanted."""
    board = AvrBoard()
    host = Host(board)
    host.greet()
    host.home()
    assert host.ask("PACE", steps_per_s, 100_000).error is None
    longest: dict[str, int] = {}
    latest = 0
    raised: dict[int, int] = {}
    entered: list[tuple[int, int]] = []
    core = board.core
    states = core.InterruptController.State

    def note(signal: Any, tag: Any) -> None:
        nonlocal latest
        del tag
        cycle, vector, state = board.loop.cycle(), signal.index, signal.data.value()
        if state == int(states.Raised):
            raised[vector] = cycle
        elif state == int(states.Acknowledged):
            entered.append((vector, cycle))
            if vector == _STEP_VECTOR:
                latest = max(latest, cycle - raised[vector])
        elif state == int(states.Returned) and entered:
            vector, since = entered.pop()
            name = _NAMES[vector]
            longest[name] = max(longest.get(name, 0), cycle - since)

    _, request = board.device.ctlreq(core.IOCTL_INTR, core.CTLREQ_GET_SIGNAL)
    hook = core.CallableSignalHook(note)
    request.data.value(core.Signal).connect(hook)
    repeats = host.repeats
    start, edges = board.state.place, board.state.edges
    assert host.ask("GO", min(start + int(duration_s * steps_per_s), 150_000)).error is None
    while (rest := host.status()).state != "idle":
        for _ in range(100):
            board.state.shoe ^= chatter
            board.run_us(500)
    assert rest.stop == "done"
    assert board.state.edges - edges == rest.position - start == board.state.place - start
    return Budget(steps_per_s, longest, latest, host.repeats - repeats)


def main() -> None:
    """Print the figures for a few speeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", type=int, nargs="*", default=[8_000, 16_000, 20_000])
    parser.add_argument("--duration", type=float, default=5.0, help="seconds of motion")
    parser.add_argument("--chatter", action="store_true", help="of the hot shoe's contact")
    asked = parser.parse_args()
    for speed in asked.speed:
        budget = measure(speed, asked.duration, asked.chatter)
        cycles = ", ".join(f"{name} {count}" for name, count in budget.longest_cycles.items())
        print(
            f"{speed} steps/s: longest interrupt in cycles: {cycles}; "
            f"steps late by at most {budget.latest_cycles / F_CPU * 1e6:.1f} us; "
            f"{budget.repeats} lines repeated"
        )


if __name__ == "__main__":
    main()
