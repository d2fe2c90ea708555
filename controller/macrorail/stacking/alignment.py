"""A saved alignment, used to stack other frames of the same slices with the same transforms.

Frames of the same slices under another light show other edges, but their transforms are the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from macrorail.errors import StackError

Transform = NDArray[np.float64]
#: File in the folder of a run whose frames are stacked with the alignment of another run.
ALIGNMENT = "alignment.json"


@dataclass(frozen=True)
class FrameTransform:
    """How one frame is aligned to the reference.

    Attributes
    ----------
    transform
        (2, 3) float64: frame pixel coordinates to reference pixel coordinates.
    correlation
        Correlation of fine detail with the neighbouring frame it was aligned to, -1..1.
    expected
        True when the transform was predicted from the steady course of the axis, not measured.
    trust
        How far the transform can be trusted, 0..1; ``None`` when the trust is not known.
    """

    transform: Transform
    correlation: float
    expected: bool
    trust: float | None = None


@dataclass(frozen=True)
class Alignment:
    """How the frames of a stack are aligned to its reference.

    Attributes
    ----------
    frames
        Transform of each frame by slice index, in the order of fusion.
    size
        (width, height) of the frames in pixels; ``None`` when it is not known.
    """

    frames: Mapping[int, FrameTransform]
    size: tuple[int, int] | None = None

    def of_slices(self, indices: Sequence[int]) -> Alignment:
        """Return this alignment for frames with the slice numbers ``indices``.

        Frames are matched by slice index if the alignment has all of the indices. Otherwise they
        are matched in order, if there are as many frames as in the alignment.

        Raises
        ------
        StackError
            The alignment has neither all of these indices nor as many frames as there are indices.
        """
        if all(index in self.frames for index in indices):
            return Alignment({index: self.frames[index] for index in indices}, self.size)
        if len(indices) != len(self.frames):
            raise StackError(
                f"the alignment has {len(self.frames)} frames and there are {len(indices)} to "
                f"stack; "
                f"give one frame for each, in the same order"
            )
        pairs = zip(sorted(indices), sorted(self.frames), strict=True)
        return Alignment({index: self.frames[known] for index, known in pairs}, self.size)

    def on(self, index: int, reference: int, name: str) -> FrameTransform:
        """Return the transform from frame ``index`` to ``reference``; errors contain ``name``.

        Raises
        ------
        StackError
            The alignment has no such frame.
        """
        known, onto = self.frames.get(index), self.frames.get(reference)
        if known is None or onto is None:
            raise StackError(
                f"{name}: the alignment has no slice {index}; align this stack by itself"
            )
        if index == reference:
            return replace(known, transform=np.eye(2, 3), correlation=1.0)
        if np.array_equal(onto.transform, np.eye(2, 3)):
            return known
        square = [np.vstack([one.transform, [0, 0, 1]]) for one in (onto, known)]
        return replace(known, transform=np.linalg.solve(*square)[:2])


def save_alignment(path: Path, alignment: Alignment) -> None:
    """Write an alignment as JSON; :func:`load_alignment` reads exactly the same values.

    Raises
    ------
    StackError
        The file cannot be written.
    """
    frames = [
        {
            "slice": index,
            "transform": one.transform.tolist(),
            "correlation": one.correlation,
            "expected": one.expected,
            "trust": one.trust,
        }
        for index, one in alignment.frames.items()
    ]
    size = None if alignment.size is None else list(alignment.size)
    try:
        path.write_text(json.dumps({"size_px": size, "frames": frames}, indent=1) + "\n")
    except OSError as error:
        raise StackError(f"{path} cannot be written: {error.strerror}") from error


def load_alignment(path: Path) -> Alignment:
    """Read an alignment written by :func:`save_alignment`.

    Raises
    ------
    StackError
        The file is unreadable or is not an alignment; the message names the file.
    """
    try:
        facts = json.loads(path.read_text())
        size = facts["size_px"]
        frames = frame_transforms(facts["frames"], "slice")
        return Alignment(frames, None if size is None else (int(size[0]), int(size[1])))
    except OSError as error:
        raise StackError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StackError(
            f"{path} is not an alignment as 'macrorail stack --save-alignment' writes it: {error!r}"
        ) from error


def frame_transforms(
    records: Iterable[Mapping[str, object]], index_key: str
) -> dict[int, FrameTransform]:
    """Return frame transforms from records, by the slice index in each record.

    Each record has ``transform``, ``correlation``, ``expected`` and optionally ``trust``.

    Raises
    ------
    ValueError, KeyError, TypeError
        A record lacks a value, or a value has the wrong type or shape.
    """
    found = {}
    for record in records:
        transform = np.asarray(record["transform"], np.float64)
        if transform.shape != (2, 3) or not np.isfinite(transform).all():
            raise ValueError(f"a transform of shape {transform.shape}")
        index, correlation = record[index_key], record["correlation"]
        if not isinstance(index, int) or not isinstance(correlation, int | float):
            raise TypeError(f"slice {index!r}, correlation {correlation!r}")
        trust = record.get("trust")
        if trust is not None and not isinstance(trust, int | float):
            raise TypeError(f"slice {index!r}, trust {trust!r}")
        found[index] = FrameTransform(
            transform, float(correlation), bool(record["expected"]), trust
        )
    return found
