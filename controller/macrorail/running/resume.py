"""Reads from the journal what an interrupted run has done and what is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from macrorail.errors import FrameError
from macrorail.frame import Frame, verify_frame
from macrorail.planning.plan import Plan
from macrorail.run_folder.events import (
    CameraOpened,
    ExposureDiscarded,
    ExposureIntended,
    FaultOccurred,
    FrameJudged,
    FrameRejected,
    SliceCounted,
    SlicesInserted,
    SlicesRelocated,
    StepsChecked,
    Verdict,
)
from macrorail.run_folder.journal import Entry

#: Journal entries after which no exposure is in progress.
_SETTLED = (SliceCounted, FaultOccurred, ExposureDiscarded)
#: File types of frames that can always be read. If no slice is finished, others are not considered.
_READABLE = {".jpg", ".jpeg", ".tif", ".tiff"}


@dataclass(frozen=True)
class Target:
    """A slice still to be shot.

    Attributes
    ----------
    number
        Number of the slice from 1, in the order in which slices were first requested. The frame is
        named after it.
    position_um
        Position at which to shoot, micrometres.
    attempt
        Number of the attempt; 1 for the first.
    fills_left
        How many more times a gap before this slice may be filled.
    """

    number: int
    position_um: float
    attempt: int = 1
    fills_left: int = 3


@dataclass(frozen=True)
class CountedSlice:
    """A slice that is finished.

    Attributes
    ----------
    target
        Slice and attempt for which the frame was shot.
    achieved_um
        Position at which the frame was shot, micrometres.
    frame
        Path of the frame.
    sha256
        Checksum of the frame.
    accepted
        Whether the image has already been found good enough to be fused.
    """

    target: Target
    achieved_um: float
    frame: Path
    sha256: str
    accepted: bool = False


@dataclass(frozen=True)
class OrphanFrame:
    """A frame that is on disk although its slice is not yet counted as finished.

    Attributes
    ----------
    target
        Slice for which the frame was shot.
    achieved_um
        Position in micrometres as recorded in the journal before the shutter opened.
    frame
        The frame; it is complete and has been checked.
    """

    target: Target
    achieved_um: float
    frame: Frame


@dataclass(frozen=True)
class RunProgress:
    """Progress of a run: finished slices, and slices still to be shot.

    Attributes
    ----------
    counted
        Finished slices in the order in which they were counted as finished.
    orphan
        Complete frame on disk whose slice is to be counted as finished first; ``None`` if there is
        no such frame.
    discarded
        Slice whose exposure was in progress and gave no usable frame. It is again among
        ``targets``. ``None`` if there is no such slice.
    found_settings
        Camera settings before the run first changed them; ``None`` if it has not changed them.
    body
        Model and serial number of the camera that the run opened first; ``None`` if no camera was
        opened.
    in_doubt
        Slices that a lost-step check had put in doubt before the interruption. They are again
        among ``targets``.
    targets
        Slices still to be shot, from near to far.
    numbers
        Highest slice number in use; a new slice gets the next number.
    """

    counted: tuple[CountedSlice, ...]
    orphan: OrphanFrame | None
    targets: tuple[Target, ...]
    numbers: int
    discarded: Target | None = None
    found_settings: Mapping[str, str] | None = None
    in_doubt: tuple[Target, ...] = ()
    body: tuple[str, str] | None = None


def nothing_done(plan: Plan) -> RunProgress:
    """Return the progress of a new run: all slices are still to be shot."""
    targets = tuple(Target(n, planned.target_um) for n, planned in enumerate(plan.slices, 1))
    return RunProgress((), None, targets, len(targets))


def read_progress(plan: Plan, entries: Sequence[Entry], folder: Path) -> RunProgress:
    """Return the progress of a run with ``plan``, from its journal ``entries`` and its ``folder``.

    At most one exposure is in progress at a time. Its frame is used if it is complete on disk,
    because the journal recorded the position of the axis before the shutter opened. Otherwise the
    exposure is discarded and its slice is shot again.

    Raises
    ------
    FrameError
        The file of a finished slice is missing or altered.
    """
    wanted = {n: planned.target_um for n, planned in enumerate(plan.slices, 1)}
    attempts: dict[int, int] = {}
    counted: dict[int, CountedSlice] = {}
    delivered: dict[int, Frame] = {}
    hashes: set[str] = set()
    under_way: ExposureIntended | None = None
    found_settings: Mapping[str, str] | None = None
    body: tuple[str, str] | None = None
    in_doubt: set[int] = set()
    for entry in entries:
        match entry.event:
            case SlicesInserted(slices=slices, positions_um=positions_um):
                wanted.update(zip(slices, positions_um, strict=True))
            case ExposureIntended() as intent:
                attempts[intent.slice] = intent.attempt
                under_way = intent
            case SliceCounted() as done:
                counted[done.slice] = _counted(done, folder)
                delivered[done.slice] = Frame(
                    folder / done.frame, done.sha256, done.size_bytes, done.camera_name
                )
                hashes.add(done.sha256)
            case FrameJudged(slice=number, action=Verdict.FUSE):
                counted[number] = replace(counted[number], accepted=True)
            case FrameRejected(slice=number):
                counted.pop(number)
                delivered.pop(number)
                in_doubt.discard(number)
            case StepsChecked(in_doubt=True, slices=slices):
                in_doubt = set(slices)
            case SlicesRelocated(slices=slices, achieved_um=achieved_um):
                for number, um in zip(slices, achieved_um, strict=True):
                    target = replace(counted[number].target, position_um=um)
                    counted[number] = replace(counted[number], target=target, achieved_um=um)
                in_doubt.clear()
            case CameraOpened() as opened if found_settings is None:
                found_settings = opened.found_settings
                body = opened.model, opened.serial
        if isinstance(entry.event, _SETTLED):
            under_way = None
    # Check the files only now: a rejected frame was renamed, and the frame that was shot instead
    # has its name.
    for shot in delivered.values():
        verify_frame(shot)
    doubtful = [counted.pop(number) for number in sorted(in_doubt)]
    orphan = None
    if under_way is not None:
        kinds = {each.frame.suffix.lower() for each in counted.values()} or _READABLE
        orphan = _find_orphan(under_way, folder / "frames", kinds, hashes)
    finished = {*counted, orphan.target.number} if orphan else {*counted}
    targets = tuple(
        Target(number, position_um, attempts.get(number, 0) + 1)
        for number, position_um in sorted(wanted.items(), key=lambda item: item[1])
        if number not in finished
    )
    discarded = None
    if under_way is not None and orphan is None:
        discarded = _target_of(under_way)
    return RunProgress(
        tuple(counted.values()),
        orphan,
        targets,
        len(wanted),
        discarded,
        found_settings,
        tuple(each.target for each in doubtful),
        body,
    )


def _counted(done: SliceCounted, folder: Path) -> CountedSlice:
    target = Target(done.slice, done.achieved_um, done.attempt)
    return CountedSlice(target, done.achieved_um, folder / done.frame, done.sha256)


def _target_of(intent: ExposureIntended) -> Target:
    return Target(intent.slice, intent.target_um, intent.attempt)


def _find_orphan(
    intent: ExposureIntended, frames: Path, kinds: Set[str], counted: set[str]
) -> OrphanFrame | None:
    """Return the frame of the exposure in progress, if it is complete and not an older frame.

    Only files of the types ``kinds`` are considered: of a RAW and JPEG pair, the type that is used
    for the other slices. ``counted`` are the checksums of frames that were counted before.
    """
    target = _target_of(intent)
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
            return OrphanFrame(target, intent.achieved_um, frame)
    return None
