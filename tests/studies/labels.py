"""Labels made at random, photographed badly: how many are read, and is a wrong id ever accepted?

``python -m tests.studies.labels`` prints the tables of docs/evidence/labels-and-grouping.md. Each
label is a Data Matrix or QR code on a pale card before a textured ground, turned, tilted, blurred,
unevenly lit and noisy. Every second one belongs to a specimen that the list does not know or bears
a wrong check
digit: an id accepted from these is a wrong one, too.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import zxingcpp

from macrorail.config.identity import IdentitySection
from macrorail.errors import IdentityError
from macrorail.identity.check_digits import with_check
from macrorail.identity.labels import read_labels
from macrorail.identity.resolver import Identity, IdResolver

KINDS = ("DataMatrix", "QRCode")
MODULES_PX = (2.0, 3.0, 4.0, 6.0, 10.0)
ANGLES_DEG = (0, 10, 30, 45, 90)
BLURS = (0.0, 0.3, 0.4, 0.5, 0.7)
NOISES = (0, 10, 25, 50)

_WIDTH, _HEIGHT = 640, 480


@dataclass(frozen=True)
class Shot:
    """How a label is photographed.

    Attributes
    ----------
    kind
        ``DataMatrix`` or ``QRCode``.
    module_px
        Size of the code's smallest square.
    angle_deg
        Turned in the plane.
    blur
        Standard deviation of the blur, in modules.
    noise
        Standard deviation, 8-bit steps.
    """

    kind: str
    module_px: float = 4.0
    angle_deg: float = 10.0
    blur: float = 0.3
    noise: float = 10.0


def photograph(text: str, shot: Shot, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """(480, 640) grey picture of a label; angle and place vary a little."""
    kind: Any = getattr(zxingcpp.BarcodeFormat, shot.kind)
    code = np.array(zxingcpp.create_barcode(text, kind).to_image(scale=8, add_quiet_zones=True))
    card = np.pad(code, 24, constant_values=255).astype(np.float32)
    card = 40 + card / 255 * 180  # ink is not black, paper is not white
    scale = shot.module_px / 8
    angle = np.deg2rad(shot.angle_deg + rng.uniform(-3, 3))
    height, width = card.shape
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    placed = (corners - corners.mean(0)) * scale @ turn.T
    # A few degrees of tilt: one side is nearer.
    placed *= 1 + placed @ rng.uniform(-0.0004, 0.0004, (2, 1))
    placed += np.array([_WIDTH / 2, _HEIGHT / 2]) + rng.uniform(-20, 20, 2)
    warp = cv2.getPerspectiveTransform(corners, placed.astype(np.float32))
    ground = cv2.GaussianBlur(rng.normal(0, 60, (_HEIGHT, _WIDTH)).astype(np.float32), (0, 0), 3)
    # Area sampling, as a sensor does.
    soft = cv2.GaussianBlur(card, (0, 0), max(0.3, 0.4 / scale))
    picture = np.asarray(110 + 2 * ground, np.float32)
    cv2.warpPerspective(
        soft,
        warp,
        (_WIDTH, _HEIGHT),
        dst=picture,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_TRANSPARENT,
    )
    if shot.blur:
        picture = cv2.GaussianBlur(picture, (0, 0), shot.blur * shot.module_px)
    slope = np.linspace(*rng.uniform(0.7, 1.1, 2), _WIDTH, dtype=np.float32)
    noisy = picture * slope + rng.normal(0, shot.noise, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


@dataclass
class Deciders:
    """A list and a check digit, each by itself."""

    folder: Path
    known: tuple[str, ...]

    def __post_init__(self) -> None:
        (self.folder / "list.csv").write_text("id\n" + "\n".join(self.known) + "\n")

    def registrars(self) -> Iterator[tuple[str, IdResolver]]:
        settings = {"from": "frame", "repeats": "allow"}
        listed = IdentitySection.model_validate({**settings, "list": "list.csv"})
        checked = IdentitySection.model_validate({**settings, "check_digit": "iso7064-mod37-36"})
        yield "list", IdResolver(listed, self.folder)
        yield "check digit", IdResolver(checked, self.folder)


def try_label(shot: Shot, number: int, deciders: Deciders, counts: Counter[str]) -> None:
    """Photograph one label, decide about it both ways, count what happened."""
    rng = np.random.default_rng([number, KINDS.index(shot.kind)])
    good = number % 2 == 0
    text = deciders.known[number % len(deciders.known)]
    if not good:
        text = _altered(text, random.Random(number))
    counts["labels"] += 1
    read = read_labels(photograph(text, shot, rng))
    counts["read"] += bool(read)
    for name, registrar in deciders.registrars():
        for identity in _accepted(registrar, read):
            right = good and identity.id == text
            counts["right" if right else "wrong"] += 1
            if not right:
                print(f"WRONG by {name}: {text} became {identity.id}", file=sys.stderr)


def _accepted(registrar: IdResolver, read: list[str]) -> Iterator[Identity]:
    for text in read:
        try:
            yield registrar.accept(text, claim=False)
        except IdentityError:
            continue


def _altered(text: str, rng: random.Random) -> str:
    """Another id: one letter of it is another."""
    place = rng.randrange(5, len(text))
    letters = "0123456789".replace(text[place], "")
    return text[:place] + rng.choice(letters) + text[place + 1 :]


def known_ids(count: int = 400) -> tuple[str, ...]:
    """Ids as museums print them, with a check character."""
    rng = random.Random(7)
    numbers = rng.sample(range(10_000_000, 99_999_999), count)
    return tuple(with_check(f"NHMUK{number}", "iso7064-mod37-36") for number in numbers)


def table(
    title: str, name: str, values: tuple[float, ...], count: int, deciders: Deciders
) -> tuple[str, Counter[str]]:
    """Read rates along one parameter, the others as they are by default."""
    rows = []
    total: Counter[str] = Counter()
    for kind in KINDS:
        cells = []
        for value in values:
            counts: Counter[str] = Counter()
            for number in range(count):
                try_label(Shot(kind, **{name: value}), number, deciders, counts)
            cells.append(f"{counts['read'] / counts['labels']:.0%}")
            total += counts
        rows.append(f"| {kind} | " + " | ".join(cells) + " |")
    head = f"| {title} | " + " | ".join(f"{value:g}" for value in values) + " |"
    return "\n".join([head, "|---" * (len(values) + 1) + "|", *rows]), total


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.studies.labels", description=__doc__)
    parser.add_argument("--labels", type=int, default=100, help="for each cell")
    arguments = parser.parse_args()
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        deciders = Deciders(Path(folder), known_ids())
        tables = (
            ("module, px", "module_px", MODULES_PX),
            ("angle, degrees", "angle_deg", tuple(map(float, ANGLES_DEG))),
            ("blur (sigma), modules", "blur", BLURS),
            ("noise (sigma), 8-bit steps", "noise", tuple(map(float, NOISES))),
        )
        for title, name, values in tables:
            text, counts = table(title, name, values, arguments.labels, deciders)
            print(text, end="\n\n", flush=True)
            total += counts
    print(
        f"{total['labels']} labels, {total['read']} read; {total['right']} ids accepted, "
        f"{total['wrong']} of them wrong"
    )
    sys.exit(total["wrong"] > 0)


if __name__ == "__main__":
    main()
