"""Groups the photographs that arrive in a folder into stacks, and finds the complete stacks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from macrorail.batch.frame_list import pick
from macrorail.batch.frame_types import Passed, choose_types
from macrorail.batch.frames import Source
from macrorail.batch.grouping import FEWEST, Group, group
from macrorail.batch.job import BatchSettings, StackJob
from macrorail.batch.photo import Photo, read_photos
from macrorail.errors import ConfigError, StackError
from macrorail.stacking.kinds import RAW, kind_of

_Stamp = tuple[int, int]


class FolderAway(ConfigError):
    """A watched folder cannot be read at present; it may become available again."""


@dataclass(frozen=True)
class Sorted:
    """The state of a folder at one moment.

    Attributes
    ----------
    jobs
        Stacks that are complete.
    waiting
        Number of stacks to which frames may still be added.
    strays
        Photographs that belong to no stack, each with the reason.
    unreadable
        Files that are not pictures, or that are still incomplete.
    passed_over
        Hidden files, results of macrorail and files without the suffix of a picture.
    """

    jobs: tuple[StackJob, ...]
    waiting: int
    strays: tuple[tuple[Path, str], ...]
    unreadable: tuple[Path, ...]
    passed_over: tuple[Passed, ...] = ()


@dataclass
class Folder:
    """A folder of photographs that is searched repeatedly.

    Parameters
    ----------
    folder
        The folder; its subfolders are searched too.
    out
        Folder for the results; it is not searched.
    settings
        Settings of the stacks.
    wait_s
        A stack is complete when its files have not changed for this many seconds; 0 for a folder to
        which no files are added.
    fewest
        Smallest number of frames in a stack.
    now
        Returns the wall time in seconds.
    """

    folder: Path
    out: Path
    settings: BatchSettings
    wait_s: float
    fewest: int = FEWEST
    now: Callable[[], float] = time.monotonic
    _seen: dict[Path, tuple[_Stamp, float]] = field(default_factory=dict)
    _photos: dict[Path, Photo] = field(default_factory=dict)
    _passed_over: list[Passed] = field(default_factory=list)

    def look(self) -> Sorted:
        """Search the folder, group its photographs, and return the present state.

        Raises
        ------
        FolderAway
            The folder cannot be read at present, for example because a network share is
            disconnected. The files that were found before are remembered.
        ConfigError
            A stack does not have the reference frame.
        """
        changed = self._update()
        for photo in read_photos(changed):
            self._photos[photo.path] = photo
        found = group(self._representatives(), self.fewest)
        jobs, waiting = [], 0
        strays = list(found.strays)
        for one in found.stacks:
            files = [path for photo in one.photos for path in self._files_of(photo.path)]
            if not all(self._rests(path) for path in files):
                waiting += 1
                continue
            try:
                jobs.append(self._job(one, files))
            except StackError as error:
                strays += [(photo, f"is not stacked: {error}") for photo in one.photos]
        unreadable = sorted(
            path for path in self._seen if path not in self._photos and self._rests(path)
        )
        return Sorted(
            tuple(jobs),
            waiting,
            tuple((photo.path, reason) for photo, reason in strays if self._rests(photo.path)),
            tuple(unreadable),
            tuple(self._passed_over),
        )

    def is_there(self, job: StackJob) -> bool:
        """Return whether all frames of a stack can be reached."""
        return all(one.path.exists() for one in job.frames)

    def signature(self, job: StackJob) -> object:
        """Return a value that changes when the stack gains or loses a file or a file changes."""
        return job.out, tuple(
            (one.path, self._seen.get(one.path, (None,))[0]) for one in job.frames
        )

    def _update(self) -> list[Path]:
        """Update the list of files; return the new and changed files, which must still be read."""
        there = {}
        try:
            if not self.folder.is_dir():
                raise FolderAway(f"{self.folder} does not exist")
            picked = pick(_files(self.folder, self.out.absolute(), set()), are_known=self._seen)
            for path in picked.files:
                try:
                    status = path.stat()
                except FileNotFoundError:  # removed during the search
                    continue
                there[path] = (status.st_size, status.st_mtime_ns)
        except OSError as error:
            raise FolderAway(f"{self.folder} cannot be read: {error.strerror or error}") from error
        self._passed_over = picked.passed_over
        for path in set(self._seen) - set(there):
            del self._seen[path]
            self._photos.pop(path, None)
        changed = [
            path
            for path, stamp in there.items()
            if path not in self._seen or self._seen[path][0] != stamp
        ]
        for path in changed:
            self._seen[path] = (there[path], self.now())
            self._photos.pop(path, None)
        return sorted(changed)

    def _representatives(self) -> list[Photo]:
        """Return one photograph for each picture; the RAW file if a picture has both RAW and JPEG.

        So all frames are of the same type, even if only some RAW files have a JPEG as well.
        """
        chosen: dict[tuple[Path, str], Photo] = {}
        for path in sorted(self._photos):
            photo, key = self._photos[path], (path.parent, path.stem.casefold())
            is_better = kind_of(path) is RAW and photo.taken_s is not None
            if key not in chosen or is_better:
                chosen[key] = photo
        return list(chosen.values())

    def _files_of(self, path: Path) -> list[Path]:
        """Return all files of the same picture as the given file."""
        stem = path.stem.casefold()
        return [
            one for one in self._photos if one.parent == path.parent and one.stem.casefold() == stem
        ]

    def _rests(self, path: Path) -> bool:
        return self.now() - self._seen[path][1] >= self.wait_s

    def _job(self, one: Group, files: list[Path]) -> StackJob:
        first = one.photos[0]
        when = datetime.fromtimestamp(first.taken_s or 0.0, UTC)
        name = f"{when:%Y%m%d-%H%M%S}-{first.path.stem}"
        chosen, passed_over, doubts = choose_types(files)
        by_picture = {(path.parent, path.stem.casefold()): path for path in chosen}
        keys = [(photo.path.parent, photo.path.stem.casefold()) for photo in one.photos]
        frames = [
            Source(index, by_picture[key]) for index, key in enumerate(keys) if key in by_picture
        ]
        return StackJob.of(
            name,
            frames,
            self.out / name,
            self.settings,
            (*one.missing, *doubts),
            self.folder,
            tuple(passed_over),
        )


def _files(folder: Path, out: Path, seen: set[tuple[int, int]]) -> Iterable[Path]:
    """Yield all files in a folder and its subfolders; each folder is searched only once."""
    status = folder.stat()
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    for path in sorted(folder.iterdir()):
        if not path.is_dir():
            yield path
        elif path.absolute() != out and not path.name.startswith("."):
            yield from _files(path, out, seen)
