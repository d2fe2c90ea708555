"""The power goes at random instants around moves and saves: what is kept as clean is true.

``python -m tests.studies.power_cuts --count 200 --seed 1`` runs the whole campaign, with
``--emulated`` on the emulated chip.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter

from macrorail.devices.rail import wire
from macrorail_sims.board import RailBoard
from macrorail_sims.firmware_avr import AvrBoard
from macrorail_sims.firmware_native import NativeBoard
from tests.board import Host


class PowerCuts:
    """One campaign.

    Parameters
    ----------
    board
        The board under test.
    seed
        Of the moves and the instants.

    Attributes
    ----------
    counts
        How often a position was kept (``clean``) and not (``lost``).
    """

    def __init__(self, board: RailBoard, seed: int) -> None:
        self._random = random.Random(seed)
        self._host = Host(board)
        self.counts: Counter[str] = Counter()

    def run(self, count: int) -> None:
        """Cut the power ``count`` times.

        Raises
        ------
        AssertionError
            A position kept as clean is not the carriage's, or one that ought to be kept is not.
        """
        for _ in range(count):
            self._host.greet()
            # The first step follows its command as closely as it ever can.
            assert self._host.ask("PACE", 20_000, 200_000).error is None
            assert self._host.home().stop == "done"
            for _ in range(self._random.randrange(3)):
                self._host.go(self._random.randrange(400, 3_000))
            self._cut()

    def _cut(self) -> None:
        host, state = self._host, self._host.board.state
        target = self._random.randrange(400, 1_200)
        moves = self._random.random() < 0.8
        if moves:
            # Into the save that the last move left behind, which takes about 40 ms.
            host.run_ms(60 * self._random.random())
            line = wire.encode(wire.next_sequence(host.sequence), "GO", target)
            # The command's own way takes 2 ms, a move up to 200 ms.
            host.send(line, wait_ms=self._random.choice([9, 9, 30, 250]) * self._random.random())
        else:
            host.run_ms(200)
        host.board.reset("power")
        host.run_ms(30)
        answer = host.ask("HELLO", wire.WIRE_VERSION, 7)
        kept = wire.greeting_of(answer).kept
        self.counts["lost" if kept is None else "clean"] += 1
        assert kept is None or kept == state.screw == state.place
        assert moves or kept is not None, "200 ms of rest are enough to save"
        assert host.ask("GO", 500).error == "unhomed"


def main() -> None:
    """Run a campaign of the chosen length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--emulated", action="store_true", help="on the emulated chip")
    asked = parser.parse_args()
    board: RailBoard = AvrBoard() if asked.emulated else NativeBoard(bootloader_s=0.0)
    campaign = PowerCuts(board, asked.seed)
    campaign.run(asked.count)
    print(f"{asked.count} power cuts: {dict(campaign.counts)}, none of them wrong")


if __name__ == "__main__":
    main()
