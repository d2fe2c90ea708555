"""Made focus stacks with exact truth: terrain, steps, hairs, and a dark flat patch.

Light adds up in linear space, front to back, as in a lens: depth slabs are blurred by their
distance from the plane in focus and laid over what is behind them. The camera magnifies a little
more from frame to frame, shakes, flickers, adds noise and compresses.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

_MARGIN = 0.06
_SLABS = 20
_NATURAL_WIDTH = 6000  # what sizes below are given for, pixels


@dataclass(frozen=True)
class SceneOptions:
    """What to make.

    Attributes
    ----------
    width, height
        Of a frame, pixels.
    frames
        How many, focused evenly from the farthest (0) to the nearest plane (1).
    seed
        Of everything random.
    breathing
        Relative growth of the picture from frame to frame.
    blur_px
        Standard deviation of the blur at the other end of the depth, at 6000 px width.
    shake_px
        Step of the sideways random walk, at 6000 px width.
    """

    width: int = 2400
    height: int = 1600
    frames: int = 16
    seed: int = 7
    breathing: float = 0.001
    blur_px: float = 60.0
    shake_px: float = 1.5


def make_scene(options: SceneOptions, folder: Path) -> None:
    """Write ``f_000.jpg ...``, ``truth_KKK.png`` and ``depth_KKK.png`` for the first and the middle
    frame's geometry, and ``truth.json`` with the transforms to the middle frame.

    Frames that are there already are kept: a long making can be stopped and gone on with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(options.seed)
    display, depth = _specimen(options, rng)
    light = to_light(display)
    middle = options.frames // 2
    placements = _placements(options, rng)
    size = (options.width, options.height)
    for k in (0, middle):
        truth = to_display(cv2.warpAffine(light, placements[k], size, flags=cv2.INTER_CUBIC))
        cv2.imwrite(str(folder / f"truth_{k:03d}.png"), _eight_bits(truth))
        seen = cv2.warpAffine(depth, placements[k], size, flags=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / f"depth_{k:03d}.png"), (seen * 65535).astype(np.uint16))
    for k, placement in enumerate(placements):
        path = folder / f"f_{k:03d}.jpg"
        if path.exists():
            continue
        rng = np.random.default_rng([options.seed, k])
        plane = k / max(1, options.frames - 1)
        seen = cv2.warpAffine(
            _defocus(light, depth, plane, options), placement, size, flags=cv2.INTER_CUBIC
        )
        frame = to_display(seen * (1 + rng.normal(0, 0.004)))
        grain = 1.5 * np.sqrt(np.clip(frame, 4, 255) / 128)
        frame += grain * rng.standard_normal(frame.shape, dtype=np.float32)
        aside = folder / "part.jpg"
        cv2.imwrite(str(aside), _eight_bits(frame), [cv2.IMWRITE_JPEG_QUALITY, 92])
        aside.replace(path)
    to_middle = [_square(placements[middle]) @ np.linalg.inv(_square(p)) for p in placements]
    facts = {"options": asdict(options), "frame_to_middle": [m[:2].tolist() for m in to_middle]}
    (folder / "truth.json").write_text(json.dumps(facts))


def to_light(display: Floats) -> Floats:
    """sRGB display values 0..255 -> linear light 0..1."""
    x = np.clip(display, 0, 255) / 255
    curve = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return np.asarray(curve, np.float32)


def to_display(light: npt.NDArray[np.floating]) -> Floats:
    """Linear light 0..1 -> sRGB display values 0..255."""
    x = np.clip(light, 0, 1)
    curve = np.where(x <= 0.0031308, x * 12.92, 1.055 * x ** (1 / 2.4) - 0.055)
    return np.asarray(curve * 255, np.float32)


def _eight_bits(display: Floats) -> npt.NDArray[np.uint8]:
    return np.clip(np.rint(display), 0, 255).astype(np.uint8)


def _square(matrix: Matrix) -> Matrix:
    return np.vstack([matrix, [0, 0, 1]])


def _margin_px(options: SceneOptions) -> int:
    return int(_MARGIN * options.width)


