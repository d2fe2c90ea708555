"""Chooses one file type (such as RAW or JPEG) for all frames of a stack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from macrorail.batch.frame_order import natural_key, series_of
from macrorail.errors import StackError
from macrorail.stacking.kinds import KINDS, RAW, Kind, kind_of


@dataclass(frozen=True)
class Passed:
    """A file that is not used as a frame, and the reason."""

    path: Path
    reason: str

    def to_dict(self) -> dict[str, str]:
        """Return the file's path and the reason as JSON values."""
        return {"file": str(self.path), "reason": self.reason}


def choose_types(
    files: Sequence[Path], are_named: bool = False
) -> tuple[list[Path], list[Passed], list[str]]:
    """Choose one file for each picture, all of the type that most pictures have.

    Parameters
    ----------
    files
        The files.
    are_named
        Whether the user named each file; files of another type are then frames as well.

    Returns
    -------
    tuple
        The chosen files, the files that are passed over, and doubts.

    Raises
    ------
    StackError
        No file type can be read here, or some pictures have no file of the chosen type.
    """
    stems: dict[tuple[Path, str], dict[Kind, Path]] = {}
    passed_over: list[Passed] = []
    for path in sorted(files, key=natural_key):
        kind = kind_of(path)
        if kind is None and any(kind_of(one) is not None for one in files):
            passed_over.append(Passed(path, "no picture"))
            continue
        if kind is None:
            raise StackError(
                f"{path}: '{path.suffix}' is not a type that can be stacked; give JPEG, PNG, TIFF, "
                f"HEIF, WebP, AVIF, JPEG XL or a camera's raw files"
            )
        types = stems.setdefault((path.parent, path.stem.casefold()), {})
        if kind in types:
            passed_over.append(Passed(path, "another file of the same name is used"))
        else:
            types[kind] = path
    counts = _counts(stems)
    most = max(counts.values())
    leading = [kind for kind in KINDS if counts[kind] == most]
    readable = [kind for kind in leading if kind.obstacle() is None]
    if not readable:
        kind = leading[0]
        first = next(types[kind] for types in stems.values() if kind in types)
        raise StackError(f"{first} and {most - 1} more cannot be read: {kind.obstacle()}")
    for kind in readable:
        try:
            taken, others, doubts = _of_type(kind, list(stems.values()), are_named)
        except StackError:
            if kind is readable[-1]:
                raise
        else:
            break
    return taken, [*passed_over, *others], doubts


def _of_type(
    kind: Kind, pictures: list[dict[Kind, Path]], are_named: bool
) -> tuple[list[Path], list[Passed], list[str]]:
    """Choose the files of one type; ``pictures`` are the paths by type of each picture.

    Returns and errors are those of :func:`choose_types`.
    """
    passed_over = [
        Passed(path, f"the {types[kind].suffix} of the same picture is used")
        for types in pictures
        if kind in types
        for one, path in types.items()
        if one is not kind
    ]
    taken = [types[kind] for types in pictures if kind in types]
    rest = [types for types in pictures if kind not in types]
    added = _without_that_type(kind, taken, rest, passed_over, are_named)
    doubts = []
    if added:
        doubts.append(
            f"frames are of several types: {len(taken)} {kind.name}, and {added[0].name}"
            + (f" and {len(added) - 1} more" if len(added) > 1 else "")
        )
    return sorted([*taken, *added], key=natural_key), passed_over, doubts


def _counts(stems: dict[tuple[Path, str], dict[Kind, Path]]) -> Counter[Kind]:
    """Return the number of files of each type, among pictures with the most common form of name."""
    named = {
        key: (key[0], series_of(next(iter(types.values())))[0]) for key, types in stems.items()
    }
    ((main, count),) = Counter(named.values()).most_common(1)
    return Counter(
        kind for key, types in stems.items() for kind in types if count == 1 or named[key] == main
    )


def _without_that_type(
    kind: Kind,
    taken: list[Path],
    rest: list[dict[Kind, Path]],
    passed_over: list[Passed],
    are_named: bool,
) -> list[Path]:
    """Return the files to use for pictures without a file of the chosen type.

    Files of such pictures that are not used are added to ``passed_over``.
    """
    series = {(path.parent, series_of(path)[0]) for path in taken}
    lost: list[dict[Kind, Path]] = []
    others: list[dict[Kind, Path]] = []
    for types in rest:
        path = next(types[one] for one in KINDS if one in types)
        (lost if (path.parent, series_of(path)[0]) in series else others).append(types)
    if len(others) * 2 >= len(taken):  # too many files to be unrelated to the stack
        lost, others = [*lost, *others], []
        if not are_named:
            raise _mixed(kind, taken, lost)
    added = []
    for types in lost:
        fits = [one for one in KINDS if one in types and one is not RAW and one.obstacle() is None]
        if kind is RAW or not fits:
            raise _mixed(kind, taken, lost)
        added.append(types[fits[0]])
    for path in (path for types in others for path in types.values()):
        one = kind_of(path)
        why = None if one is None else one.obstacle()
        passed_over.append(Passed(path, why or f"not a frame: the frames are {kind.name} files"))
    return added


def _mixed(kind: Kind, taken: list[Path], lost: list[dict[Kind, Path]]) -> StackError:
    names = [path.name for types in lost for path in types.values()]
    return StackError(
        f"{taken[0].parent}: {len(taken)} frames are {kind.name} files, but "
        f"{', '.join(names[:3])}{' ...' if len(names) > 3 else ''} ({len(lost)} in all) have no "
        f"{kind.name} file. Give frames of one type, or move away the files that do not belong "
        f"to the stack"
    )
