"""Random commands on a bad line with resets and stops in between: every step is accounted for.

``python -m tests.studies.noisy_commands --count 100000 --seed 1`` runs the whole campaign on the
firmware compiled for this computer, ``--emulated --count 2000`` on the emulated chip.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter

from macrorail.devices.rail import wire
from macrorail_sims.board import RailBoard
from macrorail_sims.firmware_avr import AvrBoard
from macrorail_sims.firmware_native import NativeBoard
from tests.board import Host, Noise, clean

_LENGTH = 20_000
_RAMPED = ("done", "host", "silence", "hello")


class NoisyCommands:
    """One campaign.

    Parameters
    ----------
    board
        The board under test.
    seed
        Of the commands and of the noise.
    chance
        That a byte is corrupted, dropped or doubled.

    Attributes
    ----------
    counts
        How often each thing happened.
    """

    def __init__(self, board: RailBoard, seed: int, chance: float = 0.05) -> None:
        self._random = random.Random(seed)
        self._noise = Noise(seed, chance)
        self._host = Host(board)
        self._state = board.state
        # The board counts from where it was reset until it is homed.
        self._origin = int(self._state.place)
        self.counts: Counter[str] = Counter()
        self._greet()

    def run(self, count: int) -> None:
        """Say ``count`` random commands.

        Raises
        ------
        AssertionError
            A step that was not asked for, or a position that is not the carriage's.
        """
        steps = {
            self._move: 6,
            self._rest: 2,
            self._expose: 0.5,
            self._reset: 0.15,
            self._home: 0.15,
        }
        for _ in range(count):
            (act,) = self._random.choices(list(steps), list(steps.values()))
            act()
            self._check()

    @property
    def faults(self) -> int:
        """Damaged bytes."""
        return self._noise.faults

    def _check(self) -> None:
        state = self._state
        assert state.past_switch == state.past_estop == state.collisions == state.lost == 0

    def _greet(self) -> None:
        host = self._host
        host.distort = clean
        host.greet(silence_ms=600_000)
        assert host.ask("LIMITS", 0, _LENGTH - 100).error is None
        assert host.ask("PACE", 20_000, 200_000).error is None
        assert host.home().stop == "done"
        self._origin = 0
        host.distort = self._noise

    def _home(self) -> None:
        self.counts["home"] += 1
        host = self._host
        host.distort = clean
        assert host.home().stop == "done"
        host.distort = self._noise
        assert self._state.place == host.board.state.screw == 320

    def _rest(self) -> None:
        """A command that moves nothing."""
        self.counts["rest"] += 1
        edges = self._state.edges
        verb, *arguments = self._random.choice(
            [
                *[("STATUS",), ("STOP",), ("SHOTS",), ("REST", 0), ("EXPOSE", 0, 0)],
                *[("GO", -5), ("GO", 10**9), ("PACE", 20_000, 200_000)],
            ]
        )
        self._host.ask(str(verb), *map(int, arguments))
        assert self._state.edges == edges
        assert self._state.focus == self._state.release == 0

    def _expose(self) -> None:
        """One press of the shutter, however often it was said; nothing moves until it is over."""
        self.counts["expose"] += 1
        host, edges = self._host, self._state.edges
        before = wire.shots_of(host.ask("SHOTS"))
        accepted = host.ask("EXPOSE", 10, 200).error is None
        refused = host.ask("GO", self._random.randrange(_LENGTH - 100)).error
        assert refused in ("exposing", "unhomed", None)
        if refused is None:
            # The press was over, or an emergency had ended it; this is a move like any other.
            self._wait()
        else:
            assert self._state.edges == edges
            host.run_ms(250)
        after = wire.shots_of(host.ask("SHOTS"))
        # Half a press that an emergency byte ended has no release.
        assert after.pulses - before.pulses in ((0, 1) if accepted else (0,))
        assert self._state.focus == self._state.release == 0

    def _move(self) -> None:
        target = self._random.randrange(_LENGTH - 100)
        before, edges = int(self._state.place), int(self._state.edges)
        answer = self._host.ask("GO", target)
        if answer.error == "unhomed":
            assert self._state.edges == edges
            self._home()
            return
        assert answer.error is None
        accepted = self._host.sequence
        if self._random.random() < 0.15:
            self._host.run_ms(self._random.randrange(400))
            self._host.ask("STOP")
        if self._random.random() < 0.02:
            self._reset_at(self._random.randrange(300), edges, before)
            return
        rest = self._wait()
        place = int(self._state.place)
        assert self._state.edges - edges == abs(place - before), "steps of one move, one way"
        assert rest.motion == accepted
        assert rest.position == place - self._origin
        assert rest.is_known == (rest.stop in _RAMPED)
        if rest.stop == "done":
            assert place == target
        else:
            assert min(before, target) <= place <= max(before, target)
        self.counts[rest.stop] += 1

    def _wait(self) -> wire.Status:
        return self._host.wait(longest_s=600)

    def _reset(self) -> None:
        self._reset_at(0, int(self._state.edges), int(self._state.place))

    def _reset_at(self, delay_ms: int, edges: int, before: int) -> None:
        host = self._host
        host.run_ms(delay_ms)
        host.board.reset(self._random.choice(["power", "pin", "brownout", "watchdog"]))
        self.counts["reset"] += 1
        place, at_reset = int(self._state.place), int(self._state.edges)
        assert at_reset - edges == abs(place - before)
        # Nothing is obeyed before a hello, whatever the noise makes of it.
        for _ in range(3):
            assert host.ask("GO", self._random.randrange(_LENGTH - 100)).error == "hello"
        assert self._state.edges == at_reset
        self._greet()


def main() -> None:
    """Run a campaign of the chosen length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--chance", type=float, default=0.05, help="that a byte is damaged")
    parser.add_argument("--emulated", action="store_true", help="on the emulated chip")
    asked = parser.parse_args()
    board: RailBoard = (
        AvrBoard(length=_LENGTH)
        if asked.emulated
        else NativeBoard(length=_LENGTH, bootloader_s=0.0)
    )
    campaign = NoisyCommands(board, asked.seed, asked.chance)
    campaign.run(asked.count)
    happened = ", ".join(f"{name} {count}" for name, count in sorted(campaign.counts.items()))
    print(
        f"{asked.count} commands, {campaign.faults} damaged bytes, {board.state.edges} steps, "
        f"all accounted for; {happened}"
    )


if __name__ == "__main__":
    main()
