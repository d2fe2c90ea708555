"""Small focus stacks made for tests: a textured slope, known transforms, known depth.

Light adds up in linear space, as in a lens. The specimen rises from left (slice 0) to right (the
last slice); each frame is magnified a little more than the one before and shifted.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_BLUR_PX_PER_SLICE = 1.6
_MARGIN_PX = 40


@dataclass(frozen=True)
class MadeStack:
    """Frames and the truth about them.

    Attributes
    ----------
    frames
        (height, width, 3) BGR uint8 or uint16 each, sRGB-encoded.
    truth
        What frame 0 would show with everything in focus, uint8.
    depth
        (height, width) float64, slice index in which each pixel of ``truth`` is sharpest.
    transforms
        (2, 3) each: frame pixel coordinates to those of frame 0.
    """

    frames: list[npt.NDArray[np.uint8] | npt.NDArray[np.uint16]]
    truth: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float64]
    transforms: list[npt.NDArray[np.float64]]


def make_stack(
    count: int = 6,
    width: int = 360,
    height: int = 240,
    bits: int = 8,
    noise: float = 0.8,
    seed: int = 1,
    moving: bool = True,
) -> MadeStack:
    """A stack of ``count`` frames; ``noise`` in 8-bit display steps; ``moving`` breathes."""
    rng = np.random.default_rng(seed)
    sharp = _texture(rng, height + 2 * _MARGIN_PX, width + 2 * _MARGIN_PX)
    x = np.arange(width + 2 * _MARGIN_PX, dtype=np.float32) - _MARGIN_PX
    slope = np.tile(x / (width - 1) * (count - 1), (height + 2 * _MARGIN_PX, 1))
    placed = [np.eye(2, 3) if not moving else _placing(k, width, height, rng) for k in range(count)]
    first = placed[0]
    frames = []
    for k, place in enumerate(placed):
        seen = _see(_defocus(sharp, slope - k), place, width, height)
        display = _to_display(seen) + rng.normal(0, noise / 255, seen.shape)
        top = (1 << bits) - 1
        pixels = np.clip(np.rint(display * top), 0, top)
        frames.append(pixels.astype(np.uint8 if bits == 8 else np.uint16))
    truth = np.rint(np.clip(_to_display(_see(sharp, first, width, height)), 0, 1) * 255)
    depth = _see(slope.astype(np.float32), first, width, height).astype(np.float64)
    return MadeStack(
        frames,
        truth.astype(np.uint8),
        depth,
        [_then(_invert(place), first) for place in placed],
    )


def _texture(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Linear light 0..1, (height, width, 3), with detail at all scales."""
    total = np.zeros((height, width, 3), np.float32)
    for octave in range(6):
        cells = 4 << octave
        patch = rng.standard_normal((cells, cells * width // height, 3)).astype(np.float32)
        total += cv2.resize(patch, (width, height), interpolation=cv2.INTER_CUBIC) * 0.8**octave
    light = 0.25 + 0.12 * total / total.std()
    return np.asarray(cv2.GaussianBlur(np.clip(light, 0.01, 1), (0, 0), 0.7), np.float32)


def _defocus(sharp: Floats, distance: Floats) -> Floats:
    """Blur each pixel by its distance in slices, mixed from evenly blurred pictures."""
    sigma = np.abs(distance) * _BLUR_PX_PER_SLICE
    most = int(np.ceil(sigma.max())) + 1
    result = np.zeros_like(sharp)
    for level in range(most + 1):
        share = np.clip(1 - np.abs(sigma - level), 0, 1)[:, :, np.newaxis]
        blurred = sharp if level == 0 else cv2.GaussianBlur(sharp, (0, 0), level)
        result += share.astype(np.float32) * blurred
    return result


def _placing(k: int, width: int, height: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """(2, 3) specimen to frame ``k``, about the picture's centre."""
    middle = ((width - 1) / 2, (height - 1) / 2)
    place = cv2.getRotationMatrix2D(middle, rng.normal(0, 0.05), 1.004**k)
    place[:, 2] += rng.normal(0, 0.8, 2)
    return np.asarray(place, np.float64)


def _see(scene: Floats, place: npt.NDArray[np.float64], width: int, height: int) -> Floats:
    """The part of a scene (with its margin) that a frame shows."""
    shifted = place.copy()
    shifted[:, 2] -= place[:, :2] @ np.full(2, float(_MARGIN_PX))
    return np.asarray(
        cv2.warpAffine(scene, shifted, (width, height), flags=cv2.INTER_CUBIC), np.float32
    )


def _to_display(light: Floats) -> Floats:
    light = np.clip(light, 0, 1)
    curve = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return curve.astype(np.float32)


def _invert(transform: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(cv2.invertAffineTransform(transform), np.float64)


def _then(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    row = np.array([[0, 0, 1]])
    return (np.vstack([second, row]) @ np.vstack([first, row]))[:2]
