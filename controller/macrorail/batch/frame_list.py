"""Decides which files are the frames of a stack, for `stack`, `batch` and `batch --watch` alike.

Hidden files and macrorail's own results are never frames. Of several files of one picture (RAW and
JPEG) one is taken, of the same type throughout the stack. Everything that is not taken is listed
with its reason; where frames would be lost, the stack is refused.
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
    """A file of a frame, with the page in it where it holds several."""

    path: Path
    page: int | None = None


@dataclass(frozen=True)
class FrameFiles:
    """The frames of one stack in the order in which they were taken.

    Attributes
    ----------
    frames
        At least one.
    size
        Width, height and bits per channel of each.
    passed_over
        Files that were not taken.
    doubts
        One sentence for each thing that may not be as it should.
    """

    frames: tuple[FrameFile, ...]
    size: tuple[int, int, int]
    passed_over: tuple[Passed, ...] = ()
    doubts: tuple[str, ...] = ()


@dataclass
class Picked:
    """Files that may be frames, and those that are not."""

    files: list[Path] = field(default_factory=list)
    passed_over: list[Passed] = field(default_factory=list)


def frames_in(folders: Sequence[Path], output: Path | None = None) -> FrameFiles:
    """The frames in one folder, or in several that a camera filled one after the other.

    Parameters
    ----------
    output
        Where the result goes: never a frame.

    Raises
    ------
    ConfigError
        No frames there.
    StackError
        A folder or frame cannot be read, or frames would be lost; names files and the way out.
    """
    inside = [path for folder in folders for path in files_in(folder)]
    picked = pick(inside, output)
    if not picked.files:
        own = [one.path.name for one in picked.passed_over if one.reason == _OWN]
        only = f", only results of macrorail ({own[0]}); give them as files" if own else ""
        raise ConfigError(f"{folders[0]} holds no pictures{only or _with_folders(folders[0])}")
    chosen, passed_over, doubts = choose_types(picked.files)
    return _checked(chosen, [*picked.passed_over, *passed_over], doubts)


def frames_named(files: Sequence[Path], output: Path | None = None) -> FrameFiles:
    """The frames among files that were named one by one, or by a pattern.

    Files in sorted order, as a shell's pattern gives them, are put in the order in which they were
    taken; any other order is kept.

    Raises
    ------
    ConfigError
        The result would replace one of the frames, or nothing is left to stack.
    StackError
        As :func:`frames_in`.
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
    """Sort out hidden files, macrorail's own results and what is no picture.

    Parameters
    ----------
    are_named
        The user named each of them: dot files are taken, and results where nothing else is given,
        since slabs are stacked again.
    are_known
        Files that were looked at before and are no results.

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
    """Lines for people: each reason with its files."""
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
    """The files without links to others of them; those are passed over."""
    real = {path.resolve() for path in files if not path.is_symlink()}
    kept = []
    for path in files:
        if path.is_symlink() and path.resolve() in real:
            passed_over.append(Passed(path, f"a link to {path.resolve().name}"))
        else:
            kept.append(path)
    return kept


def files_in(folder: Path) -> list[Path]:
    """The files in a folder, in natural order; links that lead nowhere are among them.

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
    """Whether macOS keeps the metadata of another file in it."""
    if not path.name.startswith("._"):
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) == _APPLE_DOUBLE
    except OSError:
        return True


def _with_folders(folder: Path) -> str:
    """Where frames may be instead."""
    try:
        inside = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    except OSError:
        return ""
    with_frames = [path for path in inside if not path.name.startswith(".")]
    if not with_frames:
        return " (JPEG, PNG, TIFF, HEIF, WebP, AVIF, JPEG XL or raw)"
    return f"; for the folders in it ({with_frames[0].name} ...) use macrorail batch {folder}"


