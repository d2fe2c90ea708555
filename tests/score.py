"""How near a picture comes to the truth: PSNR after registration and a linear colour fit.

A stack may differ from the truth by a small affine map (alignment has a free choice there) and by
exposure; neither is what fusing is judged by, so both are fitted away first.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_BORDER = 0.07
"""Left out at every side: frames of a stack do not cover the same ground to the last pixel."""


def psnr_db(picture: Picture, truth: Picture) -> float:
    """Peak signal-to-noise ratio of ``picture`` against ``truth``, decibels.

    Parameters
    ----------
    picture, truth
        uint8 or uint16 (height, width, 3) of one shape, blue green red, encoded alike.
    """
    if picture.shape != truth.shape:
        raise ValueError(f"the picture is {picture.shape}, the truth {truth.shape}")
    ours, theirs = _unit(picture), _unit(truth)
    height, width = theirs.shape[:2]
    inside = (
        slice(int(height * _BORDER), int(height * (1 - _BORDER))),
        slice(int(width * _BORDER), int(width * (1 - _BORDER))),
    )
    registered = cv2.warpAffine(
        ours,
        _register(ours, theirs),
        (width, height),
        flags=cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # Where there is nothing to register by, resampling would only cost sharpness.
    return max(_fitted_psnr_db(each[inside], theirs[inside]) for each in (ours, registered))


def _unit(picture: Picture) -> npt.NDArray[np.float32]:
    scaled: npt.NDArray[np.float32] = picture.astype(np.float32) / np.iinfo(picture.dtype).max
    return scaled


def _register(
    ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """The affine map from the truth's pixels to the picture's, by ECC at half, then full size."""
    grey_ours, grey_theirs = (cv2.cvtColor(each, cv2.COLOR_BGR2GRAY) for each in (ours, theirs))
    matrix = np.eye(2, 3, dtype=np.float32)
    for size, rounds in ((0.5, 60), (1.0, 30)):
        stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, rounds, 1e-6)
        small = [
            cv2.resize(each, None, fx=size, fy=size, interpolation=cv2.INTER_AREA)
            for each in (grey_theirs, grey_ours)
        ]
        try:
            _, found = cv2.findTransformECC(*small, _scaled(matrix, size), cv2.MOTION_AFFINE, stop)
        except cv2.error:  # it did not converge: the picture is compared as it is
            return np.eye(2, 3, dtype=np.float32)
        matrix = _scaled(found, 1 / size)
    return matrix


def _scaled(matrix: npt.NDArray[Any], factor: float) -> npt.NDArray[np.float32]:
    """The same map between pictures resized by ``factor``, whose pixels' middles lie at halves."""
    scaled = matrix.astype(np.float64)
    middle = np.array([0.5, 0.5])
    scaled[:, 2] = factor * (scaled[:, 2] + scaled[:, :2] @ middle - middle)
    scaled[:, 2] -= scaled[:, :2] @ middle - middle
    return scaled.astype(np.float32)


def _fitted_psnr_db(ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32]) -> float:
    errors = []
    for channel in range(3):
        x, y = ours[..., channel].ravel(), theirs[..., channel].ravel()
        gain = np.cov(x, y)[0, 1] / max(float(np.var(x)), 1e-12)
        errors.append(np.mean((y - y.mean() - gain * (x - x.mean())) ** 2))
    return float(-10 * np.log10(max(float(np.mean(errors)), 1e-12)))
