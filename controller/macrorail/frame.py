"""One frame on disk: written durably, and verified by its checksum."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from macrorail.errors import FrameError, StorageError


@dataclass(frozen=True)
class Frame:
    """A frame that is stored completely on disk.

    Attributes
    ----------
    path
        Path of the file.
    sha256
        SHA-256 of the bytes that the camera delivered, in lower-case hexadecimal.
    size_bytes
        Size of the file, > 0.
    camera_name
        The file name that the camera used (``DSC_0001.JPG``).
    """

    path: Path
    sha256: str
    size_bytes: int
    camera_name: str


def store_frame(path: Path, data: bytes | memoryview, camera_name: str) -> Frame:
    """Write a frame atomically and durably, and return it as a :class:`Frame`.

    The data goes to a temporary file, which is fsynced and renamed; then the folder is fsynced.
    Once this function returns, the frame survives a power cut.

    Raises
    ------
    FrameError
        The file exists already (existing files are never overwritten), or the data is empty.
    StorageError
        The file cannot be written, for instance because the disk is full.
    """
    if len(data) == 0:
        raise FrameError(f"{camera_name} arrived empty; nothing was written to {path}")
    aside = path.with_name(f".{path.name}.part")
    try:
        if path.exists():
            raise FrameError(f"{path} already exists; it was not overwritten with {camera_name}")
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(
            f"{path}: {camera_name} ({len(data)} bytes) cannot be written: {error.strerror}; "
            f"the frame is still in the camera"
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    return Frame(path, digest, len(data), camera_name)


def sync_folder(folder: Path) -> None:
    """Make renames and new files in ``folder`` survive a power cut; does nothing on Windows."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def verify_frame(frame: Frame) -> None:
    """Read the frame's file and check that it has the checksum of the data from the camera.

    Raises
    ------
    FrameError
        The file is missing or altered, or is a JPEG without its end marker (a truncated transfer).
    """
    try:
        data = frame.path.read_bytes()
    except OSError as error:
        raise FrameError(f"frame {frame.path} cannot be read back: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != frame.sha256:
        raise FrameError(f"frame {frame.path} differs from what the camera delivered")
    # A JPEG starts with SOI (FF D8) and ends with EOI (FF D9), ITU-T T.81 table B.1; cameras may
    # pad the end with zeros.
    if data[:2] == b"\xff\xd8" and not data.rstrip(b"\0").endswith(b"\xff\xd9"):
        raise FrameError(
            f"frame {frame.path} is a JPEG without an end marker: the transfer was cut short"
        )


def set_aside(folder: Path, slice_number: int, attempt: int) -> None:
    """Rename a slice's rejected frame, so that the next frame of the slice does not overwrite it.

    Raises
    ------
    StorageError
        The file cannot be renamed, for instance because the disk is no longer connected.
    """
    try:
        for path in folder.glob(f"{slice_number:04d}.*"):
            path.rename(path.with_name(f"rejected-{path.stem}-{attempt}{path.suffix}"))
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror}") from error
