"""Chooses the files that are frames of a stack, for `stack`, `batch` and `batch --watch`.

Hidden files and macrorail's own results are never frames. If a picture has several files (RAW and
JPEG), one of them is used, of the same type for the complete stack. Files that are not used are
listed with the reason. If frames would be lost, the stack is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from macrorail.batch.frame_order import Taken, natural_key, order_of, series_of
from macrorail.batch.frame_types import Passed, choose_types
from macrorail.errors import ConfigError, StackError
from macrorail.exif import read_exif
from macrorail.stacking.images import picture_size
from macrorail.stacking.kinds import RAW, TIFF, kind_of
from macrorail.stacking.metadata import is_own_result
from macrorail.stacking.stacker import SMALLEST_PX
from macrorail.stacking.tiff import channel_and_time, page_count

_OWN_NAMES = re.compile(
    r"(fused|depth|preview)\.(tiff?|jpe?g|png)|(.*-)?confidence\.png", re.IGNORECASE
)
_APPLE_DOUBLE = b"\x00\x05\x16\x07"
#: Of all frames, those of another size that are passed over rather than refused.
_FEW = 0.25
#: So many frames that count up show that others do not belong to them.
_MAIN_SERIES = 3
#: A line for people names so many files.
_MOST_LISTED = 6


@dataclass(frozen=True)
class FrameFile:
    """The file of a frame, and the page in a file that contains several pictures."""

    path: Path
    page: int | None = None


@dataclass(frozen=True)
class FrameFiles:
    """The frames of one stack in the order in which they were taken.

    Attributes
    ----------
    frames
        The frames; at least one.
    size
        Width, height and bits per channel of each frame.
    passed_over
        Files that are not used, each with the reason.
    doubts
        Possible problems with the frames, one sentence each.
    """

    frames: tuple[FrameFile, ...]
    size: tuple[int, int, int]
    passed_over: tuple[Passed, ...] = ()
    doubts: tuple[str, ...] = ()


@dataclass
class Picked:
    """Files that may be frames, and files that are not frames."""

    files: list[Path] = field(default_factory=list)
    passed_over: list[Passed] = field(default_factory=list)


def frames_in(folders: Sequence[Path], output: Path | None = None) -> FrameFiles:
    """Return the frames in one folder, or in successive folders of a camera.

    Parameters
    ----------
    folders
        The folders, in the order in which the camera filled them.
    output
        File for the result, which is not used as a frame.

    Raises
    ------
    ConfigError
        The folders contain no frames.
    StackError
        A folder or frame cannot be read, or frames would be lost. The message names the files and
        what to do.
    """
    inside = [path for folder in folders for path in files_in(folder)]
    picked = pick(inside, output)
    if not picked.files:
        own = [one.path.name for one in picked.passed_over if one.reason == _OWN]
        only = f", only results of macrorail ({own[0]}); give them as files" if own else ""
        raise ConfigError(f"{folders[0]} contains no pictures{only or _with_folders(folders[0])}")
    chosen, passed_over, doubts = choose_types(picked.files)
    return _checked(chosen, [*picked.passed_over, *passed_over], doubts)


def frames_named(files: Sequence[Path], output: Path | None = None) -> FrameFiles:
    """Return the frames among files that the user named one by one or with a shell pattern.

    Files in sorted order, as from a shell pattern, are put in the order in which they were taken.
    Any other order is kept.

    Raises
    ------
    ConfigError
        The result would replace one of the frames, or no file is a frame.
    StackError
        A file cannot be read, or frames would be lost.
    """
    is_sorted = list(files) in (sorted(files), sorted(files, key=natural_key))
    picked = pick(files, output, are_named=True)
    if not picked.files:
        raise ConfigError(
            "none of the files is a frame: "
            + "; ".join(f"{one.path.name}: {one.reason}" for one in picked.passed_over)
        )
    if not is_sorted or len(set(picked.files)) < len(picked.files):
        return _checked(picked.files, picked.passed_over, [], is_ordered=True)
    chosen, passed_over, doubts = choose_types(picked.files, are_named=True)
    return _checked(chosen, [*picked.passed_over, *passed_over], doubts)


_OWN = "a result of macrorail"


def pick(
    files: Iterable[Path],
    output: Path | None = None,
    are_named: bool = False,
    are_known: Container[Path] = (),
) -> Picked:
    """Separate possible frames from hidden files, macrorail's own results and other files.

    Parameters
    ----------
    files
        The files.
    output
        File for the result, which is not used as a frame.
    are_named
        Whether the user named each file. Hidden files are then used. Results of macrorail are used
        if no other files are given, so that slabs can be stacked.
    are_known
        Files that are known not to be results of macrorail.

    Raises
    ------
    ConfigError
        ``output`` would replace a file that macrorail did not write.
    """
    picked, own = Picked(), []
    target = None if output is None else output.absolute()
    for path in files:
        kind = kind_of(path)
        if _is_apple_double(path) or (path.name.startswith(".") and not are_named):
            picked.passed_over.append(Passed(path, "hidden"))
        elif kind is None and not are_named:
            picked.passed_over.append(Passed(path, "no picture"))
        elif path.absolute() == target:
            if not _OWN_NAMES.fullmatch(path.name) and not is_own_result(path):
                raise ConfigError(
                    f"{output} is one of the frames and would be replaced; choose another output"
                )
            picked.passed_over.append(Passed(path, "the output itself"))
        elif _OWN_NAMES.fullmatch(path.name) or (
            kind is not RAW and path not in are_known and is_own_result(path)
        ):
            own.append(path)
        else:
            picked.files.append(path)
    if not are_named:
        picked.files = _each_once(picked.files, picked.passed_over)
    if are_named and not picked.files:
        picked.files = own
    else:
        picked.passed_over += [Passed(path, _OWN) for path in own]
    return picked


def listed(passed_over: Iterable[Passed]) -> list[str]:
    """Return lines of text that give each reason with its files."""
    by_reason: dict[str, list[str]] = {}
    for one in passed_over:
        by_reason.setdefault(one.reason, []).append(one.path.name)
    return [
        f"Passed over: {', '.join(names[:_MOST_LISTED])}"
        + (f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else "")
        + f" ({reason})"
        for reason, names in by_reason.items()
    ]


def _each_once(files: list[Path], passed_over: list[Passed]) -> list[Path]:
    """Return the files except links to other files in the list; links go to ``passed_over``."""
    real = {path.resolve() for path in files if not path.is_symlink()}
    kept = []
    for path in files:
        if path.is_symlink() and path.resolve() in real:
            passed_over.append(Passed(path, f"a link to {path.resolve().name}"))
        else:
            kept.append(path)
    return kept


def files_in(folder: Path) -> list[Path]:
    """Return the files in a folder in natural order, including broken links.

    Raises
    ------
    StackError
        The folder cannot be read.
    """
    try:
        inside = sorted(folder.iterdir(), key=natural_key)
        return [path for path in inside if not path.is_dir()]
    except OSError as error:
        raise StackError(f"{folder} cannot be read: {error.strerror or error}") from error


def _is_apple_double(path: Path) -> bool:
    """Return whether a file is AppleDouble: metadata of another file, stored by macOS."""
    if not path.name.startswith("._"):
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) == _APPLE_DOUBLE
    except OSError:
        return True


def _with_folders(folder: Path) -> str:
    """Return the end of an error message: subfolders with frames, or the supported file types."""
    try:
        inside = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    except OSError:
        return ""
    with_frames = [path for path in inside if not path.name.startswith(".")]
    if not with_frames:
        return " (JPEG, PNG, TIFF, HEIF, WebP, AVIF, JPEG XL or raw)"
    return f"; for its subfolders ({with_frames[0].name} ...) use macrorail batch {folder}"


def _checked(
    files: Sequence[Path],
    passed_over: Sequence[Passed],
    doubts: Sequence[str],
    is_ordered: bool = False,
) -> FrameFiles:
    """Return the files as ordered frames, after checking that they are readable and of one size."""
    frames = [FrameFile(path) for path in files]
    passed, said = list(passed_over), list(doubts)
    pages = {path: page_count(path) for path in set(files) if kind_of(path) is TIFF}
    several = [path for path in files if pages.get(path, 1) > 1]
    if several:
        if len(files) > 1:
            raise StackError(
                f"{several[0]} contains {pages[several[0]]} pictures, but other files are given "
                f"too; stack each such file separately"
            )
        frames = [FrameFile(files[0], page) for page in range(pages[files[0]])]
    else:
        frames, odd = _of_one_size(frames)
        passed += odd
        said += _named_otherwise(frames)
        _refuse_channels(path for path in files if kind_of(path) is TIFF)
        taken, problems = _times(frames)
        said += problems
        if not is_ordered:
            order, doubtful = order_of(taken)
            frames = [frames[place] for place in order]
            said += doubtful
    size = _size(frames[0].path)
    if min(size[:2]) < SMALLEST_PX:
        raise StackError(
            f"{frames[0].path} is {size[0]} x {size[1]} px, but alignment needs frames of at "
            f"least {SMALLEST_PX} px on each side"
        )
    if len(frames) == 1:
        said.append(f"{frames[0].path.name} is the only frame, so nothing is stacked")
    return FrameFiles(tuple(frames), size, tuple(passed), tuple(said))


def _size(path: Path) -> tuple[int, int, int]:
    if path.is_symlink() and not path.exists():
        raise StackError(f"{path} is a link to a file that does not exist")
    if path.exists() and path.stat().st_size == 0:
        raise StackError(f"{path} is empty: the frame was not copied; copy it again")
    return picture_size(path)


def _of_one_size(frames: list[FrameFile]) -> tuple[list[FrameFile], list[Passed]]:
    """Return the frames of the most common size, and the files that are not frames.

    A few files of another size are not frames if they are also named differently.

    Raises
    ------
    StackError
        A frame cannot be read, or its size or bit depth differs from the other frames.
    """
    sizes = [_size(frame.path) for frame in frames]
    ((usual, count),) = Counter(sizes).most_common(1)
    odd = [frame for frame, size in zip(frames, sizes, strict=True) if size != usual]
    if not odd:
        return frames, []
    kept = [frame for frame, size in zip(frames, sizes, strict=True) if size == usual]
    series = {series_of(frame.path)[0] for frame in kept}
    first = odd[0].path
    size = sizes[frames.index(odd[0])]
    if any(series_of(one.path)[0] in series for one in odd) or len(odd) > _FEW * len(frames):
        raise StackError(
            f"{first} is {size[0]} x {size[1]} px of {size[2]} bits, but {count} frames are "
            f"{usual[0]} x {usual[1]} px of {usual[2]} bits; all frames of a stack must have the "
            f"same size"
        )
    reason = f"not a frame: the frames are {usual[0]} x {usual[1]} px of {usual[2]} bits"
    return kept, [Passed(frame.path, reason) for frame in odd]


def _refuse_channels(files: Iterable[Path]) -> None:
    """Raise an error if the files are channels or times of an OME set, not planes of one stack."""
    first: dict[tuple[int, int], Path] = {}
    for path in files:
        first.setdefault(channel_and_time(path), path)
    if len(first) > 1:
        one, two = list(first.values())[:2]
        raise StackError(
            f"{two} and {one} are different channels or times; give only files of one channel and "
            f"one time"
        )


def _named_otherwise(frames: Sequence[FrameFile]) -> list[str]:
    """Return a doubt that lists the few frames not named like most frames, or an empty list."""
    series = Counter(series_of(frame.path)[0] for frame in frames)
    ((main, count),) = series.most_common(1)
    others = [frame.path.name for frame in frames if series_of(frame.path)[0] != main]
    if count < _MAIN_SERIES or not others or len(others) > _FEW * len(frames):
        return []
    return [
        f"{', '.join(others)}: used although not named like the other {count} frames; move such "
        f"files away if they do not belong to the stack"
    ]


def _times(frames: Sequence[FrameFile]) -> tuple[list[Taken], list[str]]:
    """Return the capture time of each frame, and a doubt if colour profiles differ."""
    taken: list[Taken] = []
    profiles: dict[int, Path] = {}
    for frame in frames:
        try:
            exif = read_exif(frame.path)
        except OSError as error:
            raise StackError(f"{frame.path} cannot be read: {error.strerror or error}") from error
        # The modification time of a raw file is the time at which the camera wrote the file.
        taken.append(Taken(frame.path, exif.taken(or_changed=kind_of(frame.path) is RAW)))
        icc = exif.icc or b""
        # The profile's creation date and checksum are not compared (ICC.1, section 7.2).
        profiles.setdefault(hash((icc[:24], icc[36:84], icc[100:])), frame.path)
    if len(profiles) < 2:
        return taken, []
    one, two = list(profiles.values())[:2]
    return taken, [
        f"{two.name} and {one.name} have different colour profiles: the colours are blended "
        f"without conversion, and the result has the profile of the reference frame"
    ]