def _placements(options: SceneOptions, rng: np.random.Generator) -> list[Matrix]:
    """(2, 3) per frame: specimen pixels to frame pixels."""
    margin = _margin_px(options)
    middle = ((options.width - 1) / 2 + margin, (options.height - 1) / 2 + margin)
    step = options.shake_px * options.width / _NATURAL_WIDTH
    walk = np.cumsum(rng.normal(0, step, (options.frames, 2)), axis=0)
    placements = []
    for k in range(options.frames):
        scale = (1 + options.breathing) ** (k - options.frames // 2)
        placement = cv2.getRotationMatrix2D(middle, rng.normal(0, 0.01), scale)
        placement[:, 2] += walk[k] - margin
        placements.append(np.asarray(placement, np.float64))
    return placements


def _specimen(options: SceneOptions, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Display values (h, w, 3) and depth 0 (far) .. 1 (near) of the specimen with its margin."""
    margin = _margin_px(options)
    shape = (options.height + 2 * margin, options.width + 2 * margin)
    unit = options.width / _NATURAL_WIDTH
    down, across = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j].astype(np.float32)
    dome = np.clip(1 - (across**2 + down**2 * 0.6) / 1.6, 0, 1)
    depth = 0.15 + 0.55 * dome + 0.05 * _clouds(rng, shape, 6, 4, 0.5)
    grain = 26 * _clouds(rng, shape, 8, 11, 0.78)
    display = np.stack(
        [grain + 120 + 22 * _clouds(rng, shape, 5, 6, 0.6) for _ in range(3)], axis=-1
    )
    for n in range(26):
        _raise_a_step(display, depth, rng, unit, round_one=bool(n % 2))
    _lay_a_dark_patch(display, depth, unit)
    for n in range(140):
        _grow_a_hair(display, depth, rng, unit, over_dark=n < 40)
    display = cv2.GaussianBlur(np.clip(display, 2, 250), (0, 0), 0.7 * max(unit, 0.3))
    return np.asarray(display, np.float32), np.clip(depth, 0, 1).astype(np.float32)


def _clouds(
    rng: np.random.Generator, shape: tuple[int, int], cells: int, octaves: int, persistence: float
) -> Floats:
    """Random forms at all sizes, mean 0, deviation 1."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        rows = min(shape[0], (cells << octave) * shape[0] // shape[1] + 3)
        columns = min(shape[1], (cells << octave) + 3)
        patch = rng.standard_normal((rows, columns), dtype=np.float32)
        enlarged = cv2.resize(patch, shape[::-1], interpolation=cv2.INTER_CUBIC)
        total += enlarged * persistence**octave
        if columns == shape[1]:
            break
    return np.asarray((total - total.mean()) / total.std(), np.float32)


def _raise_a_step(
    display: Floats, depth: Floats, rng: np.random.Generator, unit: float, round_one: bool
) -> None:
    height, width = depth.shape
    x, y, size = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(60, 260) * unit
    mask = np.zeros(depth.shape, np.uint8)
    if round_one:
        cv2.circle(mask, (int(x), int(y)), int(size), 1, -1)
    else:
        box = cv2.boxPoints(((x, y), (3 * size, size / 2), rng.uniform(0, 180)))
        cv2.fillPoly(mask, [box.astype(np.int32)], 1)
    inside = mask > 0
    depth[inside] += rng.uniform(0.1, 0.35) * rng.choice([-1, 1], p=[0.3, 0.7])
    display[inside] += rng.uniform(-45, 45, 3)


def _lay_a_dark_patch(display: Floats, depth: Floats, unit: float) -> None:
    height, width = depth.shape
    mask = np.zeros(depth.shape, np.float32)
    middle, axes = (int(width * 0.2), int(height * 0.78)), (int(620 * unit), int(420 * unit))
    cv2.ellipse(mask, middle, axes, 20, 0, 360, 1.0, -1)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 4 * unit), np.float32)
    depth[:] = depth * (1 - mask) + 0.02 * mask
    share = mask[:, :, np.newaxis]
    display[:] = display * (1 - share) + (18 + 0.02 * display) * share


def _grow_a_hair(
    display: Floats, depth: Floats, rng: np.random.Generator, unit: float, over_dark: bool
) -> None:
    """A thin curve that rises from where it stands towards the camera."""
    height, width = depth.shape
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    if over_dark:
        x, y = width * 0.2 + rng.normal() * 450 * unit, height * 0.78 + rng.normal() * 330 * unit
    points = 24
    along = np.linspace(0, 1, points)
    angle = rng.uniform(0, 2 * np.pi) + rng.uniform(-0.8, 0.8) * along
    step = rng.uniform(250, 900) * unit / points
    xs, ys = x + np.cumsum(np.cos(angle)) * step, y + np.cumsum(np.sin(angle)) * step
    root = float(depth[int(np.clip(y, 0, height - 1)), int(np.clip(x, 0, width - 1))])
    tip = min(0.98, root + rng.uniform(0.15, 0.45))
    colour = np.array([235.0] * 3 if rng.random() < 0.6 else [25.0, 30.0, 40.0])
    colour += rng.uniform(-15, 15, 3)
    for n in range(points - 1):
        thick = max(2, int((7 * (1 - along[n]) + 2) * unit))
        left, right = sorted((int(xs[n]), int(xs[n + 1])))
        top, bottom = sorted((int(ys[n]), int(ys[n + 1])))
        window = (
            slice(max(0, top - 12), max(0, min(height, bottom + 13))),
            slice(max(0, left - 12), max(0, min(width, right + 13))),
        )
        if depth[window].size == 0:
            continue
        mask = np.zeros(depth[window].shape, np.uint8)
        corner = np.array([window[1].start, window[0].start])
        ends = [tuple(int(v) for v in (np.array([xs[m], ys[m]]) - corner) * 8) for m in (n, n + 1)]
        cv2.line(mask, ends[0], ends[1], 255, thick, cv2.LINE_AA, 3)
        share = (mask / np.float32(255))[:, :, np.newaxis]
        display[window] = display[window] * (1 - share) + colour * share
        depth[window][mask > 127] = root + (tip - root) * along[n]


def _defocus(light: Floats, depth: Floats, plane: float, options: SceneOptions) -> Floats:
    """What a lens focused at ``plane`` makes of it: slabs from back to front."""
    slab_of = np.clip((depth * _SLABS).astype(np.int32), 0, _SLABS - 1)
    unit = options.width / _NATURAL_WIDTH
    behind: Floats = np.zeros((*depth.shape, 4), np.float32)
    opaque = np.dstack([light, np.ones(depth.shape, np.float32)])
    for slab in range(_SLABS):
        here = slab_of == slab
        if not here.any():
            continue
        away = max(0.0, abs((slab + 0.5) / _SLABS - plane) - 0.5 / _SLABS)
        layer = _blur(opaque * here[:, :, np.newaxis], away * options.blur_px * unit)
        behind = layer + behind * (1 - np.clip(layer[:, :, 3:], 0, 1))
    return behind[:, :, :3] / np.maximum(behind[:, :, 3:], 0.05)


def _blur(picture: Floats, sigma_px: float) -> Floats:
    if sigma_px < 0.35:
        return picture
    shrink = 1 if sigma_px < 4 else 2 if sigma_px < 12 else 4
    size = (picture.shape[1] // shrink, picture.shape[0] // shrink)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma_px / shrink)
    full = cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(full, np.float32)
