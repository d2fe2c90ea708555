"""The large forms of two frames compared: how bright is one against the other, what has changed?

Seen some sixty pixels wide, frames differ little by their focus. What remains tells a frame that a
hand covers, that the flash did not light, or that shows something else.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from macrorail.stacking.register import Transform

Forms = NDArray[np.float32]

# Long side of the forms, pixels.
_LONG_SIDE_PX = 60
_GAMMA = 2.2
# 8-bit display values between which a pixel tells how bright a frame is.
_DARKEST, _BRIGHTEST = 12.0, 240.0
# Difference of brightness, in 8-bit display steps, that a change of focus does not make.
_CHANGED = 45.0
# Defocus spreads light: what is compared is spread as far, in pixels of the forms.
_SPREAD_PX = 1.2
_WHITE = 250.0
_LEAST_LIGHT = 1e-6
# Edges move a little from frame to frame; what covers a part of one is wider than this.
_BLOB_PX = 6


@dataclass(frozen=True)
class Comparison:
    """One frame's large forms against another's, where both show them.

    Attributes
    ----------
    stops
        By how many stops the moving frame is brighter; 0 where nothing tells.
    blown
        Share, 0..1, of what the fixed frame shows well exposed and the moving one white.
    changed
        Share of the common ground, 0..1, that looks different once both are as bright.
    likeness
        Correlation, -1..1; 0 where one of them has no forms.
    """

    stops: float
    blown: float
    changed: float
    likeness: float


def forms_of(small: NDArray[np.float32]) -> Forms:
    """A grey picture (height, width), 8-bit display steps, at the size of its large forms."""
    factor = max(small.shape) / _LONG_SIDE_PX
    size = (max(1, round(small.shape[1] / factor)), max(1, round(small.shape[0] / factor)))
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA), np.float32)


def compare_forms(
    fixed: Forms, moving: Forms, warp: Transform, size: tuple[int, ...]
) -> Comparison:
    """Compare the forms of two frames.

    Parameters
    ----------
    warp
        (3, 3), fixed to moving, in pixels of pictures of ``size`` (height, width).
    """
    to_form = np.diag([fixed.shape[1] / size[1], fixed.shape[0] / size[0], 1.0])
    warp = to_form @ warp @ np.linalg.inv(to_form)
    height, width = fixed.shape
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_REPLICATE
    laid: Forms = np.asarray(
        cv2.warpAffine(moving, warp[:2], (width, height), flags=flags, borderMode=border),
        np.float32,
    )
    common = cv2.warpAffine(np.ones_like(moving), warp[:2], (width, height), flags=flags) > 0.99
    if not common.any():
        return Comparison(0.0, 0.0, 1.0, 0.0)
    light, other = (np.asarray(np.power(each / 255, _GAMMA), np.float32) for each in (fixed, laid))
    stops = _stops(fixed, light, laid, other, common)
    # The brighter one is brought down, so that both are clipped alike.
    shown = [
        255 * np.power(np.clip(each, 0, 1), 1 / _GAMMA)
        for each in (light / 2 ** max(-stops, 0), other / 2 ** max(stops, 0))
    ]
    clipped = (np.maximum(fixed, laid) > _BRIGHTEST) & (abs(stops) > 0.5)
    one, two = (cv2.GaussianBlur(each, (0, 0), _SPREAD_PX) for each in shown)
    judged = common & ~clipped
    changed = max(_blobs((two - one > _CHANGED) & judged), _blobs((one - two > _CHANGED) & judged))
    deviations = [each[common] - each[common].mean() for each in shown]
    energy = float((deviations[0] ** 2).sum()) * float((deviations[1] ** 2).sum())
    likeness = float((deviations[0] * deviations[1]).sum()) / max(energy, 1e-12) ** 0.5
    return Comparison(stops, _blown(fixed, laid, common), changed / int(common.sum()), likeness)


def _blobs(mask: NDArray[np.bool_]) -> int:
    """Pixels of a mask that belong to something wide."""
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_BLOB_PX, _BLOB_PX))
    return int(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, brush).sum())


def _stops(
    fixed: Forms, light: Forms, laid: Forms, other: Forms, common: NDArray[np.bool_]
) -> float:
    """By how many stops ``laid`` is brighter than ``fixed``."""
    found = []
    for shown, of_shown, of_other, sign in ((fixed, light, other, 1), (laid, other, light, -1)):
        exposed = common & (shown > _DARKEST) & (shown < _BRIGHTEST)
        if exposed.sum() >= max(8, common.sum() // 50):
            ratio = np.median(np.maximum(of_other[exposed], _LEAST_LIGHT) / of_shown[exposed])
            found.append(sign * float(np.log2(ratio)))
    # What covers a part of one frame changes one of the two; the exposure changes both.
    return min(found, key=abs, default=0.0)


def _blown(fixed: Forms, laid: Forms, common: NDArray[np.bool_]) -> float:
    """Share of what is well exposed in ``fixed`` and white in ``laid``."""
    exposed = common & (fixed > _DARKEST) & (fixed < _BRIGHTEST)
    return float((laid[exposed] > _WHITE).mean()) if exposed.any() else 0.0
