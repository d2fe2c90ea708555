"""Stacks with known transforms: how many frames are aligned, and is a wrong one ever kept silently?

``python -m tests.studies.known_transforms --count 200 --seed 1`` generates small stacks over the
ranges that people's stacks have: scale up to 20 % across a stack and 8 % between neighbours, turns
to 10 degrees, shifts to a third of the frame, up to 80 % of the frame black, white or without
texture, and frames that are covered, dark, too bright, empty, upside down or of another subject.
Every frame is judged against the truth. A frame off by more than half a pixel (RMS over what it
shares with the reference), or a spoilt one, has to be left out or doubted.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from macrorail.errors import AlignError, StackError
from macrorail.stacking.stacker import AHEAD, Stacker

Floats = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

GROUNDS = ("textured", "black", "white", "plain", "shapes")
MOTIONS = ("rail", "breathing", "jump", "knock", "handheld", "turning")
SPOILT = ("covered", "hidden", "dark", "bright", "empty", "stranger", "upside-down")
#: A frame is right within this, RMS over the ground that it shares with the reference.
BOUND_PX = 0.5
_SIGMAS = (0.0, 0.8, 1.6, 3.2, 6.4, 12.8)
_CANVAS = 2.2
_SPOILT_SHARE = 0.3


@dataclass(frozen=True)
class KnownStack:
    """Frames and the truth about them.

    Attributes
    ----------
    frames
        (height, width, 3) uint8 BGR each; the first is the reference and never spoilt.
    transforms
        (3, 3) each: frame pixel coordinates to the reference's.
    spoilt
        What was done to a frame, by its index.
    ground, motion
        One of ``GROUNDS`` and of ``MOTIONS``.
    """

    frames: list[npt.NDArray[np.uint8]]
    transforms: list[Matrix]
    spoilt: dict[int, str]
    ground: str
    motion: str


def make_known_stack(seed: int) -> KnownStack:
    """Generate one stack; the same seed gives the same stack."""
    rng = np.random.default_rng([seed, 77])
    width = int(rng.choice([360, 420, 480]))
    height = width * 2 // 3
    count = int(rng.integers(4, 9))
    ground, motion = str(rng.choice(GROUNDS)), str(rng.choice(MOTIONS))
    sharp = _scene(rng, int(height * _CANVAS), int(width * _CANVAS), ground, width)
    levels = [sharp if s == 0 else cv2.GaussianBlur(sharp, (0, 0), s) for s in _SIGMAS]
    # The specimen rises along a random direction; slices are focused from one side to the other.
    y, x = np.mgrid[: sharp.shape[0], : sharp.shape[1]].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    along = (x - sharp.shape[1] / 2) * np.cos(angle) + (y - sharp.shape[0] / 2) * np.sin(angle)
    depth = along / width * (count - 1) + (count - 1) / 2
    blur_px_per_slice = rng.uniform(0.5, 1.5)
    placings = _placings(rng, motion, count, width, height)
    frames = []
    for k, place in enumerate(placings):
        light = _see(levels, depth, k, blur_px_per_slice, place, width, height)
        frames.append(light)
    spoilt = {}
    if rng.random() < _SPOILT_SHARE:
        which = int(rng.integers(1, count))
        spoilt[which] = str(rng.choice(SPOILT))
        frames[which] = _spoil(rng, frames[which], spoilt[which])
        if spoilt[which] == "upside-down":
            half_turn = np.array([[-1, 0, width - 1], [0, -1, height - 1], [0, 0, 1.0]])
            placings[which] = half_turn @ placings[which]
    onto = placings[0]
    transforms = [onto @ np.linalg.inv(place) for place in placings]
    noise = rng.uniform(0.3, 2.0)
    quality = int(rng.choice([85, 92, 98]))
    pictures = [_develop(rng, light, noise, quality) for light in frames]
    return KnownStack(pictures, transforms, spoilt, ground, motion)


def _scene(rng: np.random.Generator, height: int, width: int, ground: str, frame: int) -> Floats:
    """Linear light 0..1, (height, width, 3)."""
    if ground == "shapes":
        light = np.full((height, width, 3), rng.uniform(0.05, 0.5, 3), np.float32)
        for _ in range(260):
            centre = rng.uniform(0, (width, height))
            reach = rng.uniform(0.01, 0.08) * frame
            points = (centre + rng.uniform(-reach, reach, (int(rng.integers(3, 7)), 2))).astype(int)
            cv2.fillPoly(light, [points], rng.uniform(0.01, 0.8, 3).tolist(), cv2.LINE_AA)
        return np.asarray(cv2.GaussianBlur(light, (0, 0), 0.7), np.float32)
    total = np.zeros((height, width, 3), np.float32)
    for octave in range(7):
        cells = 4 << octave
        patch = rng.standard_normal((cells, cells * width // height, 3)).astype(np.float32)
        total += cv2.resize(patch, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(
            rng.uniform(0.7, 0.9) ** octave
        )
    light = np.clip(0.25 + 0.12 * total / total.std(), 0.01, 0.9)
    if ground != "textured":
        # A specimen that covers 20 to 50 % of the frame, in the middle of it.
        share = rng.uniform(0.2, 0.5)
        ratio = rng.uniform(0.6, 1.6)
        area = share * frame * frame * 2 / 3
        axes = np.sqrt(area / np.pi * np.array([ratio, 1 / ratio]))
        y, x = np.mgrid[:height, :width].astype(np.float32)
        radius = np.hypot((x - width / 2) / axes[0], (y - height / 2) / axes[1])
        wobble = cv2.resize(
            rng.normal(0, 0.12, (12, 18)).astype(np.float32), (width, height), interpolation=2
        )
        inside = np.clip((1 - radius + wobble) * 40, 0, 1)[:, :, np.newaxis]
        behind = {"black": 0.0003, "white": 1.6, "plain": rng.uniform(0.1, 0.6)}[ground]
        light = inside * light + (1 - inside) * np.float32(behind)
    return np.asarray(cv2.GaussianBlur(light.astype(np.float32), (0, 0), 0.7), np.float32)


def _placings(
    rng: np.random.Generator, motion: str, count: int, width: int, height: int
) -> list[Matrix]:
    """(3, 3) specimen (its origin in the frame's middle at first) to each frame."""
    scales, turns = np.ones(count), np.zeros(count)
    shifts = rng.normal(0, 0.5, (count, 2)).cumsum(axis=0)
    steps = np.arange(count)
    sign = rng.choice([-1, 1])
    scales *= (1 + sign * rng.uniform(0, 0.006)) ** steps
    where = int(rng.integers(1, count))
    if motion == "breathing":
        total = rng.uniform(0.05, 0.2)
        step = min(total / (count - 1), 0.08)
        scales = (1 + sign * step) ** steps
    elif motion == "jump":
        scales[where:] *= 1 + rng.choice([-1, 1]) * rng.uniform(0.02, 0.08)
    elif motion == "knock":
        turns[where:] += rng.uniform(-10, 10)
        direction = rng.uniform(0, 2 * np.pi)
        far = rng.uniform(0, 1 / 3)
        shifts[where:] += far * np.array([width * np.cos(direction), height * np.sin(direction)])
    elif motion == "handheld":
        turns += rng.normal(0, 0.8, count)
        shifts += rng.normal(0, 0.025 * width, (count, 2))
        scales *= 1 + rng.normal(0, 0.004, count)
    elif motion == "turning":
        turns += sign * rng.uniform(1, 10) / (count - 1) * steps
    placed = []
    for scale, turn, shift in zip(scales, turns, shifts, strict=True):
        cos, sin = scale * np.cos(np.radians(turn)), scale * np.sin(np.radians(turn))
        middle = (width - 1) / 2 + shift[0], (height - 1) / 2 + shift[1]
        placed.append(np.array([[cos, -sin, middle[0]], [sin, cos, middle[1]], [0, 0, 1]]))
    return placed


def _see(
    levels: list[Floats],
    depth: Floats,
    k: int,
    blur_px_per_slice: float,
    place: Matrix,
    width: int,
    height: int,
) -> Floats:
    """What slice ``k`` shows: linear light, (height, width, 3)."""
    to_canvas = np.eye(3)
    to_canvas[:2, 2] = (levels[0].shape[1] - 1) / 2, (levels[0].shape[0] - 1) / 2
    to_canvas = (to_canvas @ np.linalg.inv(place))[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen_depth = cv2.warpAffine(depth, to_canvas, (width, height), flags=flags)
    sigma = np.abs(seen_depth - k) * blur_px_per_slice
    result = np.zeros((height, width, 3), np.float32)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    for n, level in enumerate(levels):
        below = _SIGMAS[n - 1] if n else -1.0
        above = _SIGMAS[n + 1] if n + 1 < len(_SIGMAS) else np.inf
        rising = np.clip((sigma - below) / (_SIGMAS[n] - below), 0, 1)
        falling = (
            np.ones_like(sigma)
            if np.isinf(above)
            else np.clip((above - sigma) / (above - _SIGMAS[n]), 0, 1)
        )
        share = np.minimum(rising, falling).astype(np.float32)[:, :, np.newaxis]
        if share.any():
            result += share * cv2.warpAffine(
                level, to_canvas, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT
            )
    return result


def _spoil(rng: np.random.Generator, light: Floats, how: str) -> Floats:
    height, width = light.shape[:2]
    if how == "covered":
        # Something dark and out of focus reaches in from a side, as far as the specimen.
        cover = np.zeros((height, width), np.float32)
        reach = rng.uniform(0.3, 0.45)
        centre = (int(rng.uniform(0.3, 0.7) * width), int(rng.choice([0, height - 1])))
        axes = (int(reach * width), int(reach * height * 1.4))
        cv2.ellipse(cover, centre, axes, 0, 0, 360, 1.0, -1)
        cover = cv2.GaussianBlur(cover, (0, 0), rng.uniform(3, 10))[:, :, np.newaxis]
        return np.asarray(light * (1 - cover) + cover * rng.uniform(0.003, 0.03), np.float32)
    if how == "hidden":
        return np.full_like(light, rng.uniform(0.001, 0.05))
    if how == "dark":
        return light / np.float32(2 ** rng.uniform(5, 8))
    if how == "bright":
        return light * np.float32(2 ** rng.uniform(3.5, 6))
    if how == "empty":
        return np.full_like(light, rng.uniform(0.2, 1.2))
    if how == "stranger":
        return np.ascontiguousarray(
            cv2.resize(
                _scene(rng, height, width, str(rng.choice(["textured", "shapes"])), width),
                (width, height),
            )
        )
    return np.ascontiguousarray(light[::-1, ::-1])


def _develop(
    rng: np.random.Generator, light: Floats, noise: float, quality: int
) -> npt.NDArray[np.uint8]:
    light = np.clip(light, 0, 1)
    display = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    # Grain of a sensor: about even in display values, none where the sensor clips.
    grain = rng.normal(0, noise, display.shape) * (light < 1) * (display > 1.5)
    pixels = np.clip(np.rint(display + grain), 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(decoded, np.uint8)


@dataclass
class Tally:
    """What became of the frames of many stacks."""

    stacks: int = 0
    frames: Counter[str] = field(default_factory=Counter)
    silent: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    false_doubts: list[str] = field(default_factory=list)
    clean_stacks: int = 0
    errors_px: list[float] = field(default_factory=list)

    def take(self, seed: int) -> None:
        """Align one stack and judge every frame but the reference."""
        made = make_known_stack(seed)
        outcomes = align_all(made)
        self.stacks += 1
        clean = not made.spoilt
        self.clean_stacks += clean
        height, width = made.frames[0].shape[:2]
        for k, outcome in enumerate(outcomes[1:], 1):
            about = f"seed {seed} frame {k} ({made.ground}, {made.motion}, {made.spoilt}): "
            how = made.spoilt.get(k)
            off = None
            if outcome.transform is not None:
                off = error_px(outcome.transform, made.transforms[k], width, height)
            doubted = outcome.transform is None or outcome.doubt is not None
            right = off is not None and off <= BOUND_PX
            told = f"off {off if off is None else round(off, 2)} px, {outcome.doubt}"
            if how is not None and how != "upside-down":
                self.frames[f"{how}, {'told' if doubted else 'SILENT'}"] += 1
                if not doubted:
                    self.silent.append(about + told)
                continue
            if how is None:
                assert off is None or np.isfinite(off)
                self.errors_px.append(np.inf if off is None else off)
            kind = "good frame" if how is None else how
            self.frames[
                f"{kind}, {'right' if right else 'wrong or left out'}"
                f"{', told' if doubted else '' if right else ', SILENT'}"
            ] += 1
            if not right and not doubted:
                self.silent.append(about + told)
            if how is None and not right:
                self.missed.append(about + told)
            if right and doubted and how is None:
                self.false_doubts.append(about + told)

    def summary(self) -> str:
        good = sum(n for kind, n in self.frames.items() if kind.startswith("good"))
        right = sum(n for kind, n in self.frames.items() if kind.startswith("good frame, right"))
        lines = [f"{self.stacks} stacks, {self.clean_stacks} without a spoilt frame"]
        lines += [f"  {kind}: {n}" for kind, n in sorted(self.frames.items())]
        lines.append(f"good frames aligned within {BOUND_PX} px: {right} of {good}")
        lines.append(f"silent wrong results: {len(self.silent)}")
        lines.append(f"false doubts on right frames: {len(self.false_doubts)} of {right}")
        known = sorted(self.errors_px)
        if known:
            shares = (50, 90, 98)
            at = [known[int((len(known) - 1) * share / 100)] for share in shares]
            errors = [f"{share} % {px:.3f}" for share, px in zip(shares, at, strict=True)]
            lines.append(f"errors px: {', '.join(errors)}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Outcome:
    """(2, 3) transform, ``None`` where the frame was left out; and what was said about it."""

    transform: Matrix | None
    doubt: str | None


def align_all(made: KnownStack) -> list[Outcome]:
    """As ``macrorail stack`` does it: a look ahead, then frame after frame."""
    stacker = Stacker("fast", depth=False)
    for k, frame in enumerate(made.frames[:AHEAD]):
        stacker.look_ahead(frame, k, None)
    outcomes = []
    for k, frame in enumerate(made.frames):
        try:
            report = stacker.add(frame, k)
        except AlignError as error:
            outcomes.append(Outcome(None, str(error)))
        except StackError as error:
            raise AssertionError(f"not about the alignment: {error}") from error
        else:
            outcomes.append(Outcome(report.transform, report.doubt))
    return outcomes


def error_px(found: Matrix, true: Matrix, width: int, height: int) -> float:
    """RMS distance of the two over the part of the frame that lies on the reference, pixels."""
    x, y = np.meshgrid(np.linspace(0, width - 1, 25), np.linspace(0, height - 1, 17))
    points = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    laid = (true @ points)[:2]
    inside = (laid >= 0).all(axis=0) & (laid[0] <= width - 1) & (laid[1] <= height - 1)
    apart = (found[:2] @ points - laid)[:, inside]
    return float(np.sqrt((apart**2).sum(axis=0).mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="stacks")
    parser.add_argument("--seed", type=int, default=1, help="of the first stack")
    parser.add_argument("--verbose", action="store_true", help="list every missed frame")
    given = parser.parse_args()
    tally = Tally()
    for seed in range(given.seed, given.seed + given.count):
        tally.take(seed)
    print(tally.summary())
    for line in tally.silent:
        print("SILENT", line)
    if given.verbose:
        for line in tally.missed:
            print("missed", line)
        for line in tally.false_doubts:
            print("doubt", line)
    if tally.silent:
        sys.exit(1)


if __name__ == "__main__":
    main()
