"""Real photographs, where they are: set MACRORAIL_STACKS to a folder of stacks, one folder each."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from macrorail.stacking.images import is_picture, read_picture
from macrorail.stacking.stacker import Stacker

STACKS = os.environ.get("MACRORAIL_STACKS")
# Seen coarsely, neighbouring slices differ little; where they are a few pixels astray they do.
_COARSE_PX = 500
_LEAST_CORRELATION = {
    "cmcg_ring": 0.996,
    "newto": 0.997,
    "pcb_depthmap": 0.97,
    "pcb_small": 0.97,
}

pytestmark = pytest.mark.skipif(
    STACKS is None, reason="MACRORAIL_STACKS does not name a folder of real stacks"
)


def seen_from_reference(path: Path, transform: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """A frame laid on the reference, grey and small; NaN where it does not reach."""
    picture = read_picture(path)
    height, width = picture.shape[:2]
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
    laid = cv2.warpAffine(
        grey, transform, (width, height), borderMode=cv2.BORDER_CONSTANT, borderValue=np.nan
    )
    factor = _COARSE_PX / width
    return np.asarray(
        cv2.resize(laid, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.float32
    )


@pytest.mark.parametrize("name", sorted(_LEAST_CORRELATION))
def test_neighbours_lie_on_each_other(name: str) -> None:
    assert STACKS is not None
    paths = sorted(path for path in (Path(STACKS) / name).iterdir() if is_picture(path))
    stacker = Stacker()
    transforms = [stacker.add(path).transform for path in paths]
    laid = [seen_from_reference(*pair) for pair in zip(paths, transforms, strict=True)]
    correlations = []
    for one, other in pairwise(laid):
        both = ~(np.isnan(one) | np.isnan(other))
        correlations.append(float(np.corrcoef(one[both], other[both])[0, 1]))
    print(name, [round(correlation, 4) for correlation in correlations])
    assert min(correlations) > _LEAST_CORRELATION[name]
