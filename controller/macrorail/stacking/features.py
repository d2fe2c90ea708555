"""The global step of alignment: matches features between two pictures, wherever they are.

This step needs no initial guess. It is used where following detail from a guess fails: after a
rotation, a large shift, or a jump of the focus. SIFT features (Lowe, "Distinctive image features
from scale-invariant keypoints", 2004) are found in the small grey pictures. RANSAC (Fischler and
Bolles, 1981) finds the similarity transform that most matches support.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from macrorail.stacking.register import Transform

# Long side of the picture in which features are searched for, pixels.
_LONGEST_PX = 1000
_MOST_FEATURES = 1500
# Contrast threshold of SIFT, far below the usual 0.04, because blurred and dark pictures have
# little.
_LEAST_CONTRAST = 0.008
# A match counts if the distance of the next best is larger by this factor (Lowe's ratio test).
_RATIO = 0.8
# Largest error of a match that supports a transform, in pixels of the picture searched.
_SUPPORT_PX = 3.0
# Number of supporting matches that does not occur by chance.
_FEWEST_SUPPORTERS = 8


@dataclass(frozen=True)
class Features:
    """Features of one picture.

    Attributes
    ----------
    places
        (n, 2) float64, x and y in pixels of the given picture.
    descriptors
        (n, 128) float32, SIFT descriptors.
    """

    places: NDArray[np.float64]
    descriptors: NDArray[np.float32]


def find_features(grey: NDArray[np.uint8]) -> Features:
    """Find the features of a picture (height, width), uint8 display values."""
    factor = max(1.0, max(grey.shape) / _LONGEST_PX)
    if factor > 1:
        size = (round(grey.shape[1] / factor), round(grey.shape[0] / factor))
        grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
    sift = cv2.SIFT.create(_MOST_FEATURES, contrastThreshold=_LEAST_CONTRAST)
    points, descriptors = sift.detectAndCompute(grey, None)
    if descriptors is None:
        return Features(np.empty((0, 2)), np.empty((0, 128), np.float32))
    places = np.array([point.pt for point in points], np.float64)
    # Hellinger's distance instead of Euclid's (Arandjelovic and Zisserman, 2012).
    descriptors = descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6)
    return Features(
        (places + 0.5) * factor - 0.5, np.sqrt(descriptors, dtype=np.float32, casting="unsafe")
    )


def match_features(fixed: Features, moving: Features) -> Transform | None:
    """Return the similarity (3, 3) from ``fixed`` to ``moving`` that most matches support.

    Returns ``None`` if too few matches support any transform.
    """
    if min(len(fixed.places), len(moving.places)) < _FEWEST_SUPPORTERS:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(fixed.descriptors, moving.descriptors, k=2)
    good = [first for first, second in pairs if first.distance < _RATIO * second.distance]
    return fit_similarity(
        fixed.places[[one.queryIdx for one in good]],
        moving.places[[one.trainIdx for one in good]],
        _SUPPORT_PX,
        _FEWEST_SUPPORTERS,
    )


def fit_similarity(
    fixed: NDArray[np.float64], moving: NDArray[np.float64], within_px: float, fewest: int
) -> Transform | None:
    """Fit the similarity (3, 3) that transforms most of ``fixed`` to ``moving``, both (n, 2).

    RANSAC is used. Returns ``None`` if fewer than ``fewest`` points come within ``within_px``.
    """
    if len(fixed) < fewest:
        return None
    cv2.setRNGSeed(0)  # the same pairs always give the same transform
    found, supporting = cv2.estimateAffinePartial2D(
        np.ascontiguousarray(fixed),
        np.ascontiguousarray(moving),
        method=cv2.RANSAC,
        ransacReprojThreshold=within_px,
        maxIters=5000,
        confidence=0.999,
    )
    if found is None or supporting is None or int(supporting.sum()) < fewest:
        return None
    return np.vstack([found, [0, 0, 1]])
