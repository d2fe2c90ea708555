"""Compares the large forms of two frames: their brightness, and what has changed.

Reduced to some sixty pixels, frames differ little by their focus. Larger differences show that a
frame was covered by a hand, not lit by the flash, or shows something else.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from macrorail.stacking.register import Transform

Plane = NDArray[np.float32]

# Long side of the reduced picture, pixels.
_LONG_SIDE_PX = 60
_GAMMA = 2.2
# Range of 8-bit display values in which a pixel is used to measure how bright a frame is.
_DARKEST, _BRIGHTEST = 12.0, 240.0
# Difference of brightness, in 8-bit display steps, larger than any caused by a change of focus.
_CHANGED = 45.0
# Defocus spreads light, so both pictures are blurred by this, in pixels of the reduced picture.
_SPREAD_PX = 1.2
_WHITE = 250.0
_LEAST_LIGHT = 1e-6
# Edges move a little from frame to frame; an object that covers part of a frame is wider than this.
_BLOB_PX = 6
# Smallest detail that counts, and factor by which it is smaller where something hides it.
_DETAIL = 0.02
_LESS_DETAIL = 4.0
# Smallest share of a pixel that must be covered by the frame.
_REACHED = 0.99


@dataclass(frozen=True)
class Forms:
    """The large forms of a frame.

    Attributes
    ----------
    grey
        (height, width), 8-bit display steps.
    detail
        (height, width), amount of fine detail: mean square of the normalised picture.
    """

    grey: Plane
    detail: Plane


@dataclass(frozen=True)
class Comparison:
    """Comparison of the large forms of two frames, in the area that both show.

    Attributes
    ----------
    stops
        How many stops brighter the moving frame is; 0 if that cannot be measured.
    blown
        Share, 0..1, of the area well exposed in the fixed frame that is white in the moving frame.
    changed
        Share, 0..1, of the common area that looks different after adjusting the brightness.
    hidden
        Share, 0..1, of the changed area where one frame shows detail and the other none.
    likeness
        Correlation, -1..1; 0 if one of the frames has no forms.
    """

    stops: float
    blown: float
    changed: float
    hidden: float
    likeness: float


def forms_of(small: Plane, even: Plane) -> Forms:
    """Return a picture's large forms from its grey (8-bit display steps) and normalised form."""
    factor = max(small.shape) / _LONG_SIDE_PX
    size = (max(1, round(small.shape[1] / factor)), max(1, round(small.shape[0] / factor)))
    grey, detail = (
        np.asarray(cv2.resize(each, size, interpolation=cv2.INTER_AREA), np.float32)
        for each in (small, even * even)
    )
    return Forms(grey, detail)


def compare_forms(
    fixed: Forms, moving: Forms, warp: Transform, size: tuple[int, ...]
) -> Comparison:
    """Compare the large forms of two frames.

    Parameters
    ----------
    warp
        (3, 3) transform from fixed to moving, in pixels of pictures of ``size`` (height, width).
    """
    height, width = fixed.grey.shape
    to_form = np.diag([width / size[1], height / size[0], 1.0])
    warp = to_form @ warp @ np.linalg.inv(to_form)
    flags, border = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE
    laid, detail = (
        np.asarray(
            cv2.warpAffine(each, warp[:2], (width, height), flags=flags, borderMode=border),
            np.float32,
        )
        for each in (moving.grey, moving.detail)
    )
    reached = cv2.warpAffine(np.ones_like(moving.grey), warp[:2], (width, height), flags=flags)
    common = reached > _REACHED
    if not common.any():
        return Comparison(0.0, 0.0, 1.0, 0.0, 0.0)
    here = fixed.grey
    light, other = (np.asarray(np.power(each / 255, _GAMMA), np.float32) for each in (here, laid))
    stops = _stops(here, light, laid, other, common)
    # The brighter picture is darkened, so that both are clipped alike.
    shown = [
        255 * np.power(np.clip(each, 0, 1), 1 / _GAMMA)
        for each in (light / 2 ** max(-stops, 0), other / 2 ** max(stops, 0))
    ]
    clipped = (np.maximum(here, laid) > _BRIGHTEST) & (abs(stops) > 0.5)
    one, two = (cv2.GaussianBlur(each, (0, 0), _SPREAD_PX) for each in shown)
    judged = common & ~clipped
    brighter, darker = (_blobs((each > _CHANGED) & judged) for each in (two - one, one - two))
    changed = max(brighter, darker, key=np.count_nonzero)
    most, least = np.maximum(fixed.detail, detail), np.minimum(fixed.detail, detail)
    hidden = (most > _DETAIL) & (least < most / _LESS_DETAIL)
    deviations = [each[common] - each[common].mean() for each in shown]
    energy = float((deviations[0] ** 2).sum()) * float((deviations[1] ** 2).sum())
    likeness = float((deviations[0] * deviations[1]).sum()) / max(energy, 1e-12) ** 0.5
    return Comparison(
        stops,
        _blown(here, laid, common),
        float(changed.sum() / common.sum()),
        float(hidden[changed].mean()) if changed.any() else 0.0,
        likeness,
    )


def _blobs(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask without its narrow parts."""
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_BLOB_PX, _BLOB_PX))
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, brush)
    return np.asarray(opened) > 0


def _stops(
    fixed: Plane, light: Plane, laid: Plane, other: Plane, common: NDArray[np.bool_]
) -> float:
    """Return how many stops brighter ``laid`` is than ``fixed``."""
    found = []
    for shown, of_shown, of_other, sign in ((fixed, light, other, 1), (laid, other, light, -1)):
        exposed = common & (shown > _DARKEST) & (shown < _BRIGHTEST)
        if exposed.sum() >= max(8, common.sum() // 50):
            ratio = np.median(np.maximum(of_other[exposed], _LEAST_LIGHT) / of_shown[exposed])
            found.append(sign * float(np.log2(ratio)))
    # An object that covers part of a frame changes part of the picture; exposure changes all of it.
    return min(found, key=abs, default=0.0)


def _blown(fixed: Plane, laid: Plane, common: NDArray[np.bool_]) -> float:
    """Return the share of the area well exposed in ``fixed`` that is white in ``laid``."""
    exposed = common & (fixed > _DARKEST) & (fixed < _BRIGHTEST)
    return float((laid[exposed] > _WHITE).mean()) if exposed.any() else 0.0
