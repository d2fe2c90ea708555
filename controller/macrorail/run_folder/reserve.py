"""Disk space that is reserved for a run, so that no other program takes it in the night."""

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

#: In the run folder, as large as what is held.
RESERVED = ".reserved"
_NOT_HERE = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


class Reserve:
    """Reserves space for a run's frames, its results and what is to be kept free, and releases it.

    Where the file system cannot reserve space (most network folders) nothing is reserved, and the
    run relies on its disk watch.

    Parameters
    ----------
    folder
        The run folder.
    frames
        Still to be shot.
    frame_bytes, results_bytes, keep_free_bytes
        For each frame, for the pictures at the end, and in addition.

    Raises
    ------
    PlanError
        The disk has less space.
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
                f"{folder} cannot hold the {format_size(wanted)} that this run needs, "
                f"{format_size(keep_free_bytes)} of it to be kept free ('unattended: keep_free' in "
                f"the rig): {error.strerror}; make room, or choose another disk"
            ) from error
        if not self._held:
            self.close()

    def held_bytes(self) -> int:
        """What is reserved now."""
        return self._held

    def on_entry(self, entry: Entry) -> None:
        """Release space for what the journal announces: a frame, or the pictures at the end."""
        match entry.event:
            case ExposureIntended():
                self._shrink(max(self._keep_free_bytes, self._held - self._frame_bytes))
            case CoverageAssessed():
                self._shrink(self._keep_free_bytes)

    def close(self) -> None:
        """Release everything. Safe to call twice."""
        self._held = 0
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _shrink(self, size_bytes: int) -> None:
        if size_bytes < self._held:
            # A folder that is gone for a while cannot release space, and holds none either.
            with suppress(OSError):
                os.truncate(self._path, size_bytes)
            self._held = size_bytes


def _hold(path: Path, size_bytes: int) -> bool:
    """Make a file whose blocks are allocated; False where the file system cannot do that.

    Not ``os.posix_fallocate``: where the file system cannot, that writes every single block.
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
