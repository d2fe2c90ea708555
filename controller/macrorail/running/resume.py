"""What an interrupted run has done and what it still lacks, read from its journal."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from macrorail.errors import FrameError
from macrorail.frame import Frame, verify_frame
from macrorail.planning.plan import Plan
from macrorail.run_folder.journal import Entry

#: What the journal says once nothing is under way any more.
_SETTLED = {"counted", "fault", "discarded"}
#: A frame that comes before any other counts as the camera's only if everything can read it.
_READABLE = {".jpg", ".jpeg", ".tif", ".tiff"}


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
    fills_left
        How often a gap before this slice may still be filled.
    """

    number: int
    position_um: float
    attempt: int = 1
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
    sha256
        Of the file.
    attempt
        Which exposure of the slice it is.
    accepted
        Whether the images have been judged good enough to be fused already.
    """

    number: int
    achieved_um: float
    frame: Path
    sha256: str
    attempt: int = 1
    accepted: bool = False


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
    discarded
        The slice whose exposure was under way and gave no frame that can be used; it is among
        ``targets`` again. ``None`` when there is none.
    found_settings
        The camera's before the run first set it; ``None`` when it never came so far.
    in_doubt
        Slices that a check of the axis's count had put in doubt when the run was interrupted; they
        are among ``targets`` again.
    targets
        Still to be shot, from near to far.
    numbers
        Slice numbers given so far.
    """

    counted: tuple[Counted, ...]
    orphan: Orphan | None
    targets: tuple[Target, ...]
    numbers: int
    discarded: Target | None = None
    found_settings: Mapping[str, str] | None = None
    in_doubt: tuple[Target, ...] = ()


def begin(plan: Plan) -> Progress:
    """Nothing done, everything to do."""
    targets = tuple(Target(n, planned.target_um) for n, planned in enumerate(plan.slices, 1))
    return Progress((), None, targets, len(targets))


def read_progress(plan: Plan, entries: Sequence[Entry], folder: Path) -> Progress:
    """How far the run of ``entries`` in ``folder`` has come with ``plan``.

    At most one exposure is under way at a time. Its frame is adopted if it lies whole on disk:
    the intent before the shutter says where the axis stood. Otherwise the exposure is discarded
    and its slice shot again.

    Raises
    ------
    FrameError
        A counted frame is missing or altered.
    """
    wanted = {n: planned.target_um for n, planned in enumerate(plan.slices, 1)}
    attempts: dict[int, int] = {}
    counted: dict[int, Counted] = {}
    delivered: dict[int, Frame] = {}
    hashes: set[str] = set()
    under_way: Entry | None = None
    found_settings: Mapping[str, str] | None = None
    in_doubt: set[int] = set()
    for entry in entries:
        fields = entry.fields
        if entry.event == "inserted":
            wanted.update(zip(fields["slices"], fields["positions_um"], strict=True))
        elif entry.event == "intent":
            attempts[fields["slice"]] = fields["attempt"]
            under_way = entry
        elif entry.event == "counted":
            frame = folder / fields["frame"]
            counted[fields["slice"]] = Counted(
                fields["slice"],
                fields["achieved_um"],
                frame,
                fields["sha256"],
                fields["attempt"],
            )
            delivered[fields["slice"]] = Frame(
                frame, fields["sha256"], fields["size_bytes"], fields["camera_name"]
            )
            hashes.add(fields["sha256"])
        elif entry.event == "judged" and fields["action"] == "fuse":
            counted[fields["slice"]] = replace(counted[fields["slice"]], accepted=True)
        elif entry.event == "rejected":
            counted.pop(fields["slice"])
            delivered.pop(fields["slice"])
            in_doubt.discard(fields["slice"])
        elif entry.event == "count_checked" and fields["in_doubt"]:
            in_doubt = set(fields["slices"])
        elif entry.event == "relocated":
            for number, um in zip(fields["slices"], fields["achieved_um"], strict=True):
                counted[number] = replace(counted[number], achieved_um=um)
            in_doubt.clear()
        elif entry.event == "camera_opened" and found_settings is None:
            found_settings = fields["found_settings"]
        if entry.event in _SETTLED:
            under_way = None
    # Not before: a frame taken back lies under another name, and a new one in its place.
    for shot in delivered.values():
        verify_frame(shot)
    doubtful = [counted.pop(number) for number in sorted(in_doubt)]
    orphan = None
    if under_way is not None:
        kinds = {done.frame.suffix.lower() for done in counted.values()} or _READABLE
        orphan = _find_orphan(under_way, folder / "frames", kinds, hashes)
    done = {*counted, orphan.target.number} if orphan else {*counted}
    targets = tuple(
        Target(number, position_um, attempts.get(number, 0) + 1)
        for number, position_um in sorted(wanted.items(), key=lambda item: item[1])
        if number not in done
    )
    discarded = None
    if under_way is not None and orphan is None:
        discarded = _shot(under_way)
    return Progress(
        tuple(counted.values()),
        orphan,
        targets,
        len(wanted),
        discarded,
        found_settings,
        tuple(Target(done.number, done.achieved_um, done.attempt) for done in doubtful),
    )


def _shot(intent: Entry) -> Target:
    fields = intent.fields
    return Target(fields["slice"], fields["target_um"], fields["attempt"])


def _find_orphan(intent: Entry, frames: Path, kinds: Set[str], counted: set[str]) -> Orphan | None:
    """The frame that was under way, if it lies whole on disk and is no older one once more.

    Of a RAW and JPEG pair only the kind that the other slices were counted with.
    """
    target = _shot(intent)
    for path in sorted(frames.glob(f"{target.number:04d}.*")):
        if path.suffix.lower() not in kinds:
            continue
        data = path.read_bytes()
        frame = Frame(path, hashlib.sha256(data).hexdigest(), len(data), path.name)
        try:
            verify_frame(frame)
        except FrameError:
            continue
        if frame.sha256 not in counted:
            return Orphan(target, intent.fields["achieved_um"], frame)
    return None
