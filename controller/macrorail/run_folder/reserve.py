"""Reserves disk space for a run, so that no other program can use up the space meanwhile."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from macrorail.errors import PlanError
from macrorail.quantity import format_size
from macrorail.run_folder.events import CoverageAssessed, ExposureIntended
from macrorail.run_folder.journal import Entry

#: Name of the file in the run folder that occupies the reserved space.
RESERVED = ".reserved"
_NOT_HERE = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


class Reserve:
    """Reserves disk space for a run and releases it as the run writes its files.

    On file systems that cannot reserve space (most network folders), nothing is reserved, and the
    run relies on its disk watch.

    Parameters
    ----------
    folder
        The run folder.
    frames
        Number of frames still to be shot.
    frame_bytes
        Space for each frame, bytes.
    results_bytes
        Space for the pictures that are written at the end, bytes.
    keep_free_bytes
        Space that must stay free in addition, bytes.

    Raises
    ------
    PlanError
        The disk has less free space than is needed.
    """

    def __init__(
        self,
        folder: Path,
        frames: int,
        frame_bytes: float,
        results_bytes: float,
        keep_free_bytes: float,
    ) -> None:
        self._path = folder / RESERVED
        self._frame_bytes = int(frame_bytes)
        self._keep_free_bytes = int(keep_free_bytes)
        wanted = frames * self._frame_bytes + int(results_bytes) + self._keep_free_bytes
        self._held = 0
        try:
            self._held = wanted if _hold(self._path, wanted) else 0
        except OSError as error:
            self.close()
            raise PlanError(
                f"{folder}: cannot reserve the {format_size(wanted)} that this run needs; "
                f"{format_size(keep_free_bytes)} of it must stay free ('unattended: keep_free' in "
                f"the rig): {error.strerror}. Free some space, or choose another disk"
            ) from error
        if not self._held:
            self.close()

    def held_bytes(self) -> int:
        """Return the number of bytes that are reserved now."""
        return self._held

    def on_entry(self, entry: Entry) -> None:
        """Release the space for the frame or the pictures that a journal entry announces."""
        match entry.event:
            case ExposureIntended():
                self._shrink(max(self._keep_free_bytes, self._held - self._frame_bytes))
            case CoverageAssessed():
                self._shrink(self._keep_free_bytes)

    def close(self) -> None:
        """Release all reserved space; safe to call twice."""
        self._held = 0
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _shrink(self, size_bytes: int) -> None:
        if size_bytes < self._held:
            # In a folder that was unmounted there is no reserved space to release.
            with suppress(OSError):
                os.truncate(self._path, size_bytes)
            self._held = size_bytes


def _hold(path: Path, size_bytes: int) -> bool:
    """Create a file with allocated blocks; return False if the file system cannot allocate them.

    ``os.posix_fallocate`` is not used: if the file system cannot allocate blocks, it writes them
    all.
    """
    fallocate = _fallocate()
    if fallocate is None or size_bytes == 0:
        return False
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o644)
    try:
        if fallocate(descriptor, 0, 0, size_bytes) == 0:
            return True
    finally:
        os.close(descriptor)
    number = ctypes.get_errno()
    if number in _NOT_HERE:
        return False
    raise OSError(number, os.strerror(number))


def _fallocate() -> Callable[..., int] | None:
    library = ctypes.CDLL(None, use_errno=True)
    found = getattr(library, "fallocate64", None) or getattr(library, "fallocate", None)
    if found is None:
        return None
    found.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    found.restype = ctypes.c_int
    call: Callable[..., int] = found
    return call
