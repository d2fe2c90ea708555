"""What a finished run or stack gives a script: arrays, figures and paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from macrorail.errors import StackError
from macrorail.session.run import RunOutcome
from macrorail.session.stack import Stacked
from macrorail.states import FinishReason, State


@dataclass(frozen=True)
class RunResult:
    """A run that has ended.

    Attributes
    ----------
    folder
        The run folder.
    state, reason
        How it ended.
    manifest
        What is in ``manifest.json``.
    callback_errors
        What ``on_event`` raised; the run was not affected.
    """

    folder: Path
    state: State
    reason: FinishReason
    manifest: dict[str, Any]
    callback_errors: tuple[Exception, ...] = ()

    @classmethod
    def of(cls, outcome: RunOutcome, callback_errors: tuple[Exception, ...] = ()) -> RunResult:
        """The result of a run that the session layer has carried out."""
        manifest, folder = outcome.manifest, outcome.folder
        return cls(folder, outcome.state, outcome.reason, manifest, callback_errors)

    @property
    def frames(self) -> list[Path]:
        """The frame of each finished slice, from near to far."""
        slices = sorted(self.manifest["slices"], key=lambda one: float(one["achieved_um"]))
        return [self.folder / one["frame"] for one in slices]

    @property
    def positions_um(self) -> NDArray[np.float64]:
        """(slices,) float64: where each of :attr:`frames` was shot, micrometres."""
        return np.array(sorted(float(one["achieved_um"]) for one in self.manifest["slices"]))

    @property
    def coverage(self) -> dict[str, Any]:
        """``proven``, ``gaps``, ``near_covered``, ``far_covered`` and ``images``."""
        found: dict[str, Any] = self.manifest["coverage"]
        return found

    @property
    def picture(self) -> NDArray[np.uint16]:
        """The fused picture: (height, width, 3) uint16 RGB, sRGB-encoded.

        Raises
        ------
        StackError
            The run has none.
        """
        return np.asarray(_read(self.folder / "fused.tif"), dtype=np.uint16)

    @property
    def depth_um(self) -> NDArray[np.float32]:
        """The depth map: (height, width) float32, micrometres on the axis.

        Raises
        ------
        StackError
            The run has none.
        """
        return np.asarray(_read(self.folder / "depth.tif"), dtype=np.float32)

    @property
    def confidence(self) -> NDArray[np.float32]:
        """How far the depth can be trusted: (height, width) float32, 0..1.

        Raises
        ------
        StackError
            The run has none.
        """
        path = self.folder / "depth-confidence.png"
        found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
        if found is None:
            raise StackError(f"{path} is not there or cannot be read")
        most = 255.0 if found.dtype == np.uint8 else 65535.0
        return np.asarray(found / most, dtype=np.float32)


@dataclass(frozen=True)
class StackResult:
    """Photographs that have been stacked.

    Attributes
    ----------
    picture
        (height, width, 3) uint16 RGB, sRGB-encoded, in the reference frame's geometry.
    depth
        (height, width) float32: micrometres where every frame came with a position, otherwise
        slices; ``None`` when it was not asked for.
    confidence
        (height, width) float32, 0..1; ``None`` with ``depth``.
    transforms
        (frames, 2, 3) float64: pixel coordinates (x, y) of each frame to the reference's; not a
        number where the frame was left out.
    valid_rect
        (x, y, width, height) of what every frame covers.
    doubts
        What may be wrong, in words; empty when nothing is.
    """

    picture: NDArray[np.uint16]
    depth: NDArray[np.float32] | None
    confidence: NDArray[np.float32] | None
    transforms: NDArray[np.float64]
    valid_rect: tuple[int, int, int, int]
    doubts: list[str]

    @classmethod
    def of(cls, stacked: Stacked) -> StackResult:
        """The result of a stack that the session layer has made."""
        fused = stacked.fused
        mapped = fused.depth_map
        return cls(
            np.ascontiguousarray(fused.image[..., ::-1]),
            None if mapped is None else fused.depth,
            None if mapped is None else fused.confidence,
            np.array(
                [
                    np.full((2, 3), np.nan) if report is None else report.transform
                    for report in stacked.reports
                ]
            ),
            fused.valid_rect,
            stacked.doubts,
        )


def _read(path: Path) -> NDArray[Any]:
    if not path.is_file():
        raise StackError(f"{path.parent} has no {path.name}: the run did not finish its picture")
    return np.asarray(tifffile.imread(path))
