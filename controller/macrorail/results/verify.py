"""Verifies that the results of a run belong to its frames, from the files in the run folder.

Every line of the journal has a checksum. The journal contains the hash of every frame as delivered
by the camera, and of the fused picture; the manifest and the sidecar of the exports repeat them.
Verification detects damaged, missing and mixed-up files. Verification is not a signature: it does
not detect a consistent forgery of frames, journal and pictures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from macrorail.errors import MacrorailError, StackError
from macrorail.run_folder.events import (
    ExposureDiscarded,
    ExposureIntended,
    PictureFused,
    RunEnded,
    SliceCounted,
)
from macrorail.run_folder.manifest import build_manifest
from macrorail.run_folder.record import MANIFEST, REMOVED, Record, hash_file
from macrorail.stacking.alignment import Alignment, FrameTransform
from macrorail.stacking.images import read_picture
from macrorail.stacking.raw import RAW_SUFFIXES
from macrorail.stacking.stacker import Stacker

#: Default folder of ``macrorail export``.
EXPORTS = "exports"


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes
    ----------
    name
        ``journal``, ``manifest``, ``frames``, ``picture``, ``exports`` or ``restack``.
    troubles
        Problems that were found, one sentence each; empty when the check passed.
    seen
        The checked items as text, such as ``120 frames unchanged``.
    """

    name: str
    troubles: tuple[str, ...]
    seen: str

    @property
    def holds(self) -> bool:
        """Whether the check passed."""
        return not self.troubles


def verify(
    record: Record, restack: bool = False, on_frame: Callable[[str], None] | None = None
) -> Iterator[Check]:
    """Verify a run check by check, and yield the result of each check.

    The checksums of the journal were verified when ``record`` was read.

    Parameters
    ----------
    record
        Contents of the run folder, as read from its journal and other files.
    restack
        Whether to restack the frames as well and compare the pixels of the results.
    on_frame
        Called with the name of each frame during restacking.
    """
    yield _check_journal(record)
    yield _check_manifest(record)
    yield _check_frames(record)
    yield _check_picture(record)
    if (record.folder / EXPORTS).is_dir():
        yield _check_exports(record, record.folder / EXPORTS)
    if restack:
        yield _check_by_stacking(record, on_frame)


def _check_journal(record: Record) -> Check:
    ended = record.all_of(RunEnded)
    troubles = () if ended else ("the run was interrupted or is still running: it has no end",)
    return Check("journal", troubles, f"{len(record.entries)} entries, all checksums correct")


def _check_manifest(record: Record) -> Check:
    """Check that the manifest agrees with the journal, except for versions of libraries."""
    expected = build_manifest(record.entries)
    troubles = []
    if not (record.folder / MANIFEST).exists():
        troubles.append(f"{MANIFEST} is missing")
    for key in ("run", "specimen", "state", "fusion_order", "fused", "settings"):
        if record.manifest.get(key) != expected[key]:
            troubles.append(f"'{key}' in {MANIFEST} differs from the journal")
    for name, number in _differing(record.manifest["slices"], expected["slices"]):
        troubles.append(f"'{name}' of slice {number} in {MANIFEST} differs from the journal")
    return Check("manifest", tuple(troubles), "agrees with the journal")


def _differing(
    written: list[dict[str, Any]], expected: list[dict[str, Any]]
) -> Iterator[tuple[str, int]]:
    by_index = {one["index"]: one for one in written}
    for one in expected:
        here = by_index.pop(one["index"], {})
        for name in ("frame", "sha256", "achieved_um", "target_um", "transform"):
            if here.get(name) != one[name]:
                yield name, one["index"]
    for index in by_index:
        yield "presence", index


def _check_frames(record: Record) -> Check:
    """Check that every frame in the journal is unchanged, and that no other frames exist."""
    troubles = []
    # The hashes are read from the journal: a person who edits a frame could also change the hash of
    # that frame in the manifest.
    slices = build_manifest(record.entries)["slices"]
    removed = 0
    for one in slices:
        path = record.folder / one["frame"]
        if not path.is_file() and record.removed.get(one["frame"]) == one["sha256"]:
            removed += 1
        elif not path.is_file():
            troubles.append(f"{one['frame']} (slice {one['index']}) is missing")
        elif hash_file(path) != one["sha256"]:
            origin = "was merged" if "exposures" in one else "the camera delivered"
            troubles.append(f"{one['frame']} (slice {one['index']}) is not what {origin}")
        troubles += _bracket_problems(record, one)
    known = {Path(one["frame"]).name for one in slices}
    in_flight = _in_flight(record)
    stems = {Path(name).stem for name in known}
    for path in sorted((record.folder / "frames").glob("[0-9]*.*")):
        is_raw_of_a_pair = path.stem in stems and path.suffix.lower() in RAW_SUFFIXES
        if path.stem.isdecimal() and int(path.stem) == in_flight:
            continue  # not in the journal yet; resume adopts this frame or reshoots the slice
        if path.name not in known and not is_raw_of_a_pair:
            troubles.append(f"frames/{path.name} belongs to no slice in the journal")
    seen = f"{len(slices) - removed} frames unchanged"
    if removed:
        seen += f", {removed} removed intentionally ({REMOVED})"
    return Check("frames", tuple(troubles), seen)


