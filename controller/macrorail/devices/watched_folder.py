"""Takes over a camera's photographs from a folder into which another program writes them.

A file is removed from the folder only when it is known to be a complete photograph and is safely
stored on this computer's disk. Other files (notes, sidecars) are not touched. A folder that cannot
be read for a while, such as a network share, counts as empty during that time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from macrorail.errors import DeviceLost
from macrorail.frame import Frame, store_frame
from macrorail.stacking.images import is_picture

_STEADY_POLLS = 3
"""A file without an end marker counts as complete after this many looks without a change."""

# Types of photographs that cameras write but that cannot be stacked.
_UNREADABLE = (".hif", ".heif", ".heic", ".mov", ".mp4")
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


@dataclass(frozen=True)
class _Stamp:
    size_bytes: int
    changed_ns: int


class WatchedFolder:
    """The photographs that appear in a folder.

    Parameters
    ----------
    path
        Path of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: set[str] = set()
        self._seen: dict[str, tuple[_Stamp, int]] = {}

    def ignore_present(self) -> list[str]:
        """Ignore all present files from now on; return the names of new photographs among them.

        Raises
        ------
        DeviceLost
            The folder cannot be read.
        """
        try:
            names = [path.name for path in self.path.iterdir()]
        except OSError as error:
            raise DeviceLost(
                f"the folder {self.path} cannot be read: {error.strerror or error}; check the "
                f"card, the share or the program that fills it"
            ) from error
        new = sorted(name for name in names if name not in self._known and _is_frame(Path(name)))
        self._known.update(names)
        return new

    def arrived(self) -> list[Path]:
        """Return the paths of new photographs, sorted by name, whether they are complete or not.

        Returns no paths while the folder cannot be read.
        """
        try:
            return sorted(
                path
                for path in self.path.iterdir()
                if path.name not in self._known and _is_frame(path) and path.is_file()
            )
        except OSError:
            return []

    def is_whole(self, path: Path) -> bool:
        """Return whether a file is complete: it has stopped growing, and a JPEG has its end marker.

        Call this repeatedly: a file of a type without an end marker counts as complete only after
        several calls during which it did not change.
        """
        try:
            stamp = _stamp(path)
            before, looks = self._seen.get(path.name, (stamp, 0))
            self._seen[path.name] = (stamp, looks + 1 if stamp == before else 0)
            if stamp.size_bytes == 0 or self._seen[path.name][1] == 0:
                return False
            if path.suffix.lower() in {".jpg", ".jpeg"}:
                return _has_both_ends(path)
        except OSError:
            return False
        return self._seen[path.name][1] >= _STEADY_POLLS

    def take(self, path: Path, target: Path) -> Frame | None:
        """Store a file as a frame, and remove it from the folder once the frame is safely stored.

        Returns
        -------
        Frame or None
            The frame. ``None`` if the file could not be read or changed while it was read; the file
            then stays in the folder.

        Raises
        ------
        StorageError, FrameError
            The file could not be stored; it is still in the folder.
        """
        try:
            before = _stamp(path)
            data = path.read_bytes()
            unchanged = len(data) == before.size_bytes and _stamp(path) == before
        except OSError:
            return None
        if not unchanged:
            return None
        frame = store_frame(target, data, path.name)
        stored = target.read_bytes()
        if hashlib.sha256(stored).hexdigest() == frame.sha256:
            # If the file cannot be removed now because the folder is unavailable, it stays known:
            # the folder may become available again with the file.
            self._known.add(path.name)
            try:
                path.unlink()
            except OSError:
                return frame
            self._known.discard(path.name)
        return frame


def is_unreadable_frame(name: str) -> bool:
    """Return whether a camera's file has a type that cannot be stacked."""
    path = Path(name)
    return path.suffix.lower() in _UNREADABLE and not is_picture(path)


def _is_frame(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return is_picture(path) or path.suffix.lower() in _UNREADABLE


def _stamp(path: Path) -> _Stamp:
    status = path.stat()
    return _Stamp(status.st_size, status.st_mtime_ns)


def _has_both_ends(path: Path) -> bool:
    """Return whether a JPEG has its start and end markers (ITU-T T.81, B.1); zeros may follow."""
    with path.open("rb") as file:
        if file.read(2) != _JPEG_START:
            return False
        file.seek(0, 2)
        file.seek(max(0, file.tell() - (1 << 16)))
        return file.read().rstrip(b"\0").endswith(_JPEG_END)
