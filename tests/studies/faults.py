"""Runs in virtual time with faults of every class at random: each ends, for a reason, unharmed.

``python -m tests.studies.faults --count 2000 --seed 1`` runs the whole campaign. Each run is
resumed afterwards with its faults gone, and must then be complete.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from macrorail.errors import (
    CameraError,
    DeviceTimeout,
    FrameError,
    MacrorailError,
    OperatorStop,
    StorageError,
    WireError,
    WorkerCrashed,
)
from macrorail.frame import Frame, verify_frame
from macrorail.run_folder.events import kind_of, values_of
from macrorail.run_folder.journal import JOURNAL, read_journal
from macrorail.running.ending import RunEnd
from macrorail.running.supervision import RunSupervision
from macrorail.states import FINAL, FinishReason, State
from macrorail_sims.bodies.faults import Action, Fault, Reason
from tests.faulty import Failing
from tests.virtual import LENS, RAIL, VirtualRun, protocol_text

_PROTOCOL = protocol_text("10.2 mm", "10.5 mm") + "closest_approach: 10.6 mm\n"
_CLOSEST_UM = 10_600.0
#: A run takes a fraction of a second; one that takes so long hangs.
_HUNG_S = 120
_LONGEST_PAUSE_S = 7200.0

#: Each refusal of the folder is waited out for minutes; what lasts an hour does not pass.
_WAITED_OUT = 6
#: So often a setting may be refused and yet be right, an end stop met and yet not be there.
_IN_PASSING = 3
#: A run that meets no more than so many faults, none of which stays, has to come to its end.
_BEARABLE = 16

_OPERATIONS = ("release", "read", "delete", "set")
_LENS_OPERATIONS = ("drive", "live_view")
_WORKER_FAULTS: tuple[tuple[str, type[MacrorailError]], ...] = (
    ("expose", WorkerCrashed),
    ("expose", DeviceTimeout),
    ("collect", WorkerCrashed),
    ("collect", DeviceTimeout),
    ("collect", StorageError),
    ("collect", FrameError),
    ("drain", CameraError),
    ("open", DeviceTimeout),
    ("configure", WorkerCrashed),
)
_AXIS_FAULTS: tuple[tuple[str, type[MacrorailError]], ...] = (
    ("start_move", WireError),
    ("finish_move", DeviceTimeout),
    ("home", DeviceTimeout),
    ("open", WireError),
)


class Hung(Exception):
    """A run that did not end."""


@dataclass
class Tally:
    """What a campaign found.

    Attributes
    ----------
    ends, faults
        How often runs ended how, and how often each kind of fault was strewn in.
    bearable
        Runs whose faults all passed by themselves: each of these has to be completed unaided.
    slices
        Counted in all runs.
    wrong
        What went wrong, in words; empty is what is wanted.
    """

    ends: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    bearable: int = 0
    slices: int = 0
    wrong: list[str] = field(default_factory=list)


class Trouble:
    """A watch that sees trouble for a while."""

    def __init__(self, now: Callable[[], float], from_s: float, to_s: float) -> None:
        self._now, self._from_s, self._to_s = now, from_s, to_s

    def trouble(self) -> str | None:
        """See :class:`macrorail.running.interfaces.Watch`."""
        return "the lamp is out" if self._from_s <= self._now() < self._to_s else None


class OneRun:
    """One run with its faults.

    Parameters
    ----------
    folder
        Takes the run.
    rng
        Draws the faults.
    """

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.rng = rng
        self.is_rail = rng.random() < 0.6
        self.run = VirtualRun(folder / "run", RAIL if self.is_rail else LENS, _PROTOCOL)
        self._elsewhere = folder / "elsewhere"
        self.strewn: list[str] = []
        #: Whether somebody has to come before the run can go on, or wants it to end.
        self.stays = False
        self.times = 0
        self._refusals = 0
        self.nearest_um = 0.0
        self._acts: list[tuple[float, Callable[[], None]]] = []
        self.run.bench.clock.attach(self._live)
        for strew in rng.choices(self._kinds(), k=rng.choice([0, 1, 1, 2, 3, 4])):
            strew()

    @property
    def is_bearable(self) -> bool:
        """Whether the run has to come to its end without help."""
        return not self.stays and self.times <= _BEARABLE and self._refusals <= _WAITED_OUT

    @property
    def is_gone(self) -> bool:
        """Whether the run folder is away."""
        return self._elsewhere.exists()

    def come_back(self) -> None:
        """Put the run folder back, if it is away."""
        if self.is_gone:
            self._elsewhere.rename(self.run.folder)

    def mend(self) -> None:
        """Take all faults away, as somebody does in the morning."""
        self._acts.clear()
        # What was said when the run was over already is for nobody: the next one is a new process.
        with suppress(OperatorStop):
            self.run.clock.check()
        self.run.bench.body.faults.clear()
        self.run.wrap_camera = self.run.wrap_axis = lambda device: device
        self.run.supervision = RunSupervision(pause_at_most_s=_LONGEST_PAUSE_S)
        if self.run.bench.carriage is not None:
            self.run.bench.carriage.press_estop(False)

    def _live(self, now_s: float) -> None:
        """Let what is due happen, and see how near the carriage comes."""
        if self.run.bench.carriage is not None:
            self.nearest_um = max(self.nearest_um, self.run.bench.carriage.position_um(now_s))
        while self._acts and self._acts[0][0] <= now_s:
            self._acts.pop(0)[1]()

    def _kinds(self) -> list[Callable[[], None]]:
        kinds = [self._body_fault, self._body_fault, self._worker_fault, self._axis_fault]
        kinds += [self._truncate, self._command, self._watch, self._folder_gone]
        if self.is_rail:
            kinds += [self._reset, self._reset, self._estop]
        return kinds

    def _at(self, act: Callable[[], None], at_s: float | None = None) -> None:
        self._acts.append((self.rng.uniform(0.0, 20.0) if at_s is None else at_s, act))
        self._acts.sort(key=lambda due: due[0])

    def _times(self) -> int:
        times = self.rng.choice([1, 1, 1, 2, 3, 8, 1000])
        self.times += times
        return times

    def _body_fault(self) -> None:
        operations = _OPERATIONS if self.is_rail else _OPERATIONS + _LENS_OPERATIONS
        operation, action = self.rng.choice(operations), self.rng.choice(list(Action))
        reason = self.rng.choice(list(Reason))
        before = self.times
        self.run.bench.body.faults.add(
            Fault(
                operation,
                action,
                reason,
                delay_s=self.rng.uniform(0.1, 60.0),
                after=self.rng.randrange(12),
                times=self._times(),
            )
        )
        # A setting that is refused again and again is a wrong one; a lens that meets an end stop
        # again and again, where none is known, wants a look.
        lasting = operation in {"set", "read"} or (operation, reason) == ("drive", Reason.END_STOP)
        if action is Action.REFUSE and lasting:
            self.stays |= self.times - before > _IN_PASSING
        self.strewn.append(f"{operation} {action.name.lower()}")

    def _worker_fault(self) -> None:
        operation, fault = self.rng.choice(_WORKER_FAULTS)
        before = self.times
        self.run.camera = self._failing(self.run.camera, operation, fault)
        if fault is StorageError:
            self._refusals += self.times - before
        # A lens drives the camera behind the one that fails; the run sees the failing one.
        self.strewn.append(f"{operation} {fault.__name__}")

    def _axis_fault(self) -> None:
        operation, fault = self.rng.choice(_AXIS_FAULTS)
        self.run.axis = self._failing(self.run.axis, operation, fault)
        self.strewn.append(f"{operation} {fault.__name__}")

    def _failing(self, device: Any, operation: str, fault: type[MacrorailError]) -> Any:
        after = self.rng.randrange(10)
        return Failing(device, operation, lambda: fault("made to fail"), after, self._times())

    def _truncate(self) -> None:
        """A transfer that is cut short although it was reported as whole."""
        camera, rng = self.run.camera, self.rng

        class Truncating:
            def __getattr__(self, name: str) -> Any:
                return getattr(camera, name)

            def collect(self, exposure: Any) -> Frame:
                frame: Frame = camera.collect(exposure)
                if rng.random() < 0.2:
                    frame.path.write_bytes(frame.path.read_bytes()[:-100])
                return frame

        self.run.camera = Truncating()
        self.strewn.append("truncated frame")

    def _folder_gone(self) -> None:
        """As on a network: what was open in it leads nowhere from then on."""
        from_s, lasts_s = self.rng.uniform(0.0, 20.0), self.rng.choice([5.0, 300.0, 1800.0])
        self._at(self._leave, from_s)
        self._at(self.come_back, from_s + lasts_s)
        self._refusals += 5 if lasts_s > 1000.0 else 3
        self.strewn.append("folder gone")

    def _leave(self) -> None:
        if self.is_gone or self.run.journal._file.closed:
            return
        self.run.folder.rename(self._elsewhere)
        full = os.open("/dev/full", os.O_RDWR)
        os.dup2(full, self.run.journal._file.fileno())
        os.close(full)

    def _reset(self) -> None:
        cause = self.rng.choice(["pin", "power", "brownout", "watchdog"])
        self._at(lambda: self.run.bench.board.reset(cause))
        self.strewn.append(f"board reset by {cause}")

    def _estop(self) -> None:
        self._at(lambda: self.run.bench.carriage.press_estop(True))
        self.stays = True
        self.strewn.append("emergency stop pressed")

    def _command(self) -> None:
        verb = self.rng.choice(["pause", "pause", "stop", "abort", "emergency"])
        self._at(lambda: getattr(self.run.commands, verb)("the campaign"))
        if verb == "pause" and self.rng.random() < 0.7:
            self._at(lambda: self.run.commands.resume("the campaign"))
        # A resume may come before its pause.
        self.stays = True
        self.strewn.append(f"told to {verb}")

    def _watch(self) -> None:
        from_s = self.rng.uniform(0.0, 20.0)
        to_s = from_s + self.rng.choice([5.0, 300.0, float("inf")])
        self.stays |= to_s == float("inf")
        watch = Trouble(self.run.clock.now, from_s, to_s)
        self.run.supervision = RunSupervision(watches=(watch,), pause_at_most_s=_LONGEST_PAUSE_S)
        self.strewn.append("a watch sees trouble")


@contextmanager
def _not_hung() -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise Hung(f"no end within {_HUNG_S} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(_HUNG_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def campaign(count: int, seed: int) -> Tally:
    """Do ``count`` runs; run ``n`` of a seed is always the same."""
    tally = Tally()
    for number in range(count):
        with tempfile.TemporaryDirectory(prefix="macrorail-faults-") as folder:
            one = OneRun(Path(folder), random.Random(f"{seed}/{number}"))
            tally.faults.update(one.strewn)
            name = f"run {number} ({'rail' if one.is_rail else 'lens'}; {', '.join(one.strewn)})"
            try:
                with _not_hung():
                    end = one.run.run()
                    was_gone = one.is_gone
                    one.come_back()
                    tally.ends[f"{end.state.value}: {end.reason.value}"] += 1
                    found = _faults_of(one, end, was_gone)
                    tally.wrong += [f"{name}: {fault}" for fault in found]
                    tally.bearable += one.is_bearable
                    if end.reason is not FinishReason.COMPLETED:
                        if one.is_bearable:
                            tally.wrong.append(f"{name}: gave up: {end.message}")
                        one.mend()
                        again = one.run.run()
                        tally.wrong += [f"{name}, resumed: {f}" for f in _faults_of(one, again)]
                        if again.reason is not FinishReason.COMPLETED:
                            tally.wrong.append(f"{name}: not to be completed: {again.message}")
                    tally.slices += len(one.run.said("counted"))
            except Exception as error:
                tally.wrong.append(f"{name}: {type(error).__name__}: {error}")
    return tally


def _faults_of(one: OneRun, end: RunEnd, was_gone: bool = False) -> list[str]:
    """What must never happen, whatever was done to a run; its folder may be away at its end."""
    wrong = []
    run = one.run
    entries = read_journal(run.folder / JOURNAL)
    last = entries[-1]
    told = kind_of(last.event) == "ended" and values_of(last.event)["state"] == end.state.value
    if end.state not in FINAL or not (told or was_gone):
        wrong.append(f"ended as {end.state.value}, the journal says {last.event}")
    if end.reason is FinishReason.BUG:
        wrong.append(f"a bug: {end.message}")
    if end.reason is not FinishReason.COMPLETED and not end.message:
        wrong.append(f"no reason given for {end.reason.value}")
    if one.nearest_um > _CLOSEST_UM + 1.0:
        wrong.append(f"the carriage came to {one.nearest_um:.1f} um")
    counted = [values_of(entry.event) for entry in entries if kind_of(entry.event) == "counted"]
    numbers = [fields["slice"] for fields in counted]
    if len(set(numbers)) != len(numbers):
        wrong.append(f"slices counted twice: {numbers}")
    hashes = [fields["sha256"] for fields in counted]
    if len(set(hashes)) != len(hashes):
        wrong.append("one frame stands for two slices")
    for fields in counted:
        frame = run.folder / fields["frame"]
        try:
            verify_frame(Frame(frame, fields["sha256"], fields["size_bytes"], frame.name))
        except MacrorailError as error:
            wrong.append(f"slice {fields['slice']}: {error}")
    if end.state is State.DONE and end.reason is FinishReason.COMPLETED:
        lacking = set(range(1, len(run.plan.slices) + 1)) - set(numbers)
        left_out = {values_of(e.event)["slice"] for e in entries if kind_of(e.event) == "left_out"}
        if lacking - left_out:
            wrong.append(f"complete without slices {sorted(lacking)}")
    if one.is_rail:
        edges = run.bench.board.state.edges
        run.bench.clock.advance(3.0)
        if run.bench.board.state.edges != edges:
            wrong.append("the rail moves after the end")
    return wrong


def main() -> None:
    """Run a campaign from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started_s = time.monotonic()
    tally = campaign(arguments.count, arguments.seed)
    print(
        f"{arguments.count} runs (seed {arguments.seed}, {time.monotonic() - started_s:.0f} s), "
        f"{tally.faults.total()} faults of {len(tally.faults)} kinds, {tally.slices} slices "
        f"counted; {tally.bearable} runs had to bear theirs without help: {len(tally.wrong)} wrong"
    )
    for how, often in tally.ends.most_common():
        print(f"  {often:5d} {how}")
    print("\n".join(tally.wrong))
    sys.exit(bool(tally.wrong))


if __name__ == "__main__":
    main()
