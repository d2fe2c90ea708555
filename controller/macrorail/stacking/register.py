"""Registers two pictures: finds the affine transform between them, from coarse to fine.

The method is Gauss-Newton in the inverse compositional form (Baker and Matthews, "Lucas-Kanade 20
years on", 2004) with Huber weights. First both pictures are normalised: the local mean is removed
and local contrast made equal. This is needed because between slices the same detail changes from
sharp to blurred, and with it its contrast, but not its place. The expected transform is weighted
like a measurement: where there is little detail, it decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

from macrorail.stacking.kernels import Floats, by_parts, gather_normal_equations

Transform = NDArray[np.float64]

_DETAIL_SIGMA_PX = 0.7
_BACKGROUND_SIGMA_PX = 2.5
_CONTRAST_WINDOW_PX = 31
# Contrast, in 8-bit display steps, from which on detail has full weight. It is well above noise.
# Weaker forms are blurred, and shrink as the place comes into focus.
_NOISE = 5.0
# Approximation of sRGB's curve. Pictures are compared in light: a defocused edge keeps its place in
# light, whereas in display values bright objects seem to grow.
_GAMMA = 2.2
_DARKEST_STEP = 0.08
# More points than this do not improve a registration, which is then accurate to 0.01 pixels.
_MOST_POINTS = 150_000
_MOST_STEPS = 20
# Display value from which on a pixel counts as clipped white; width around such a pixel that is not
# used; and smallest share of the strong points that must remain for this exclusion.
_WHITE = 250.0
_BESIDE_WHITE_PX = 25
_HIGHLIGHT_PX = 5
_ENOUGH_UNBIASED = 0.02
# Neighbouring points are blurred alike and not independent: this many count as one.
_POINTS_ALIKE = 60.0
# A result that contradicts the expectation must increase the correlation by at least this much.
_CLEARLY_BETTER = 0.1
#: Shift, in pixels of a scale, that a change of defocus may imitate.
FEIGNED_PX = 0.05
# If more than this share of the prior's spread remains, the prior has decided, not the pictures.
_LITTLE_LEARNED = 0.7
# Steps shorter than this, in pixels at the corners, end the search.
_STILL_PX = 0.003
# Sums are computed in this many parts for any number of cores, so that all machines agree.
_PARTS = 8


class Motion(Enum):
    """How two frames may differ, apart from their focus."""

    NONE = "none"
    SHIFT = "shift"
    SIMILARITY = "similarity"
    AFFINE = "affine"


# Columns: the freedoms of a motion. Rows: the change of (xx, xy, x, yx, yy, y) of a transform.
_FREEDOMS: dict[Motion, NDArray[np.float64]] = {
    Motion.SHIFT: np.array([[0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1]], float).T,
    Motion.SIMILARITY: np.array(
        [[0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 1, 0], [0, -1, 0, 1, 0, 0]], float
    ).T,
    Motion.AFFINE: np.eye(6),
}


# Which of the six values represents the spread of each freedom.
_TOLD_BY: dict[Motion, list[int]] = {
    Motion.SHIFT: [2, 5],
    Motion.SIMILARITY: [2, 5, 0, 1],
    Motion.AFFINE: [0, 1, 2, 3, 4, 5],
}


@dataclass(frozen=True)
class Scale:
    """One picture at one size, prepared for registration.

    Attributes
    ----------
    even
        (height, width) float32, local mean removed and local contrast made equal.
    points
        (5, n) float32: x, y, gradient along x and y, and value of each point with detail.
    """

    even: Floats
    points: Floats


def prepare(grey: Floats, coarsest_px: int) -> list[Scale]:
    """Prepare a picture at its own size and at successively halved sizes, fine to coarse.

    Parameters
    ----------
    grey
        (height, width) float32, 8-bit display steps.
    coarsest_px
        Length of the long side at which halving ends.
    """
    scales = [_scale(grey)]
    while max(grey.shape) > coarsest_px and min(grey.shape) >= 64:
        even_sided = grey[: grey.shape[0] // 2 * 2, : grey.shape[1] // 2 * 2]
        size = (grey.shape[1] // 2, grey.shape[0] // 2)
        grey = np.asarray(cv2.resize(even_sided, size, interpolation=cv2.INTER_AREA), np.float32)
        scales.append(_scale(grey))
    return scales


def _scale(grey: Floats) -> Scale:
    # Computed in place where possible, because allocating memory takes longer than the computation.
    light, background, even, contrast = (np.empty_like(grey) for _ in range(4))
    cv2.pow(np.divide(grey, np.float32(255), out=light), _GAMMA, dst=light)
    light *= 255
    cv2.GaussianBlur(light, (0, 0), _BACKGROUND_SIGMA_PX, dst=background)
    cv2.GaussianBlur(light, (0, 0), _DETAIL_SIGMA_PX, dst=even)
    even -= background
    window = (_CONTRAST_WINDOW_PX, _CONTRAST_WINDOW_PX)
    cv2.blur(np.multiply(even, even, out=light), window, dst=contrast)
    # The box filter's running sum can fall below zero by rounding where all pixels are black.
    np.maximum(contrast, 0, out=contrast)
    cv2.sqrt(contrast, dst=contrast)
    # Light of one display step at this brightness; noise is about equal in display steps.
    step = light
    cv2.blur(background, window, dst=step)
    np.maximum(step, 0, out=step)
    step /= 255
    cv2.pow(step, 1 - 1 / _GAMMA, dst=step)
    step *= _GAMMA
    step += _DARKEST_STEP
    step *= _NOISE
    step += contrast
    even /= step
    across, down, strength = background, contrast, light
    cv2.Sobel(even, cv2.CV_32F, 1, 0, dst=across, scale=1 / 8)
    cv2.Sobel(even, cv2.CV_32F, 0, 1, dst=down, scale=1 / 8)
    np.multiply(across, across, out=strength)
    strength += down * down
    strength[:2] = strength[-2:] = strength[:, :2] = strength[:, -2:] = 0
    places = _places(strength, grey)
    places = places[:: max(1, -(-len(places) // _MOST_POINTS))]
    points = np.empty((5, len(places)), np.float32)
    points[1], points[0] = np.divmod(places, even.shape[1])
    for row, values in zip(points[2:], (across, down, even), strict=True):
        np.take(values, places, out=row)
    return Scale(even, points)


def _places(strength: Floats, grey: Floats) -> NDArray[np.int64]:
    """Return flat indices of the pixels with detail that can be followed.

    Beside clipped white a defocused edge is displaced, because light above white is not recorded.
    Such edges are used only where there is little other detail.
    """
    strong = strength > strength.mean() / 4
    white = np.asarray(grey > _WHITE, np.uint8)
    if not white.any():
        return np.flatnonzero(strong)
    # Small highlights grow equally to all sides, so they may be used.
    white = np.asarray(cv2.erode(white, np.ones((_HIGHLIGHT_PX, _HIGHLIGHT_PX), np.uint8)))
    if white.any():
        beside = cv2.dilate(white, np.ones((_BESIDE_WHITE_PX, _BESIDE_WHITE_PX), np.uint8))
        unbiased = strong & (beside == 0)
        if np.count_nonzero(unbiased) > _ENOUGH_UNBIASED * np.count_nonzero(strong):
            strong = unbiased
    return np.flatnonzero(strong)


@dataclass(frozen=True)
class Prior:
    """Transform expected from a registration, in pixels of the finest scale.

    Attributes
    ----------
    warp
        (3, 3) transform from ``fixed`` to ``moving``.
    spread
        (6,) standard deviations of (xx, xy, x, yx, yy, y) about the picture's middle, > 0.
    """

    warp: Transform
    spread: NDArray[np.float64]

    def shrunk(self, factor: int) -> Prior:
        """Return the same prior for pictures whose pixels are ``factor`` times larger."""
        shifts = np.array([1, 1, factor, 1, 1, factor])
        return Prior(shrink(self.warp, factor), self.spread / shifts)

    def enlarged(self, factor: int) -> Prior:
        """Return the same prior for pictures whose pixels are ``factor`` times smaller."""
        shifts = np.array([1, 1, factor, 1, 1, factor])
        return Prior(enlarge(self.warp, factor), self.spread * shifts)


@dataclass(frozen=True)
class Registration:
    """Transform found between two pictures, ``fixed`` and ``moving``.

    Attributes
    ----------
    warp
        (3, 3) float64 transform from pixel coordinates of ``fixed[0]`` to those of ``moving[0]``.
    correlation
        Correlation of the normalised pictures under the transform, -1..1; 0 without detail.
    spread
        (6,) standard deviations of (xx, xy, x, yx, yy, y) about the picture's middle.
    expected
        True when the pictures give no better result than the prior.
    """

    warp: Transform
    correlation: float
    spread: NDArray[np.float64]
    expected: bool


def register(fixed: list[Scale], moving: list[Scale], motion: Motion, prior: Prior) -> Registration:
    """Find the transform from ``fixed`` to ``moving``; both are lists from :func:`prepare`."""
    if motion is Motion.NONE:
        still = np.eye(3)
        return Registration(
            still, _measure(fixed[0], moving[0], still).correlation, np.zeros(6), False
        )
    coarsest = len(fixed) - 1
    coarse_prior = prior.shrunk(2**coarsest)
    warp = _descend(fixed[-1], moving[-1], coarse_prior.warp, coarse_prior, motion)
    measured = _measure(fixed[-1], moving[-1], warp)
    shifted = _shift(fixed[-1].even, moving[-1].even)
    knocked = _descend(
        fixed[-1], moving[-1], shifted, _free_to_shift(shifted, prior, fixed), motion
    )
    measured_knocked = _measure(fixed[-1], moving[-1], knocked)
    if measured_knocked.correlation - measured.correlation > _CLEARLY_BETTER:
        warp, measured = knocked, measured_knocked
        prior = _free_to_shift(enlarge(knocked, 2**coarsest), prior, fixed[:1])
        coarse_prior = prior.shrunk(2**coarsest)
    known = _learn(fixed[-1], measured, warp, coarse_prior, motion)
    for n in reversed(range(coarsest)):
        known = known.enlarged(2)
        warp = _descend(fixed[n], moving[n], known.warp, known, motion)
        measured = _measure(fixed[n], moving[n], warp)
        known = _learn(fixed[n], measured, warp, known, motion)

    def gain(n: int) -> float:
        """Return the correlation at scale ``n``, minus that of the expected transform."""
        found = _measure(fixed[n], moving[n], shrink(warp, 2**n)).correlation
        return found - _measure(fixed[n], moving[n], shrink(prior.warp, 2**n)).correlation

    # Coarse forms shrink as they come into focus, and the picture seems to shrink with them. If the
    # finest detail does not confirm this, the picture has not shrunk. But a large gain at any scale
    # is real.
    expected = _measure(fixed[0], moving[0], prior.warp).correlation
    if measured.correlation <= expected and all(
        gain(n) < _CLEARLY_BETTER for n in range(1, len(fixed))
    ):
        return Registration(prior.warp, expected, prior.spread, True)
    limited_travel = (known.spread / prior.spread)[_TOLD_BY[motion]]
    decided = bool(limited_travel.max() > _LITTLE_LEARNED)
    return Registration(warp, measured.correlation, known.spread, decided)


def _free_to_shift(warp: Transform, prior: Prior, scales: list[Scale]) -> Prior:
    """Return a prior around ``warp`` so wide that the pictures determine the shift."""
    height, width = scales[-1].even.shape
    spread = prior.shrunk(2 ** (len(scales) - 1)).spread
    return Prior(warp, np.maximum(spread, [0, 0, width / 20, 0, 0, height / 20]))


def _learn(
    fixed: Scale, measured: _Measured, warp: Transform, prior: Prior, motion: Motion
) -> Prior:
    """Return ``warp`` with its uncertainty after a descent from ``prior``."""
    freedoms = _FREEDOMS[motion]
    information = _credible(measured.information, fixed.even.shape, motion)
    held = np.diag(prior.spread[_TOLD_BY[motion]] ** -2)
    covariance = freedoms @ np.linalg.inv(information + held) @ freedoms.T
    return Prior(warp, np.sqrt(np.maximum(np.diag(covariance), 0)))


def _credible(
    information: NDArray[np.float64], shape: tuple[int, ...], motion: Motion
) -> NDArray[np.float64]:
    """Return the information on the freedoms, reduced by what defocus may imitate at this scale."""
    half_diagonal = np.hypot(shape[0], shape[1]) / 2
    freedoms = _FREEDOMS[motion]
    corner = FEIGNED_PX / half_diagonal
    feigned = np.array([corner, corner, FEIGNED_PX, corner, corner, FEIGNED_PX])
    said = freedoms.T @ information @ freedoms
    doubt = np.diag(feigned[_TOLD_BY[motion]] ** 2)
    # (said^-1 + doubt)^-1, written so that an empty ``said`` stays empty.
    return np.asarray(np.linalg.solve(np.eye(len(said)) + said @ doubt, said))


def enlarge(warp: Transform, factor: int) -> Transform:
    """Return the same (3, 3) transform for pictures whose pixels are ``factor`` times smaller."""
    larger = warp.copy()
    # The centre of a small picture's pixel is (factor - 1) / 2 large pixels from its first pixel.
    centre = np.full(2, (factor - 1) / 2)
    larger[:2, 2] = warp[:2, 2] * factor + centre - warp[:2, :2] @ centre
    return larger


def shrink(warp: Transform, factor: int) -> Transform:
    """Return the same (3, 3) transform for pictures whose pixels are ``factor`` times larger."""
    smaller = warp.copy()
    centre = np.full(2, (factor - 1) / 2)
    smaller[:2, 2] = (warp[:2, 2] - centre + warp[:2, :2] @ centre) / factor
    return smaller


def _descend(
    fixed: Scale, moving: Scale, warp: Transform, prior: Prior, motion: Motion
) -> Transform:
    height, width = fixed.even.shape
    reach = np.array([width / 2, height / 2, 1, width / 2, height / 2, 1])
    freedoms = _FREEDOMS[motion]
    to_middle = np.eye(3)
    to_middle[:2, 2] = -(width - 1) / 2, -(height - 1) / 2
    from_middle = np.linalg.inv(to_middle)
    held = np.diag(prior.spread[_TOLD_BY[motion]] ** -2)
    to_freedoms = np.linalg.pinv(freedoms)
    for _ in range(_MOST_STEPS):
        measured = _measure(fixed, moving, warp)
        off = to_middle @ np.linalg.inv(prior.warp) @ warp @ from_middle - np.eye(3)
        said = freedoms.T @ measured.information @ freedoms
        credible = _credible(measured.information, fixed.even.shape, motion)
        # The step that the pictures suggest, balanced against the way back to the prior.
        wanted = np.linalg.lstsq(said, freedoms.T @ measured.slope, rcond=1e-12)[0]
        slope = credible @ wanted + held @ (to_freedoms @ off[:2].ravel())
        step = freedoms @ np.linalg.solve(credible + held, slope)
        change = np.eye(3)
        change[:2] += step.reshape(2, 3)
        # The step applies to the fixed picture about its middle; its inverse precedes the warp.
        warp = warp @ from_middle @ np.linalg.inv(change) @ to_middle
        if np.abs(step * reach).max() < _STILL_PX:
            break
    return warp


@dataclass(frozen=True)
class _Measured:
    """Information matrix (6, 6), right-hand side (6,) in units of the noise, and correlation."""

    information: NDArray[np.float64]
    slope: NDArray[np.float64]
    correlation: float


def _measure(fixed: Scale, moving: Scale, warp: Transform) -> _Measured:
    sums = np.zeros((_PARTS, 31))
    by_parts(gather_normal_equations, _PARTS, fixed.points, moving.even, warp[:2].copy(), sums)
    total = sums.sum(axis=0)
    squares_fixed, squares_moving, products, count = total[27:]
    normal = np.zeros((6, 6))
    upper = np.triu_indices(6)
    normal[upper] = total[:21]
    normal += np.triu(normal, 1).T
    energy = squares_fixed * squares_moving
    if energy == 0:
        return _Measured(np.zeros((6, 6)), np.zeros(6), 0.0)
    # Regression: the moving picture shows the fixed picture's detail ``share`` times as strong,
    # plus detail that the fixed picture does not have. Such other detail counts as noise.
    share = max(products / squares_fixed, 0.0)
    variance = max((squares_moving - share * products) / count, 1e-6)
    weight = share / (variance * _POINTS_ALIKE)
    return _Measured(normal * weight * share, total[21:27] * weight, products / np.sqrt(energy))


def _shift(fixed: Floats, moving: Floats) -> Transform:
    window = cv2.createHanningWindow((fixed.shape[1], fixed.shape[0]), cv2.CV_32F)
    # phaseCorrelate multiplies its own arguments by the window if their sizes suit its FFT.
    (x, y), _ = cv2.phaseCorrelate(fixed.copy(), moving.copy(), window)
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])