def _in_flight(record: Record) -> int | None:
    """Return the number of the slice that was unfinished when the run ended; ``None`` if none."""
    number = None
    for entry in record.entries:
        match entry.event:
            case ExposureIntended(slice=intended):
                number = intended
            case SliceCounted() | ExposureDiscarded():
                number = None
    return number


def _bracket_problems(record: Record, one: dict[str, Any]) -> list[str]:
    """Return the problems with a slice's bracketed exposures, which were merged into its frame."""
    troubles = []
    for exposure in one.get("exposures", []):
        path = record.folder / exposure["frame"]
        if not path.is_file():
            if record.removed.get(exposure["frame"]) != exposure["sha256"]:
                troubles.append(f"{exposure['frame']} (slice {one['index']}) is missing")
        elif hash_file(path) != exposure["sha256"]:
            troubles.append(
                f"{exposure['frame']} (slice {one['index']}) is not what the camera delivered"
            )
    return troubles


def _check_picture(record: Record) -> Check:
    pictures = record.all_of(PictureFused)
    if not pictures:
        return Check("picture", ("the journal contains no fused picture",), "")
    fused = pictures[-1]
    troubles = []
    for name, sha256 in {fused.path: fused.sha256, **fused.files}.items():
        path = record.folder / name
        if not path.is_file():
            troubles.append(f"{name} is missing")
        elif hash_file(path) != sha256:
            troubles.append(f"{name} is not the picture that this run fused")
    count = len(record.manifest["fusion_order"])
    return Check(
        "picture",
        tuple(troubles),
        f"{fused.path} is unchanged since it was fused from {count} frames",
    )


def _check_exports(record: Record, folder: Path) -> Check:
    troubles, count = [], 0
    frames = {one["sha256"] for one in build_manifest(record.entries)["slices"]}
    for sidecar in sorted(folder.glob("*.json")):
        try:
            about = json.loads(sidecar.read_text(encoding="utf-8"))
            exports, origins = about["macrorail:exports"], about["ac:derivedFrom"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            troubles.append(f"{EXPORTS}/{sidecar.name} cannot be read: {error!r}")
            continue
        if not {origin["hashValue"] for origin in origins} <= frames:
            troubles.append(f"{EXPORTS}/{sidecar.name} names frames that do not belong to this run")
        for one in exports:
            path, count = folder / one["file"], count + 1
            if not path.is_file():
                troubles.append(f"{EXPORTS}/{one['file']} is missing")
            elif hash_file(path) != one["hashValue"]:
                troubles.append(f"{EXPORTS}/{one['file']} has been changed since it was exported")
    return Check("exports", tuple(troubles), f"{count} files unchanged since their export")


def _check_by_stacking(record: Record, on_frame: Callable[[str], None] | None) -> Check:
    """Restack the frames in the order of the run, and check that the pixels are identical."""
    fused = record.manifest["fused"]
    if fused is None:
        return Check("restack", ("there is no picture to compare with",), "")
    by_index = {one["index"]: one for one in record.manifest["slices"]}
    try:
        stacker = Stacker(alignment=_recorded_alignment(record))
        for number in record.manifest["fusion_order"]:
            if number in fused["left_out"]:
                continue
            one = by_index[number]
            if on_frame is not None:
                on_frame(one["frame"])
            stacker.add(record.folder / one["frame"], number, one["achieved_um"])
        again = stacker.finish()
        troubles = [
            f"{name}: {np.count_nonzero(there != here)} of {here.size} values differ from the "
            f"result of restacking the frames"
            for name, there, here in (
                (fused["path"], read_picture(record.folder / fused["path"]), again.image),
                ("depth.tif", _read_depth(record.folder / "depth.tif"), again.depth),
            )
            if not np.array_equal(there, here)
        ]
    except MacrorailError as error:
        return Check("restack", (str(error),), "")
    if troubles:
        troubles.append(
            f"differences can also come from a version of macrorail other than "
            f"{record.manifest['versions']['macrorail']}, other libraries or another processor"
        )
    return Check(
        "restack", tuple(troubles), "restacking the frames gives the same picture and depth map"
    )


def _recorded_alignment(record: Record) -> Alignment:
    """Return the alignment recorded in the run folder."""
    return Alignment(
        {
            one["index"]: FrameTransform(np.array(one["transform"], np.float64), 1.0, False)
            for one in record.manifest["slices"]
            if one["transform"] is not None
        }
    )


def _read_depth(path: Path) -> Any:
    try:
        return tifffile.imread(path)
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise StackError(f"{path} cannot be read: {error}") from error
