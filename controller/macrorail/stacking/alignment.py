"""One alignment, kept: to stack other frames of the same slices, or some of them, alike.

Frames of the same slices under another light show other edges, but they lie as the first set does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from macrorail.errors import StackError

Transform = NDArray[np.float64]
#: In the folder of a run whose frames are to be laid as another run's were.
ALIGNMENT = "alignment.json"


@dataclass(frozen=True)
class Lie:
    """How one frame lies.

    Attributes
    ----------
    transform
        (2, 3) float64: frame pixel coordinates to reference pixel coordinates.
    correlation
        Of fine detail with the neighbour it was aligned to, -1..1.
    expected
        True when the axis's steady course decided.
    """

    transform: Transform
    correlation: float
    expected: bool


@dataclass(frozen=True)
class Alignment:
    """How the frames of a stack lie on its reference.

    Attributes
    ----------
    lies
        By slice index, in the order of fusion.
    size
        (width, height) of the frames, pixels; ``None`` when it is not known.
    """

    lies: Mapping[int, Lie]
    size: tuple[int, int] | None = None

    def of_slices(self, indices: Sequence[int]) -> Alignment:
        """The same for frames that go by ``indices``: by index when all are known, otherwise,
        for as many frames as there are here, each in its place.

        Raises
        ------
        StackError
            Neither fits.
        """
        if all(index in self.lies for index in indices):
            return Alignment({index: self.lies[index] for index in indices}, self.size)
        if len(indices) != len(self.lies):
            raise StackError(
                f"the alignment has {len(self.lies)} frames and there are {len(indices)} to stack; "
                f"give one frame for each, in the same order"
            )
        pairs = zip(sorted(indices), sorted(self.lies), strict=True)
        return Alignment({index: self.lies[known] for index, known in pairs}, self.size)

    def on(self, index: int, reference: int, name: str) -> Lie:
        """How frame ``index`` lies on frame ``reference``; ``name`` is what errors call it.

        Raises
        ------
        StackError
            The alignment has no such frame.
        """
        lie, onto = self.lies.get(index), self.lies.get(reference)
        if lie is None or onto is None:
            raise StackError(f"{name}: the alignment has no slice {index}; align this stack anew")
        if index == reference:
            return Lie(np.eye(2, 3), 1.0, lie.expected)
        if np.array_equal(onto.transform, np.eye(2, 3)):
            return lie
        square = [np.vstack([one.transform, [0, 0, 1]]) for one in (onto, lie)]
        return Lie(np.linalg.solve(*square)[:2], lie.correlation, lie.expected)


def save_alignment(path: Path, alignment: Alignment) -> None:
    """Write an alignment as JSON; :func:`load_alignment` gives the same numbers back.

    Raises
    ------
    StackError
        The file cannot be written.
    """
    frames = [
        {
            "slice": index,
            "transform": lie.transform.tolist(),
            "correlation": lie.correlation,
            "expected": lie.expected,
        }
        for index, lie in alignment.lies.items()
    ]
    size = None if alignment.size is None else list(alignment.size)
    try:
        path.write_text(json.dumps({"size_px": size, "frames": frames}, indent=1) + "\n")
    except OSError as error:
        raise StackError(f"{path} cannot be written: {error.strerror}") from error


def load_alignment(path: Path) -> Alignment:
    """Read what :func:`save_alignment` has written.

    Raises
    ------
    StackError
        Unreadable, or not an alignment; names the file.
    """
    try:
        facts = json.loads(path.read_text())
        size = facts["size_px"]
        lies = lies_of(facts["frames"], "slice")
        return Alignment(lies, None if size is None else (int(size[0]), int(size[1])))
    except OSError as error:
        raise StackError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StackError(
            f"{path} is not an alignment as 'macrorail stack --save-alignment' writes it: {error!r}"
        ) from error


def lies_of(records: Iterable[Mapping[str, object]], index_key: str) -> dict[int, Lie]:
    """Lies from records with ``transform``, ``correlation`` and ``expected``.

    Raises
    ------
    ValueError, KeyError, TypeError
        A record lacks one, or its transform is not (2, 3).
    """
    lies = {}
    for record in records:
        transform = np.asarray(record["transform"], np.float64)
        if transform.shape != (2, 3) or not np.isfinite(transform).all():
            raise ValueError(f"a transform of shape {transform.shape}")
        index, correlation = record[index_key], record["correlation"]
        if not isinstance(index, int) or not isinstance(correlation, int | float):
            raise TypeError(f"slice {index!r}, correlation {correlation!r}")
        lies[index] = Lie(transform, float(correlation), bool(record["expected"]))
    return lies
