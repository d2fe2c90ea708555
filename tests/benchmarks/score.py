"""How near a fused picture comes to the truth: overall, in texture, at depth edges, in flats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_BORDER = 0.07
_DARK = 28  # 8-bit display steps


def score(scene: Path, reference: int, picture: Path) -> dict[str, float]:
    """Figures of one result.

    Parameters
    ----------
    scene
        Folder of ``tests.benchmarks.scene.make_scene``.
    reference
        The frame in whose geometry the picture lies: 0 or the middle one.

    Returns
    -------
    dict
        ``overall``, ``texture``, ``edges``, ``flat``: PSNR in dB inside the central 86 %, after
        an affine registration and a linear fit of each channel (both only when they help), since
        neither is what fusing is judged by. ``laplacian``: RMS of the Laplacian in texture over
        the truth's; above 1 noise is amplified, below 1 the picture is soft.
    """
    truth = _read(scene / f"truth_{reference:03d}.png")
    fused = _read(picture)
    if fused.shape != truth.shape:
        raise ValueError(f"{picture} is {fused.shape}, the truth {truth.shape}")
    depth = cv2.imread(str(scene / f"depth_{reference:03d}.png"), cv2.IMREAD_UNCHANGED) / 65535
    height, width = truth.shape[:2]
    inside = (
        slice(int(height * _BORDER), int(height * (1 - _BORDER))),
        slice(int(width * _BORDER), int(width * (1 - _BORDER))),
    )
    candidates = [_fitted(each[inside], truth[inside]) for each in (fused, _laid(fused, truth))]
    best = min(candidates, key=lambda each: float(np.mean((each - truth[inside]) ** 2)))
    truth, depth = truth[inside], depth[inside].astype(np.float32)
    window = max(3, int(25 * width / 6000)) | 1
    steepness = cv2.dilate(depth, np.ones((window, window))) - cv2.erode(
        depth, np.ones((window, window))
    )
    edges = steepness > 0.06
    grey = cv2.cvtColor(truth, cv2.COLOR_BGR2GRAY)
    flat = (cv2.GaussianBlur(grey, (0, 0), 3) < _DARK) & ~edges
    texture = ~edges & ~flat
    squares = ((best - truth) ** 2).mean(axis=2)
    detail = [
        cv2.Laplacian(cv2.cvtColor(each, cv2.COLOR_BGR2GRAY), cv2.CV_32F)[texture]
        for each in (best, truth)
    ]
    return {
        "overall": _psnr_db(squares),
        "texture": _psnr_db(squares[texture]),
        "edges": _psnr_db(squares[edges]),
        "flat": _psnr_db(squares[flat]),
        "laplacian": float(np.sqrt((detail[0] ** 2).mean() / (detail[1] ** 2).mean())),
    }


def corner_errors_px(scene: Path, reference: int, transforms: npt.ArrayLike) -> list[float]:
    """Per frame, how far a corner lies from where it should, at worst.

    ``transforms`` are (n, 2, 3), frame to reference pixel coordinates.
    """
    facts: dict[str, Any] = json.loads((scene / "truth.json").read_text())
    width, height = facts["options"]["width"], facts["options"]["height"]
    corners = np.array([[x, y, 1] for x in (0, width - 1) for y in (0, height - 1)])
    to_middle = [np.vstack([each, [0, 0, 1]]) for each in facts["frame_to_middle"]]
    errors = []
    for found, truly in zip(np.asarray(transforms), to_middle, strict=True):
        wanted = (np.linalg.inv(to_middle[reference]) @ truly)[:2]
        errors.append(float(np.linalg.norm(corners @ (found - wanted).T, axis=1).max()))
    return errors


def _read(path: Path) -> Floats:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError(f"{path} is not a picture")
    top = np.iinfo(pixels.dtype).max
    return np.asarray(pixels[:, :, :3] * np.float32(255 / top), np.float32)


def _laid(fused: Floats, truth: Floats) -> Floats:
    """``fused`` registered to ``truth`` by an affine map; as it is where that does not converge."""
    matrix = np.eye(2, 3, dtype=np.float32)
    greys = [cv2.cvtColor(each, cv2.COLOR_BGR2GRAY) for each in (truth, fused)]
    for shrink, rounds in ((4, 60), (2, 30)):
        small = [
            cv2.resize(each, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
            for each in greys
        ]
        stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, rounds, 1e-6)
        centre = (shrink - 1) / 2
        start = matrix.copy()
        start[:, 2] = (matrix[:, 2] - centre + matrix[:, :2] @ [centre, centre]) / shrink
        try:
            _, found = cv2.findTransformECC(
                small[0], small[1], start, cv2.MOTION_AFFINE, stop, None, 5
            )
        except cv2.error:
            return fused
        matrix = found.copy()
        matrix[:, 2] = found[:, 2] * shrink + centre - found[:, :2] @ [centre, centre]
    flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(fused, matrix, truth.shape[1::-1], flags=flags)
    return np.asarray(laid, np.float32)


def _fitted(ours: Floats, truth: Floats) -> Floats:
    fitted = np.empty_like(ours)
    for channel in range(3):
        x, y = ours[::7, ::7, channel].ravel(), truth[::7, ::7, channel].ravel()
        gain, offset = np.polyfit(x, y, 1)
        fitted[:, :, channel] = ours[:, :, channel] * gain + offset
    return fitted


def _psnr_db(squares: npt.NDArray[np.floating]) -> float:
    return float(10 * np.log10(255**2 / max(float(np.mean(squares)), 1e-9)))
