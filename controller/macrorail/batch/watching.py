"""Finds the stacks in mixed folders, once or repeatedly while photographs arrive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from macrorail.batch.job import StackJob
from macrorail.batch.watch import Folder, FolderAway, Sorted
from macrorail.clock import Clock
from macrorail.errors import ConfigError, StackError

#: How often a watched folder is looked at.
_LOOK_EVERY_S = 2.0

Message = Callable[[str], object]


def sort_once(folders: Sequence[Folder], message: Message) -> list[StackJob]:
    """Return the stacks in folders to which no more files are added.

    Parameters
    ----------
    folders
        The folders.
    message
        Called with a line for each photograph that belongs to no stack.

    Raises
    ------
    ConfigError
        The folders contain no stack.
    """
    jobs: list[StackJob] = []
    for folder in folders:
        found = folder.look()
        _report_rest(found, set(), message)
        jobs += found.jobs
    if not jobs:
        raise ConfigError(
            f"no stack was found in {', '.join(str(one.folder) for one in folders)}. Photographs "
            f"without a capture time cannot be grouped; put each stack into its own folder and "
            f"omit --group"
        )
    return jobs


def watch_folders(
    folders: Sequence[Folder],
    clock: Clock,
    make: Callable[[list[StackJob]], list[StackJob]],
    message: Message,
) -> NoReturn:
    """Make each stack when it is complete, until the operator stops.

    If a folder or a disk is missing, the function waits until it is available again, and then
    retries the failed stacks.

    Parameters
    ----------
    folders
        The folders.
    clock
        Clock through which the operator can stop.
    make
        Makes new stacks; returns the stacks that failed.
    message
        Called with a line for each photograph that belongs to no stack; each photograph is
        reported once.

    Raises
    ------
    ConfigError
        A path is not a folder.
    OperatorStop
        The operator stopped with Ctrl-C or a signal.
    """
    for folder in folders:
        if not folder.folder.is_dir():
            raise ConfigError(f"{folder.folder} is not a folder")
    message("Watching; Ctrl-C ends it.")
    reported: set[Path] = set()
    tried: set[object] = set()
    failed: set[object] = set()
    away: set[Path] = set()
    while True:
        for folder in folders:
            try:
                found = folder.look()
            except FolderAway as error:
                if folder.folder not in away:
                    message(f"{error}; waiting until it is available again")
                away.add(folder.folder)
                continue
            if folder.folder in away:
                away.remove(folder.folder)
                tried -= failed
                message(f"{folder.folder} is available again")
            _report_rest(found, reported, message)
            new = [job for job in found.jobs if folder.signature(job) not in tried]
            if new:
                try:
                    not_made = make(new)
                except (ConfigError, StackError, OSError) as error:
                    if folder.out not in away:
                        message(f"{error}; waiting until that is possible")
                    away.add(folder.out)
                    continue
                away.discard(folder.out)
                # Stacks that failed because the share was disconnected meanwhile are retried.
                gone = [job for job in not_made if not folder.is_there(job)]
                tried |= {folder.signature(job) for job in new if job not in gone}
                failed |= {folder.signature(job) for job in not_made}
        clock.sleep(_LOOK_EVERY_S)


def _report_rest(found: Sorted, reported: set[Path], message: Message) -> None:
    """Report each file that is not stacked, once."""
    rest = list(found.strays)
    rest += [(path, "cannot be read as a picture") for path in found.unreadable]
    rest += [(one.path, f"is passed over: {one.reason}") for one in found.passed_over]
    for path, reason in rest:
        if path not in reported:
            reported.add(path)
            message(f"Not stacked: {path} {reason}")
