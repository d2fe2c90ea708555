"""What an interrupted run has done and what it still lacks, read from its journal."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from controller.errors import FrameError
from controller.frame import Frame, verify_frame
from controller.journal import Entry
from controller.plan import Plan


@dataclass(frozen=True)
class Target:
    """A slice still to be shot.

    Attributes
    ----------
    number
        Counts slices from 1 in the order in which they were first wanted; names the frame.
    position_um
        Where to.
    attempt
        1 for the first try.
    attempts_left
        How often it may still be tried before the run gives up on it.
    fills_left
        How often a gap before this slice may still be filled.
    """

    number: int
    position_um: float
    attempt: int = 1
    attempts_left: int = 3
    fills_left: int = 3


@dataclass(frozen=True)
class Counted:
    """A slice that is done.

    Attributes
    ----------
    number
        Of the slice.
    achieved_um
        Where it was shot, micrometres.
    frame
        Its file.
    """

    number: int
    achieved_um: float
    frame: Path


@dataclass(frozen=True)
class Orphan:
    """A frame that lies on disk though its slice was not counted yet.

    Attributes
    ----------
    target
        The slice it was shot for.
    achieved_um
        Where, as the intent before the shutter says.
    frame
        Whole and checked.
    """

    target: Target
    achieved_um: float
    frame: Frame


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Attributes
    ----------
    counted
        Done, in the order in which they were fused.
    orphan
        Shot and on disk, to be counted first; ``None`` when there is none.
    targets
        Still to be shot, from near to far.
    numbers
        Slice numbers given so far.
    """

    counted: tuple[Counted, ...]
    orphan: Orphan | None
    targets: tuple[Target, ...]
    numbers: int


def begin(plan: Plan) -> Progress:
    """Nothing done, everything to do."""
    targets = tuple(Target(n, planned.target_um) for n, planned in enumerate(plan.slices, 1))
    return Progress((), None, targets, len(targets))


def read_progress(plan: Plan, entries: Sequence[Entry], folder: Path) -> Progress:
    """How far the run of ``entries`` in ``folder`` has come with ``plan``.

    A frame on disk whose slice was exposed but not counted is adopted if it is whole: the intent
    before the shutter says where the axis stood. Every other exposure that was under way is
    discarded and its slice shot again.

    Raises
    ------
    FrameError
        A counted frame is missing or altered.
    """
    wanted = {n: planned.target_um for n, planned in enumerate(plan.slices, 1)}
    attempts: dict[int, Entry] = {}
    counted: dict[int, Counted] = {}
    for entry in entries:
        fields = entry.fields
        if entry.event == "inserted":
            wanted.update(zip(fields["slices"], fields["positions_um"], strict=True))
        elif entry.event == "intent":
            attempts[fields["slice"]] = entry
        elif entry.event == "counted":
            frame = folder / fields["frame"]
            verify_frame(
                Frame(frame, fields["sha256"], fields["size_bytes"], fields["camera_name"])
            )
            counted[fields["slice"]] = Counted(fields["slice"], fields["achieved_um"], frame)
    open_targets = [
        Target(number, position_um, _attempts(attempts.get(number)) + 1)
        for number, position_um in sorted(wanted.items(), key=lambda item: item[1])
        if number not in counted
    ]
    orphan = _find_orphan(open_targets, attempts, folder / "frames")
    if orphan is not None:
        open_targets = [t for t in open_targets if t.number != orphan.target.number]
    return Progress(tuple(counted.values()), orphan, tuple(open_targets), len(wanted))


def _attempts(intent: Entry | None) -> int:
    return 0 if intent is None else int(intent.fields["attempt"])


def _find_orphan(
    targets: Sequence[Target], intents: dict[int, Entry], frames: Path
) -> Orphan | None:
    """At most one frame is under way at a time, so at most one can be orphaned."""
    for target in targets:
        intent = intents.get(target.number)
        for path in sorted(frames.glob(f"{target.number:04d}.*")):
            if intent is None:
                continue
            data = path.read_bytes()
            frame = Frame(path, hashlib.sha256(data).hexdigest(), len(data), path.name)
            try:
                verify_frame(frame)
            except FrameError:
                continue
            shot = Target(target.number, target.position_um, int(intent.fields["attempt"]))
            return Orphan(shot, intent.fields["achieved_um"], frame)
    return None
