"""Proves that a run's result belongs to its frames, from what lies in the run folder.

What holds it together: the journal, each line with its checksum, names the hash of every frame as
it came from the camera and the hash of the picture made from them; the manifest and the exports'
sidecar repeat them. This finds damage, loss and mix-ups. It is no signature: who rewrites frames
*and* journal *and* pictures is only found out by stacking again, and not even then if he did.
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
from macrorail.run_folder.events import PictureFused, RunEnded
from macrorail.run_folder.manifest import build_manifest
from macrorail.run_folder.record import MANIFEST, REMOVED, Record, hash_file
from macrorail.stacking.alignment import Alignment, Lie
from macrorail.stacking.images import read_picture
from macrorail.stacking.raw import RAW_SUFFIXES
from macrorail.stacking.stacker import Stacker

#: Where ``macrorail export`` writes when it is not told otherwise.
EXPORTS = "exports"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name
        What: ``journal``, ``manifest``, ``frames``, ``picture``, ``exports``, ``restack``.
    troubles
        What is wrong with it, one sentence each; none when it holds.
    seen
        What was found, in words.
    """

    name: str
    troubles: tuple[str, ...]
    seen: str

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.troubles


def verify(
    record: Record, restack: bool = False, tell: Callable[[str], None] | None = None
) -> Iterator[Check]:
    """Check a run, part by part.

    The journal's own lines have been checked when ``record`` was read.

    Parameters
    ----------
    restack
        Fuse the frames again as well and compare the pixels.
    tell
        Told each frame that is stacked again.
    """
    yield _check_journal(record)
    yield _check_manifest(record)
    yield _check_frames(record)
    yield _check_picture(record)
    if (record.folder / EXPORTS).is_dir():
        yield _check_exports(record, record.folder / EXPORTS)
    if restack:
        yield _check_by_stacking(record, tell)


def _check_journal(record: Record) -> Check:
    ended = record.all_of(RunEnded)
    troubles = () if ended else ("it has no end: the run was interrupted, or still goes on",)
    return Check("journal", troubles, f"{len(record.entries)} entries, every checksum right")


def _check_manifest(record: Record) -> Check:
    """The manifest says what the journal says; versions of libraries aside."""
    told = build_manifest(record.entries)
    troubles = []
    if not (record.folder / MANIFEST).exists():
        troubles.append(f"{MANIFEST} is missing")
    for key in ("run", "specimen", "state", "fusion_order", "fused", "settings"):
        if record.manifest.get(key) != told[key]:
            troubles.append(f"{MANIFEST} has another '{key}' than the journal")
    for name, number in _differing(record.manifest["slices"], told["slices"]):
        troubles.append(f"{MANIFEST} has another '{name}' of slice {number} than the journal")
    return Check("manifest", tuple(troubles), "says what the journal says")


def _differing(
    written: list[dict[str, Any]], told: list[dict[str, Any]]
) -> Iterator[tuple[str, int]]:
    by_index = {one["index"]: one for one in written}
    for one in told:
        here = by_index.pop(one["index"], {})
        for name in ("frame", "sha256", "achieved_um", "target_um", "transform"):
            if here.get(name) != one[name]:
                yield name, one["index"]
    for index in by_index:
        yield "presence", index


def _check_frames(record: Record) -> Check:
    """Every counted frame is there as the camera sent it, and no other frame passes for one."""
    troubles = []
    # From the journal, not from the manifest: the manifest could have been edited with the frame.
    slices = build_manifest(record.entries)["slices"]
    removed = 0
    for one in slices:
        path = record.folder / one["frame"]
        if not path.is_file() and record.removed.get(one["frame"]) == one["sha256"]:
            removed += 1
        elif not path.is_file():
            troubles.append(f"{one['frame']} (slice {one['index']}) is missing")
        elif hash_file(path) != one["sha256"]:
            made = "was merged" if "exposures" in one else "the camera sent"
            troubles.append(f"{one['frame']} (slice {one['index']}) is not what {made}")
        troubles += _troubles_of_bracket(record, one)
    known = {Path(one["frame"]).name for one in slices}
    stems = {Path(name).stem for name in known}
    for path in sorted((record.folder / "frames").glob("[0-9]*.*")):
        is_raw_of_a_pair = path.stem in stems and path.suffix.lower() in RAW_SUFFIXES
        if path.name not in known and not is_raw_of_a_pair:
            troubles.append(f"frames/{path.name} belongs to no slice of the journal")
    seen = f"{len(slices) - removed} frames as the camera sent them"
    if removed:
        seen += f", {removed} removed on purpose ({REMOVED})"
    return Check("frames", tuple(troubles), seen)


def _troubles_of_bracket(record: Record, one: dict[str, Any]) -> list[str]:
    """What is wrong with the exposures that a slice's frame was merged from."""
    troubles = []
    for exposure in one.get("exposures", []):
        path = record.folder / exposure["frame"]
        if not path.is_file():
            if record.removed.get(exposure["frame"]) != exposure["sha256"]:
                troubles.append(f"{exposure['frame']} (slice {one['index']}) is missing")
        elif hash_file(path) != exposure["sha256"]:
            troubles.append(
                f"{exposure['frame']} (slice {one['index']}) is not what the camera sent"
            )
    return troubles


def _check_picture(record: Record) -> Check:
    pictures = record.all_of(PictureFused)
    if not pictures:
        return Check("picture", ("the journal knows of no fused picture",), "")
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
        f"{fused.path} is the one that was fused from {count} frames",
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
            troubles.append(f"{EXPORTS}/{sidecar.name} names frames that are not of this run")
        for one in exports:
            path, count = folder / one["file"], count + 1
            if not path.is_file():
                troubles.append(f"{EXPORTS}/{one['file']} is missing")
            elif hash_file(path) != one["hashValue"]:
                troubles.append(f"{EXPORTS}/{one['file']} has been changed since it was exported")
    return Check("exports", tuple(troubles), f"{count} files as they were exported")


def _check_by_stacking(record: Record, tell: Callable[[str], None] | None) -> Check:
    """Fuse the frames again in the run's own order; the pixels have to be the same."""
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
            if tell is not None:
                tell(one["frame"])
            stacker.add(record.folder / one["frame"], number, one["achieved_um"])
        again = stacker.finish()
        troubles = [
            f"{name}: {np.count_nonzero(there != here)} of {here.size} values differ from what "
            f"the frames give here"
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
            f"another version than macrorail {record.manifest['versions']['macrorail']}, or other "
            f"libraries or processors, may do that as well"
        )
    return Check("restack", tuple(troubles), "the frames give the same picture and depth again")


def _recorded_alignment(record: Record) -> Alignment:
    """How the run says that its frames lie."""
    return Alignment(
        {
            one["index"]: Lie(np.array(one["transform"], np.float64), 1.0, False)
            for one in record.manifest["slices"]
            if one["transform"] is not None
        }
    )


def _read_depth(path: Path) -> Any:
    try:
        return tifffile.imread(path)
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise StackError(f"{path} cannot be read: {error}") from error
