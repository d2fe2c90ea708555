"""The frames of one stack: which they are, their order of fusion, their pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from controller.errors import ConfigError
from controller.journal import JOURNAL, read_journal
from controller.stacking.images import Picture, is_picture, read_picture


@dataclass(frozen=True)
class Source:
    """A frame to stack.

    Attributes
    ----------
    index
        Of its slice in a run, or its place among the files from 0.
    path
        Where it lies.
    z_um
        Its position, micrometres, when it comes from a run.
    """

    index: int
    path: Path
    z_um: float | None = None


def find_frames(sources: list[Path]) -> list[Source]:
    """The frames that the arguments name, in the order in which they are to be fused.

    Raises
    ------
    ConfigError
        Nothing there, no pictures in it, or folder and files mixed.
    """
    for path in sources:
        if not path.exists():
            raise ConfigError(f"{path} does not exist")
    folders = [path for path in sources if path.is_dir()]
    if folders and len(sources) > 1:
        raise ConfigError(f"give one folder, or files; {folders[0]} is a folder among others")
    if folders and (folders[0] / JOURNAL).exists():
        return _frames_of_run(folders[0])
    paths = sources
    if folders:
        paths = sorted((path for path in folders[0].iterdir() if is_picture(path)), key=_natural)
        if not paths:
            raise ConfigError(f"{folders[0]} holds no pictures (JPEG, PNG or TIFF)")
    return [Source(index, path) for index, path in enumerate(paths)]


def fusion_order(frames: list[Source], reference: str) -> list[Source]:
    """The frames from the reference on, then those before it backwards: neighbours stay so."""
    first = reference_place(reference, len(frames))
    return frames[first:] + frames[:first][::-1]


def read_ahead(frames: list[Source]) -> Iterator[tuple[Source, Picture]]:
    """The frames' pictures in their order, the next one being read while one is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="reader") as reader:
        coming = reader.submit(read_picture, frames[0].path)
        for frame, following in zip(frames, [*frames[1:], None], strict=True):
            picture = coming.result()
            if following is not None:
                coming = reader.submit(read_picture, following.path)
            yield frame, picture


def reference_place(reference: str, count: int) -> int:
    """Place from 0 of the reference among ``count`` frames.

    Raises
    ------
    ConfigError
        Not ``first``, ``middle`` or a number from 1 to ``count``.
    """
    if reference == "first":
        return 0
    if reference == "middle":
        return count // 2
    if reference.isdecimal() and 1 <= int(reference) <= count:
        return int(reference) - 1
    raise ConfigError(
        f"--reference {reference}: must be first, middle or a number from 1 to {count}"
    )


def _frames_of_run(folder: Path) -> list[Source]:
    """A run's counted frames in the order in which they were fused."""
    entries = read_journal(folder / JOURNAL)
    left_out = {e.fields["number"] for e in entries if e.event == "aligned" and "error" in e.fields}
    frames = [
        Source(e.fields["slice"], folder / e.fields["frame"], e.fields["achieved_um"])
        for e in entries
        if e.event == "counted" and e.fields["slice"] not in left_out
    ]
    if not frames:
        raise ConfigError(f"{folder} is a run without a finished slice; there is nothing to stack")
    return frames


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key under which frame 9 comes before frame 10."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
