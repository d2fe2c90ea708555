"""Compares two frames shot at the same position: their displacement and their correlation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from macrorail.errors import StackError
from macrorail.stacking.images import read_picture
from macrorail.workers import serve

#: Frames are reduced to this width for the comparison, which removes noise but keeps blurred forms.
_WIDTH_PX = 256
_NOISE_SIGMA_PX, _BACKGROUND_SIGMA_PX = 1.5, 24.0
#: Standard deviation of the blur applied before frames are subtracted: it removes noise but keeps
#: blurred forms.
_LAG_SIGMA_PX = 4.0
#: Standard deviation, in 8-bit steps, below which a frame shows too little for a comparison.
_LEAST_CONTRAST = 0.3


def compare(before: Path, now: Path) -> dict[str, Any]:
    """Measure the displacement and the correlation of two frames shot at the same position.

    Returns
    -------
    dict
        ``shift_px``, the displacement in pixels of the frame, >= 0; ``correlation``, -1..1, after
        correction of the displacement; ``width_px`` of the frame; ``brightness`` of ``now``
        divided by the brightness of ``before``. If the frames show too little, ``shift_px`` and
        ``correlation`` are ``None``, and ``why`` gives the reason.
    """
    pictures = [read_picture(path) for path in (before, now)]
    if pictures[0].shape != pictures[1].shape:
        return {"shift_px": 0.0, "correlation": 0.0, "width_px": pictures[0].shape[1]}
    small = [_small(pixels) for pixels in pictures]
    sizes = {
        "width_px": int(pictures[0].shape[1]),
        "brightness": round(float(small[1].mean() / max(small[0].mean(), 1e-6)), 3),
    }
    first, second = (_detail(picture) for picture in small)
    if min(first.std(), second.std()) < _LEAST_CONTRAST:
        why = "there is too little to see in them"
        return {"shift_px": None, "correlation": None, "why": why, **sizes}
    window = cv2.createHanningWindow((first.shape[1], first.shape[0]), cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(first, second, window)
    # A displacement that does not improve the correlation is ignored: with little detail, phase
    # correlation finds false displacements.
    correlation, shift = max(
        (_correlation(first, second, shift), shift) for shift in ((0.0, 0.0), (x, y))
    )
    scale = sizes["width_px"] / first.shape[1]
    return {
        "shift_px": round(float(np.hypot(*shift)) * scale, 2),
        "correlation": round(correlation, 4),
        **sizes,
    }


def differences(held: Path, leaving: Path, away: Path) -> dict[str, float]:
    """Return mean squared differences of three frames, as described in ``LagComparison``.

    Raises
    ------
    StackError
        A frame cannot be read.
    """
    pictures = (_small(read_picture(path)) for path in (held, leaving, away))
    first, second, third = (cv2.GaussianBlur(each, (0, 0), _LAG_SIGMA_PX) for each in pictures)
    pairs = {
        "held_leaving": (first, second),
        "leaving_away": (second, third),
        "held_away": (first, third),
    }
    return {name: round(float(np.mean((a - b) ** 2)), 4) for name, (a, b) in pairs.items()}


def _small(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Return the picture in grey, reduced to ``_WIDTH_PX``, with values 0..255."""
    full = 255.0 if pixels.dtype == np.uint8 else 65535.0
    height = max(8, round(pixels.shape[0] * _WIDTH_PX / pixels.shape[1]))
    resized = cv2.resize(pixels, (_WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    grey = resized.astype(np.float32).mean(axis=2) if resized.ndim == 3 else resized
    return np.asarray(grey * (255.0 / full), dtype=np.float32)


def _detail(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    smooth = cv2.GaussianBlur(picture, (0, 0), _NOISE_SIGMA_PX)
    background = cv2.GaussianBlur(picture, (0, 0), _BACKGROUND_SIGMA_PX)
    return np.asarray(smooth - background, dtype=np.float32)


def _correlation(
    first: NDArray[np.float32], second: NDArray[np.float32], shift: tuple[float, float]
) -> float:
    """Return Pearson's correlation of two pictures after moving ``second`` back by ``shift``.

    ``shift`` is (x, y) in pixels. Margins without common content are left out.
    """
    height, width = first.shape
    matrix = np.array([[1, 0, -shift[0]], [0, 1, -shift[1]]], dtype=np.float32)
    back = cv2.warpAffine(second, matrix, (width, height), flags=cv2.INTER_LINEAR)
    x, y = (min(int(abs(s)) + 1, size // 3) for s, size in zip(shift, (width, height), strict=True))
    inside = (slice(y, height - y), slice(x, width - x))
    return float(np.corrcoef(first[inside].ravel(), back[inside].ravel())[0, 1])


def _answer(before: str, now: str) -> dict[str, Any]:
    try:
        return compare(Path(before), Path(now))
    except StackError as error:
        return {"shift_px": None, "correlation": None, "why": str(error)}


def _differences(held: str, leaving: str, away: str) -> dict[str, Any]:
    return differences(Path(held), Path(leaving), Path(away))


def main() -> None:
    """Answer the parent process's requests until the parent closes the pipe."""
    serve({"compare": _answer, "differences": _differences})


if __name__ == "__main__":
    main()