def _checked(
    files: Sequence[Path],
    passed_over: Sequence[Passed],
    doubts: Sequence[str],
    is_ordered: bool = False,
) -> FrameFiles:
    """Put files in order, and see that each can be read and fits the others."""
    frames = [FrameFile(path) for path in files]
    passed, said = list(passed_over), list(doubts)
    pages = {path: page_count(path) for path in set(files) if kind_of(path) is TIFF}
    several = [path for path in files if pages.get(path, 1) > 1]
    if several:
        if len(files) > 1:
            raise StackError(
                f"{several[0]} holds {pages[several[0]]} pictures, and there are other files; "
                f"stack each such file by itself"
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
            f"{frames[0].path} is {size[0]} x {size[1]} px; frames need at least {SMALLEST_PX} px "
            f"a side to be aligned"
        )
    if len(frames) == 1:
        said.append(f"{frames[0].path.name} is the only frame: there is nothing to stack it with")
    return FrameFiles(tuple(frames), size, tuple(passed), tuple(said))


def _size(path: Path) -> tuple[int, int, int]:
    if path.is_symlink() and not path.exists():
        raise StackError(f"{path} is a link to a file that does not exist")
    if path.exists() and path.stat().st_size == 0:
        raise StackError(f"{path} is empty: the frame was not copied; copy it again")
    return picture_size(path)


def _of_one_size(frames: list[FrameFile]) -> tuple[list[FrameFile], list[Passed]]:
    """The frames of the usual size; a few others that are named differently are no frames.

    Raises
    ------
    StackError
        A frame cannot be read, or has another size or depth than the others.
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
            f"{first} is {size[0]} x {size[1]} px of {size[2]} bits, and {count} frames are "
            f"{usual[0]} x {usual[1]} px of {usual[2]} bits; a stack has frames of one size"
        )
    reason = f"no frame: not {usual[0]} x {usual[1]} px of {usual[2]} bits as the frames are"
    return kept, [Passed(frame.path, reason) for frame in odd]


def _refuse_channels(files: Iterable[Path]) -> None:
    """Refuse files that are channels or times of one OME set, not planes of one stack."""
    first: dict[tuple[int, int], Path] = {}
    for path in files:
        first.setdefault(channel_and_time(path), path)
    if len(first) > 1:
        one, two = list(first.values())[:2]
        raise StackError(
            f"{two} is of another channel or time than {one}; give the files of one channel and "
            f"one time"
        )


def _named_otherwise(frames: Sequence[FrameFile]) -> list[str]:
    """A doubt about a few frames that do not belong to the others' count."""
    series = Counter(series_of(frame.path)[0] for frame in frames)
    ((main, count),) = series.most_common(1)
    others = [frame.path.name for frame in frames if series_of(frame.path)[0] != main]
    if count < _MAIN_SERIES or not others or len(others) > _FEW * len(frames):
        return []
    return [
        f"{', '.join(others)}: taken as a frame, though not named like the other {count}; move it "
        f"away if it does not belong to the stack"
    ]


def _times(frames: Sequence[FrameFile]) -> tuple[list[Taken], list[str]]:
    """When each frame was taken; says where their colours are meant in different profiles."""
    taken: list[Taken] = []
    profiles: dict[int, Path] = {}
    for frame in frames:
        try:
            exif = read_exif(frame.path)
        except OSError as error:
            raise StackError(f"{frame.path} cannot be read: {error.strerror or error}") from error
        # A raw file's last change is when the camera wrote it.
        taken.append(Taken(frame.path, exif.taken(or_changed=kind_of(frame.path) is RAW)))
        icc = exif.icc or b""
        # Not when it was made, nor its checksum (ICC.1, section 7.2).
        profiles.setdefault(hash((icc[:24], icc[36:84], icc[100:])), frame.path)
    if len(profiles) < 2:
        return taken, []
    one, two = list(profiles.values())[:2]
    return taken, [
        f"{two.name} has another colour profile than {one.name}: their colours are mixed as they "
        f"are, and the result has the profile of the reference frame"
    ]
