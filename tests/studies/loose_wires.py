"""A home switch whose wire is loose: homing never takes it for the switch nor drives on.

``python -m tests.studies.loose_wires --count 2000 --seed 1`` runs it on the firmware compiled for
this computer.
"""

from __future__ import annotations

import argparse
import math
import random
from collections import Counter

from macrorail_sims.carriage import TICKS_PER_S, WireFault
from macrorail_sims.firmware_native import NativeBoard
from tests.board import Host

_CLEARANCE = 320
_FURTHER = 32
_PLACE = 20_000
_SEARCH = 30_000
_RANDOM_SHARE = 0.1


class LooseWires:
    """One campaign.

    Parameters
    ----------
    seed
        Of the wire's rhythm and its phase.

    Attributes
    ----------
    counts
        How each homing ended.
    nearest
        How much nearer to the specimen the carriage came than it stood, steps: homed before, never.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.nearest = {True: 0, False: 0}

    def run(self, count: int) -> None:
        """Home ``count`` times, half of them on a board that was homed before.

        Raises
        ------
        AssertionError
            The loose wire was taken for the switch, or the carriage came too near.
        """
        for index in range(count):
            self._home(was_homed=index % 2 == 0)

    def _home(self, was_homed: bool) -> None:
        host = Host(NativeBoard(start_place=700 if was_homed else _PLACE, bootloader_s=0.0))
        host.greet()
        state = host.board.state
        if was_homed:
            assert host.home().stop == "done"
            assert host.go(_PLACE).stop == "done"
        host.run_ms(self._random.uniform(0, 4_000))
        if self._random.random() > _RANDOM_SHARE:
            half_s = math.exp(self._random.uniform(math.log(1e-3), math.log(2.0)))
            state.loose_ticks = round(half_s * TICKS_PER_S)
        state.min_wire = WireFault.LOOSE
        error = host.ask("HOME", _SEARCH, 4_000, _CLEARANCE).error
        nearest = _PLACE
        while error is None and host.status().state != "idle":
            for _ in range(10):
                host.run_ms(2)
                nearest = max(nearest, int(state.place))
        ended = error or host.status().stop
        self.counts[ended] += 1
        self.nearest[was_homed] = max(self.nearest[was_homed], nearest - _PLACE)
        assert not host.status().is_known, f"a wire that reads {state.loose_ticks} ticks each"
        assert nearest - _PLACE <= (0 if was_homed else _CLEARANCE + _FURTHER)


def main() -> None:
    """Run a campaign of the chosen length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    campaign = LooseWires(asked.seed)
    campaign.run(asked.count)
    print(
        f"{asked.count} homings: {dict(campaign.counts)}; nearer by at most "
        f"{campaign.nearest[True]} steps where it was homed before, {campaign.nearest[False]} "
        f"where not"
    )


if __name__ == "__main__":
    main()
