"""Finds stacks in folders and subfolders: run folders, and folders of photographs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from macrorail.batch.frame_list import frames_in, pick
from macrorail.batch.frame_types import Passed
from macrorail.batch.frames import StackFrames, fusion_order, load_frames, of_files
from macrorail.batch.job import BatchSettings, StackJob
from macrorail.errors import ConfigError, StackError
from macrorail.exif import read_exif
from macrorail.run_folder.campaign_folder import QUARANTINE
from macrorail.run_folder.journal import JOURNAL
from macrorail.run_folder.record import read_record
from macrorail.stacking.kinds import TIFF, kind_of

#: A camera's folders (DCF 2.0, section 3.1.2): three digits and five characters.
_CAMERA_FOLDER = re.compile(r"(\d{3})\w{5}")
#: A stack continues in the next folder if the pause is at most this many of its own intervals
#: between frames, plus this many seconds.
_INTERVALS, _LATE_S = 4.0, 2.0


@dataclass(frozen=True)
class FoundStacks:
    """The stacks found in folders.

    Attributes
    ----------
    jobs
        Stacks to be made.
    refused
        Stacks that cannot be made and folders that cannot be read, each with the reason.
    passed_over
        Pictures and folders that belong to no stack.
    """

    jobs: list[StackJob]
    refused: list[tuple[StackJob, str]]
    passed_over: list[Passed]


def find_stacks(folders: Iterable[Path], out: Path, settings: BatchSettings) -> FoundStacks:
    """Return a job for every run folder and every folder of photographs, including subfolders.

    Parameters
    ----------
    folders
        Folders to search.
    out
        Folder for the results, in which each stack has its own subfolder; it is not searched.
    settings
        Settings of the stacks.

    Raises
    ------
    ConfigError
        A path is not a folder, a folder contains no stack, or a stack does not have the reference
        frame.
    """
    search = _Search(out.absolute())
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"{folder} is not a folder")
        before = len(search.found) + len(search.refused)
        if search.has_seen(folder):
            continue
        search.look_into(folder)
        if before == len(search.found) + len(search.refused):
            raise ConfigError(
                f"{folder} contains neither runs nor photographs (JPEG, PNG, TIFF, HEIF, WebP, "
                f"AVIF, JPEG XL or raw)"
            )
    found = {path.absolute(): frames for path, frames in search.found}
    refused = {path.absolute(): reason for path, reason in search.refused}
    names = _names([*found, *refused])
    notes = _continuations(search.found)
    jobs = []
    for path, frames in found.items():
        job = _job(path, frames, out / names[path], settings, notes.get(path, ()))
        around = [one for one in search.passed_over if one.path.absolute().parent in path.parents]
        jobs.append(replace(job, passed_over=(*job.passed_over, *around)))
    return FoundStacks(
        jobs,
        [
            (StackJob(names[path], (), out / names[path], settings, origin=path), reason)
            for path, reason in refused.items()
        ],
        search.passed_over,
    )


@dataclass
class _Search:
    """Searches folders; a folder to which several links lead is searched only once."""

    out: Path
    found: list[tuple[Path, StackFrames]] = field(default_factory=list)
    refused: list[tuple[Path, str]] = field(default_factory=list)
    passed_over: list[Passed] = field(default_factory=list)
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def has_seen(self, folder: Path) -> bool:
        """Return whether a folder has been searched already."""
        status = folder.stat()
        return (status.st_dev, status.st_ino) in self._seen

    def look_into(self, folder: Path) -> None:
        """Search a folder and its subfolders for stacks."""
        if folder.absolute() == self.out:
            return
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in self._seen:
                if folder.is_symlink():
                    self.passed_over.append(Passed(folder, "a link to a folder already searched"))
                return
            self._seen.add((status.st_dev, status.st_ino))
            # A campaign folder has a journal as well, but its frames are in its run folders.
            if (folder / JOURNAL).exists() and (folder / "frames").is_dir():
                self.found.append((folder, load_frames([folder])))
                return
            inside = sorted(folder.iterdir())
            files = [path for path in inside if not path.is_dir()]
        except OSError as error:
            self.refused.append((folder, f"cannot be read: {error.strerror or error}"))
            return
        except StackError as error:
            self.refused.append((folder, str(error)))
            return
        place = len(self.found)
        for path in inside:
            if not path.is_dir() or path.name.startswith("."):
                continue
            if path.name == QUARANTINE:
                reason = "runs in quarantine; to stack them nevertheless, name this folder"
                self.passed_over.append(Passed(path, reason))
                continue
            self.look_into(path)
        self._take(folder, files, place)

    def _take(self, folder: Path, files: list[Path], place: int) -> None:
        """Add a folder's pictures as a stack; pass over a single picture beside stack folders."""
        try:
            pictures = pick(files).files
            if not pictures:
                return
            if len(pictures) == 1 and len(self.found) > place and kind_of(pictures[0]) is not TIFF:
                reason = "a single picture beside folders of stacks"
                self.passed_over.append(Passed(pictures[0], reason))
                return
            self.found.insert(place, (folder, of_files(frames_in([folder]))))
        except StackError as error:
            self.refused.append((folder, str(error)))


def _job(
    folder: Path, frames: StackFrames, out: Path, settings: BatchSettings, notes: tuple[str, ...]
) -> StackJob:
    um_per_px = None
    if (folder / JOURNAL).exists():
        fused = read_record(folder).manifest["fused"]
        um_per_px = None if fused is None else float(fused["um_per_px"])
    order = tuple(fusion_order(frames.frames, settings.reference))
    said = (*frames.doubts, *notes)
    return StackJob(out.name, order, out, settings, um_per_px, said, folder, frames.passed_over)


def _continuations(found: list[tuple[Path, StackFrames]]) -> dict[Path, tuple[str, ...]]:
    """Return a doubt for each stack whose frames seem to continue in the camera's next folder."""
    notes: dict[Path, tuple[str, ...]] = {}
    for (one, frames), (two, following) in pairwise(found):
        numbers = [_CAMERA_FOLDER.fullmatch(path.name) for path in (one, two)]
        if one.parent != two.parent or not numbers[0] or not numbers[1]:
            continue
        if int(numbers[1][1]) != int(numbers[0][1]) + 1:
            continue
        ends = (frames.frames[0], frames.frames[-1], following.frames[0])
        times = [read_exif(frame.path).taken() for frame in ends]
        if None in times:
            continue
        begun_s, ended_s, next_s = (time[0] for time in times if time is not None)
        interval_s = (ended_s - begun_s) / max(1, len(frames.frames) - 1)
        if 0 <= next_s - ended_s <= _INTERVALS * interval_s + _LATE_S:
            sentence = (
                f"{two.name} may contain the rest of the stack that begins in {one.name}: the "
                f"first frame in {two.name} was taken {next_s - ended_s:.1f} s after the last "
                f"frame in {one.name}. To stack both together, use macrorail stack {one} {two}"
            )
            for path in (one, two):
                notes[path.absolute()] = (*notes.get(path.absolute(), ()), sentence)
    return notes


def _names(folders: list[Path]) -> dict[Path, str]:
    """Return a unique result name for each folder: its name, after its parents' names if needed."""
    names: dict[Path, str] = {}
    for folder in folders:
        for depth in range(1, len(folder.parts)):
            tail = folder.parts[-depth:]
            if not any(o != folder and o.parts[-depth:] == tail for o in folders):
                break
        names[folder] = "-".join(tail)
    return names
