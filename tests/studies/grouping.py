"""Mixed folders of photographs, made at random: is every stack found, every loss and stray named?

``python -m tests.studies.grouping --cases 20000``. A folder holds several stacks by one or two
cameras, some with frames missing, and pictures that belong to none. What the photographs do not
say cannot be found, so cases keep to what is decidable: without focus tags a stray stands at least
six intervals apart from stacks, and with them it does not continue a stack's own course; where
files were renamed without a gap, distances are given to a tenth of a millimetre.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from macrorail.batch.grouping import group
from macrorail.batch.photo import Photo


@dataclass
class Folder:
    """A made folder and the truth about it."""

    photos: list[Photo] = field(default_factory=list)
    stacks: set[frozenset[Path]] = field(default_factory=set)
    strays: set[Path] = field(default_factory=set)
    missing: Counter[str] = field(default_factory=Counter)


@dataclass
class Camera:
    """What one camera and its owner do."""

    kind: tuple[str, ...]
    series: str
    number: int
    ticks: bool
    focus: bool
    counts: bool
    renames: bool

    @property
    def per_m(self) -> int:
        """EXIF's distances are whole millimetres here; finer where nothing else tells a loss."""
        return 10_000 if self.renames else 1_000

    def shoot(self, taken_s: float, vergence: float, sequence: int | None) -> Photo:
        """The next photograph."""
        number, self.number = self.number, self.number % 9999 + 1
        return Photo(
            Path(f"{self.series}{number:04d}.jpg"),
            self.kind,
            float(int(taken_s)) if self.ticks else round(taken_s, 2),
            1 / (round(self.per_m / vergence) / self.per_m) if self.focus else None,
            self.series,
            number,
            sequence if self.counts else None,
        )

    def skip(self) -> None:
        """A frame that is lost; a program that renames leaves no gap in its numbers."""
        if not self.renames:
            self.number = self.number % 9999 + 1


def make_folder(rng: random.Random) -> Folder:
    """A folder at random."""
    folder = Folder()
    for index in range(rng.choice([1, 1, 2])):
        tags = rng.random() < 0.5
        camera = Camera(
            (".jpg", "600x400", f"camera {index}"),
            ("IMG_", "_DSC")[index],
            rng.choice([1, 40, rng.randrange(9990, 9999)]),
            ticks=rng.random() < 0.5,
            focus=tags,
            counts=rng.random() < 0.15,
            renames=tags and rng.random() < 0.3,
        )
        _shoot(camera, folder, rng)
    rng.shuffle(folder.photos)
    return folder


def _shoot(camera: Camera, folder: Folder, rng: random.Random) -> None:
    now_s = 1.7e9 + rng.random() * 1000
    interval_s = rng.choice([0.1, 0.5, 1.0, 2.5, 6.0, 15.0])
    if camera.ticks:
        # A clock of whole seconds tells nothing about paces below one.
        interval_s = max(interval_s, 1.0)
    stacks = rng.randint(1, 4)
    stray_before = rng.randrange(stacks + 1) if rng.random() < 0.7 else -1
    near, step = rng.uniform(3.0, 4.0), rng.uniform(0.03, 0.06)
    for which in range(stacks + 1):
        if which == stray_before:
            now_s = _stray(camera, folder, rng, now_s, interval_s, near)
        if which < stacks:
            now_s = _stack(camera, folder, rng, now_s, interval_s, near, step)
            now_s += _pause_s(camera, rng, interval_s)


def _pause_s(camera: Camera, rng: random.Random, interval_s: float) -> float:
    """Between stacks: with focus tags or counts the next may follow at once."""
    if camera.focus or camera.counts:
        return rng.choice([0.0, 3 * interval_s, 60.0])
    return 2.5 + interval_s * rng.uniform(6, 60)


def _stray(
    camera: Camera, folder: Folder, rng: random.Random, now_s: float, interval_s: float, near: float
) -> float:
    # Far from where stacks are, or a while away from them.
    if camera.focus and rng.random() < 0.5:
        vergence, apart_s = near / 4, interval_s * rng.uniform(1, 3)
    else:
        vergence, apart_s = near * rng.uniform(0.9, 1.1), 2.5 + interval_s * rng.uniform(6, 20)
    now_s += apart_s
    photo = camera.shoot(now_s, vergence, None)
    folder.photos.append(photo)
    folder.strays.add(photo.path)
    return now_s + apart_s


def _stack(
    camera: Camera,
    folder: Folder,
    rng: random.Random,
    now_s: float,
    interval_s: float,
    near: float,
    step: float,
) -> float:
    count = rng.randint(5, 30)
    lost = {rng.randrange(2, count - 1)} if rng.random() < 0.5 else set()
    frames: list[Photo] = []
    for k in range(count):
        now_s += interval_s * rng.uniform(0.85, 1.15)
        if k in lost:
            camera.skip()
            continue
        frames.append(camera.shoot(now_s, near - k * step, k + 1))
        if k - 1 in lost:
            names = f"{frames[-2].path.name} and {frames[-1].path.name}"
            folder.missing[f"1 frame is missing between {names}"] += 1
    folder.photos += frames
    folder.stacks.add(frozenset(photo.path for photo in frames))
    return now_s


def trouble(folder: Folder) -> str:
    """What the grouping got wrong, or nothing."""
    found = group(folder.photos)
    stacks = {frozenset(photo.path for photo in one.photos) for one in found.stacks}
    strays = {photo.path for photo, _ in found.strays}
    missing = Counter(sentence for one in found.stacks for sentence in one.missing)
    if stacks != folder.stacks:
        sizes = sorted(len(one) for one in folder.stacks), sorted(len(one) for one in stacks)
        return f"stacks of {sizes[0]} became {sizes[1]}"
    if strays != folder.strays:
        return f"strays {sorted(map(str, strays))} instead of {sorted(map(str, folder.strays))}"
    if missing != folder.missing:
        return f"missing {dict(missing)} instead of {dict(folder.missing)}"
    return ""


def main() -> None:
    """Try cases; list those that went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.studies.grouping", description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    totals: Counter[str] = Counter()
    for seed in range(arguments.seed, arguments.seed + arguments.cases):
        folder = make_folder(random.Random(seed))
        totals["photographs"] += len(folder.photos)
        totals["stacks"] += len(folder.stacks)
        totals["strays"] += len(folder.strays)
        totals["frames missing"] += folder.missing.total()
        wrong = trouble(folder)
        if wrong:
            totals["wrong"] += 1
            print(f"seed {seed}: {wrong}", file=sys.stderr)
    print(f"{arguments.cases} folders: {dict(totals)}; {totals['wrong']} wrong")
    sys.exit(totals["wrong"] > 0)


if __name__ == "__main__":
    main()
