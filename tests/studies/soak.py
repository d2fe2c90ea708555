"""One very long run in virtual time: memory and descriptors stay flat, the journal reads fast.

``python -m tests.studies.soak --count 20000`` shoots so many slices.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from macrorail.run_folder.events import kind_of, values_of
from macrorail.run_folder.journal import JOURNAL, Entry, read_journal
from macrorail.running.resume import read_progress
from macrorail.states import FinishReason
from tests.virtual import RAIL, VirtualRun, protocol_text

_STEP_UM = 2
_NEAR_UM = 2000
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Soak:
    """What a soak measured.

    Attributes
    ----------
    memory_mb, descriptors
        Resident memory and open descriptors, at so many instants spread evenly over the run.
    replay_s, resume_s
        Processor time to read the journal back, and to read it with every frame's hash checked.
    slices
        Counted.
    wrong
        What went wrong, in words.
    """

    memory_mb: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    replay_s: float = 0.0
    resume_s: float = 0.0
    slices: int = 0
    wrong: list[str] = field(default_factory=list)


def soak(count: int, folder: Path, samples: int = 20) -> Soak:
    """Shoot ``count`` slices in ``folder`` and look at the process meanwhile."""
    found = Soak()
    every = max(1, count // samples)

    def look(entry: Entry) -> None:
        if kind_of(entry.event) == "counted" and values_of(entry.event)["slice"] % every == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            found.memory_mb.append(pages * _PAGE_BYTES / 1e6)
            found.descriptors.append(len(list(Path("/proc/self/fd").iterdir())))

    far_um = _NEAR_UM + _STEP_UM * (count - 1)
    protocol = protocol_text(f"{_NEAR_UM} um", f"{far_um} um", f"step: {_STEP_UM} um")
    protocol = protocol.replace("max_slices: 5000", f"max_slices: {count}")
    run = VirtualRun(folder, RAIL, protocol, listen=look)
    end = run.run()
    if end.reason is not FinishReason.COMPLETED:
        found.wrong.append(f"ended as {end.reason.value}: {end.message}")
    began_s = time.process_time()
    entries = read_journal(folder / JOURNAL)
    found.replay_s = time.process_time() - began_s
    began_s = time.process_time()
    found.slices = len(read_progress(run.plan, entries, folder).counted)
    found.resume_s = time.process_time() - began_s
    if found.slices != count:
        found.wrong.append(f"{found.slices} of {count} slices counted")
    return found


def main() -> None:
    """Run a soak from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    count = parser.parse_args().count
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="macrorail-soak-") as folder:
        found = soak(count, Path(folder))
        size_mb = (Path(folder) / JOURNAL).stat().st_size / 1e6
    # The first samples are from before caches and the interpreter's own pools are filled.
    middle = len(found.memory_mb) // 2
    print(
        f"{found.slices} slices in {time.monotonic() - began_s:.0f} s; memory "
        f"{found.memory_mb[0]:.1f} MB at first, {found.memory_mb[middle]:.1f} MB half way, "
        f"{found.memory_mb[-1]:.1f} MB at last; descriptors {min(found.descriptors)} to "
        f"{max(found.descriptors)}; journal {size_mb:.1f} MB read in {found.replay_s:.2f} s of "
        f"processor time ({found.replay_s + found.resume_s:.2f} s with every frame's hash)"
    )
    print("\n".join(found.wrong))
    sys.exit(bool(found.wrong))


if __name__ == "__main__":
    main()
