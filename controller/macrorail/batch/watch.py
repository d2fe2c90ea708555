"""A folder that photographs arrive in: sorts them into stacks and says which are complete."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from macrorail.batch.frames import Source
from macrorail.batch.grouping import FEWEST, Group, group
from macrorail.batch.job import Settings, StackJob
from macrorail.batch.photo import Photo, read_photos
from macrorail.errors import ConfigError
from macrorail.stacking.images import is_picture
from macrorail.stacking.raw import RAW_SUFFIXES

_Stamp = tuple[int, int]


@dataclass(frozen=True)
class Sorted:
    """A folder at one moment.

    Attributes
    ----------
    jobs
        Stacks that are complete.
    waiting
        How many stacks may still grow.
    strays
        Photographs that belong to no stack, each with the reason.
    unreadable
        Files that are no pictures, or not yet.
    """

    jobs: tuple[StackJob, ...]
    waiting: int
    strays: tuple[tuple[Path, str], ...]
    unreadable: tuple[Path, ...]


@dataclass
class Folder:
    """A folder of photographs by anybody, looked at again and again.

    Parameters
    ----------
    folder
        With all that is in it, however deep.
    out
        Where results go; is not looked into.
    wait_s
        A stack is complete when none of its files has changed for so long; 0 for a folder that
        nothing is added to.
    fewest
        Frames that make a stack.
    now
        Wall time in seconds.
    """

    folder: Path
    out: Path
    settings: Settings
    wait_s: float
    fewest: int = FEWEST
    now: Callable[[], float] = time.monotonic
    _seen: dict[Path, tuple[_Stamp, float]] = field(default_factory=dict)
    _photos: dict[Path, Photo] = field(default_factory=dict)

    def look(self) -> Sorted:
        """Sort what is there now.

        Raises
        ------
        ConfigError
            The folder is gone, or a reference that a stack has not.
        """
        changed = self._update()
        for photo in read_photos(changed):
            self._photos[photo.path] = photo
        found = group(self._photos.values(), self.fewest)
        jobs, waiting = [], 0
        for one in found.stacks:
            if all(self._rests(photo.path) for photo in one.photos):
                jobs.append(self._job(one))
            else:
                waiting += 1
        strays = tuple(
            (photo.path, reason) for photo, reason in found.strays if self._rests(photo.path)
        )
        unreadable = sorted(
            path for path in self._seen if path not in self._photos and self._rests(path)
        )
        return Sorted(tuple(jobs), waiting, strays, tuple(unreadable))

    def signature(self, job: StackJob) -> object:
        """Changes when one of its files does, or when others make up the stack."""
        return job.out, tuple(
            (one.path, self._seen.get(one.path, (None,))[0]) for one in job.frames
        )

    def _update(self) -> list[Path]:
        """Note what is new, changed or gone; returns what has to be read."""
        if not self.folder.is_dir():
            raise ConfigError(f"{self.folder} is not a folder")
        there = {}
        pictures = list(_pictures(self.folder, self.out.absolute()))
        # Many cameras write both; the pictures they made are the quicker ones to read.
        made = {p.with_suffix("") for p in pictures if p.suffix.lower() not in RAW_SUFFIXES}
        for path in pictures:
            if path.suffix.lower() in RAW_SUFFIXES and path.with_suffix("") in made:
                continue
            try:
                status = path.stat()
            except OSError:  # gone between two looks
                continue
            there[path] = (status.st_size, status.st_mtime_ns)
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

    def _rests(self, path: Path) -> bool:
        return self.now() - self._seen[path][1] >= self.wait_s

    def _job(self, one: Group) -> StackJob:
        first = one.photos[0]
        when = datetime.fromtimestamp(first.taken_s or 0.0, UTC)
        name = f"{when:%Y%m%d-%H%M%S}-{first.path.stem}"
        frames = [Source(index, photo.path) for index, photo in enumerate(one.photos)]
        return StackJob.of(name, frames, self.out / name, self.settings, one.missing, self.folder)


def _pictures(folder: Path, out: Path) -> Iterable[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if path.absolute() != out:
                yield from _pictures(path, out)
        elif is_picture(path):
            yield path
