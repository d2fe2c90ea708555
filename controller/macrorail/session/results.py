"""Results of a finished run or stack for scripts: arrays, numbers and paths."""

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
    """The result of a run that has ended.

    Attributes
    ----------
    folder
        The run folder.
    state
        Last state of the run.
    reason
        Reason for the run's end.
    manifest
        Contents of ``manifest.json``.
    callback_errors
        Exceptions that ``on_event`` raised; they did not affect the run.
    """

    folder: Path
    state: State
    reason: FinishReason
    manifest: dict[str, Any]
    callback_errors: tuple[Exception, ...] = ()

    @classmethod
    def of(cls, outcome: RunOutcome, callback_errors: tuple[Exception, ...] = ()) -> RunResult:
        """Return the result for the outcome of a run and the errors that ``on_event`` raised."""
        manifest, folder = outcome.manifest, outcome.folder
        return cls(folder, outcome.state, outcome.reason, manifest, callback_errors)

    @property
    def frames(self) -> list[Path]:
        """Paths of the frames of all finished slices, from near to far."""
        slices = sorted(self.manifest["slices"], key=lambda one: float(one["achieved_um"]))
        return [self.folder / one["frame"] for one in slices]

    @property
    def positions_um(self) -> NDArray[np.float64]:
        """Positions of :attr:`frames` in micrometres, (slices,) float64."""
        return np.array(sorted(float(one["achieved_um"]) for one in self.manifest["slices"]))

    @property
    def coverage(self) -> dict[str, Any]:
        """Coverage from the manifest: ``proven``, ``gaps``, ``near_covered`` and others.

        ``near_covered`` and ``far_covered`` say whether the ends of the range are covered;
        ``images`` is the result of comparing the images of neighbouring slices.
        """
        found: dict[str, Any] = self.manifest["coverage"]
        return found

    @property
    def picture(self) -> NDArray[np.uint16]:
        """The fused picture, (height, width, 3) uint16 RGB, sRGB-encoded.

        Raises
        ------
        StackError
            The run has no fused picture.
        """
        return np.asarray(_read(self.folder / "fused.tif"), dtype=np.uint16)

    @property
    def depth_um(self) -> NDArray[np.float32]:
        """The depth map, (height, width) float32, axis position in micrometres.

        Raises
        ------
        StackError
            The run has no depth map.
        """
        return np.asarray(_read(self.folder / "depth.tif"), dtype=np.float32)

    @property
    def confidence(self) -> NDArray[np.float32]:
        """The confidence of the depth map, (height, width) float32, 0..1.

        Raises
        ------
        StackError
            The run has no confidence map.
        """
        path = self.folder / "depth-confidence.png"
        found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
        if found is None:
            raise StackError(f"{path} is missing or cannot be read")
        most = 255.0 if found.dtype == np.uint8 else 65535.0
        return np.asarray(found / most, dtype=np.float32)


@dataclass(frozen=True)
class StackResult:
    """The result of stacking photographs.

    Attributes
    ----------
    picture
        The fused picture, (height, width, 3) uint16 RGB, sRGB-encoded, in the geometry of the
        reference frame.
    depth
        The depth map, (height, width) float32. Values are in micrometres if every frame has a
        position, otherwise in slices. ``None`` when the depth was not requested.
    confidence
        Confidence of the depth, (height, width) float32, 0..1; ``None`` when ``depth`` is ``None``.
    transforms
        (frames, 2, 3) float64. Each transform maps pixel coordinates (x, y) of a frame to those
        of the reference frame; NaN for a frame that was left out.
    valid_rect
        x, y, width and height in pixels of the area that all frames cover.
    doubts
        Possible errors in the result, one sentence each; empty when none were found.
    """

    picture: NDArray[np.uint16]
    depth: NDArray[np.float32] | None
    confidence: NDArray[np.float32] | None
    transforms: NDArray[np.float64]
    valid_rect: tuple[int, int, int, int]
    doubts: list[str]

    @classmethod
    def of(cls, stacked: Stacked) -> StackResult:
        """Return the result for a finished stack."""
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
    try:
        return np.asarray(tifffile.imread(path))
    except (OSError, ValueError) as error:  # TiffFileError is a ValueError
        raise StackError(
            f"{path} is damaged: {error}; fuse the frames again with 'macrorail stack "
            f"{path.parent}'"
        ) from error
