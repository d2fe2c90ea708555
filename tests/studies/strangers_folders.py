"""Folders as people have them, made at random: are the frames found, in the order they were taken?

A part of :mod:`tests.studies.strangers_files`. A folder holds one stack whose order is known, named
and timed by a camera or a program, and beside it what cameras, systems and macrorail leave there.
Right is the true list, without a doubt where nothing is doubtful; where frames are lost or the
evidence contradicts itself, a refusal or a doubt.
"""

from __future__ import annotations

import io
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from macrorail.batch.finding import find_stacks
from macrorail.batch.frame_list import FrameFiles, frames_in, frames_named
from macrorail.batch.job import BatchSettings
from macrorail.errors import ConfigError, StackError
from macrorail.stacking.metadata import result_metadata
from macrorail.stacking.writing import write_picture
from tests.made_raw import write_raw

_SIZE = (24, 18)


@dataclass
class Made:
    """A folder and the truth about it.

    Attributes
    ----------
    frames
        In the order in which they were taken.
    others
        Names that must be passed over.
    doubtful
        Evidence contradicts itself: a doubt is due.
    refused
        Frames would be lost: a refusal is due.
    may_doubt
        A doubt is right as well.
    """

    what: list[str] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    others: set[str] = field(default_factory=set)
    times: list[float | None] = field(default_factory=list)
    doubtful: bool = False
    refused: bool = False
    may_doubt: bool = False


def _when(taken_s: float) -> datetime:
    return datetime.fromtimestamp(int(taken_s), UTC)


def _jpeg(
    path: Path, taken_s: float | None, fractions: bool, size: tuple[int, int] = _SIZE
) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Maker", "Model 7"
    if taken_s is not None:
        details = exif.get_ifd(0x8769)
        details[0x9003] = f"{_when(taken_s):%Y:%m:%d %H:%M:%S}"
        if fractions:
            details[0x9291] = f"{int(taken_s % 1 * 100):02d}"
    data = io.BytesIO()
    Image.new("RGB", size, "gray").save(data, "JPEG", exif=exif)
    path.write_bytes(data.getvalue())


def _names(rng: random.Random, count: int, made: Made) -> list[str]:
    how = rng.choice(["camera", "camera", "wrap", "wrap", "plain", "hashed", "reset", "prefix"])
    made.what.append(how)
    suffix = rng.choice([".jpg", ".JPG", ".jpeg"])
    prefix, digits = rng.choice([("IMG_", 4), ("DSC_", 4), ("_MG_", 4), ("DSC", 5), ("P", 3)])
    end = 10**digits - 1
    if how == "camera":
        first = rng.randrange(1, end - 2 * count)
        step = rng.choice([1, 1, 1, 2])
        return [f"{prefix}{first + step * k:0{digits}d}{suffix}" for k in range(count)]
    if how == "wrap":
        numbers = [*range(end - rng.randrange(0, count - 1), end + 1)]
        numbers += [*range(rng.choice([0, 1]), count)]
        return [f"{prefix}{number:0{digits}d}{suffix}" for number in numbers[:count]]
    if how == "plain":
        return [f"slice {k}{suffix}" for k in range(8, 8 + count)]
    if how == "hashed":
        return [f"{rng.getrandbits(48):012x}{suffix}" for _ in range(count)]
    if how == "reset":
        numbers = [*range(51, 51 + count // 2), *range(1, 1 + count - count // 2)]
        return [f"{prefix}{number:0{digits}d}{suffix}" for number in numbers]
    half = count // 2
    names = [f"IMG_{9000 + k}{suffix}" for k in range(half)]
    return names + [f"EOS_{1 + k:04d}{suffix}" for k in range(count - half)]


def _times(rng: random.Random, count: int, made: Made) -> tuple[list[float | None], bool]:
    how = rng.choice(["fractions", "fractions", "whole", "burst", "none", "equal"])
    if made.what[0] in ("hashed", "reset", "prefix"):
        how = rng.choice(["fractions", "whole"])  # nothing else tells their order
    made.what.append(how)
    start = 1.75e9 + rng.random() * 1e6
    if how == "none":
        return [None] * count, False
    if how == "equal":
        return [start] * count, False
    interval = {"fractions": 0.4, "whole": 2.3, "burst": 0.3}[how]
    return [start + interval * k for k in range(count)], how == "fractions"


def make_folder(rng: random.Random, folder: Path) -> Made:
    """A folder at random; what is in it is written."""
    made = Made()
    count = rng.randrange(4, 9)
    made.frames = _names(rng, count, made)
    made.times, fractions = _times(rng, count, made)
    has_times = made.what[1] in ("fractions", "whole")
    steady = made.what[0] in ("camera", "plain") and has_times
    trouble = rng.choice(["", "", "", "clock", "reshot"]) if steady else ""
    times = made.times
    if trouble == "clock":
        at = rng.randrange(1, count)
        times[at:] = [t - 3600 for t in times[at:] if t is not None]
    elif trouble == "reshot":
        at = rng.randrange(0, count - 1)
        times[at] = (times[-1] or 0.0) + 60
    if trouble:
        made.doubtful = True
        made.what.append(trouble)
    # Only names tell, and they say the wrong order: wraps are found, and said.
    by_name = sorted(made.frames) if made.what[0] != "plain" else made.frames
    made.may_doubt = made.what[0] == "hashed"
    if by_name != made.frames and not made.may_doubt:
        made.doubtful = True
    for name, taken in zip(made.frames, times, strict=True):
        _jpeg(folder / name, taken, fractions)
    for add in (_systems, _own, _strangers, _raws, _losses):
        if rng.random() < 0.45:
            add(rng, folder, made)
    return made


def _systems(rng: random.Random, folder: Path, made: Made) -> None:
    """What macOS, Windows and developing programs leave behind."""
    for name in made.frames if rng.random() < 0.5 else made.frames[:1]:
        (folder / f"._{name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
        made.others.add(f"._{name}")
    for name in rng.sample([".DS_Store", "Thumbs.db", "notes.txt", "a.xmp", "desktop.ini"], 2):
        (folder / name).write_text("x")
        made.others.add(name)
    _jpeg(folder / ".hidden.jpg", None, False)
    made.others.add(".hidden.jpg")


def _own(rng: random.Random, folder: Path, made: Made) -> None:
    """Results of macrorail, under their own names and others."""
    reference = folder / made.frames[0]
    pixels = np.zeros((_SIZE[1], _SIZE[0], 3), np.uint16)
    name = rng.choice(["fused.tif", "fused.jpg", "beetle.tif", "IMG_0000.jpg", "result.png"])
    if (folder / name).exists():
        return
    write_picture(folder / name, pixels, 2.0, result_metadata(reference, 5))
    made.others.add(name)
    if rng.random() < 0.5:
        Image.new("L", _SIZE).save(folder / "depth-confidence.png")
        made.others.add("depth-confidence.png")


def _strangers(rng: random.Random, folder: Path, made: Made) -> None:
    """Another picture: of another type, or of another size."""
    name = rng.choice(["overview.png", "label.gif", "small.jpg", "scan.bmp", "sketch.tif"])
    if name == "small.jpg":
        _jpeg(folder / name, None, False, (40, 30))
    elif name == "scan.bmp":
        (folder / name).write_bytes(b"BM")
    else:
        Image.new("RGB", _SIZE).save(folder / name)
    made.others.add(name)
    if name == "small.jpg" and len(made.frames) < 4:
        made.refused = True


def _raws(rng: random.Random, folder: Path, made: Made) -> None:
    """Raw files beside: of every frame, or of all frames while JPEGs are missing."""
    picture = np.full((32, 32, 3), 90, np.uint8)
    if made.what[0] in ("hashed", "reset", "prefix") and made.what[1] == "fractions":
        return  # the time in these raw files has whole seconds
    raws = [f"{Path(name).stem}.dng" for name in made.frames]
    for name, taken_s in zip(raws, made.times, strict=True):
        when = "" if taken_s is None else f"{_when(taken_s):%Y:%m:%d %H:%M:%S}"
        write_raw(folder / name, picture, taken=when)
    if rng.random() < 0.5:
        made.others |= set(raws)
        made.what.append("pairs")
        return
    gone = rng.sample(made.frames, rng.randrange(1, len(made.frames)))
    for name in gone:
        (folder / name).unlink()
    made.others |= set(made.frames) - set(gone)
    made.frames = raws
    made.what.append("half pairs")


def _losses(rng: random.Random, folder: Path, made: Made) -> None:
    """A frame that is lost in a way that can be seen."""
    if not made.frames or made.what[-1] in ("pairs", "half pairs"):
        return
    name = rng.choice(made.frames)
    path = folder / name
    how = rng.choice(["empty", "cut", "dangling", "other type", "unreadable"])
    if how == "empty":
        path.write_bytes(b"")
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:12])
    elif how == "dangling":
        path.unlink()
        path.symlink_to(folder / "nowhere.jpg")
    elif how == "other type":
        if made.what[0] == "hashed":
            return
        path.unlink()
        path.with_suffix(".bmp").write_bytes(b"BM")
    else:
        path.write_bytes(b"\xff\xd8\xff" + rng.randbytes(200))
    made.refused = True
    made.what.append(how)


def folder_trouble(seed: int, folder: Path, count: Counter[str]) -> str:
    """What is wrong with the frames found in the folder of a seed, or nothing."""
    rng = random.Random(seed)
    inside = folder / "stack"
    inside.mkdir()
    made = make_folder(rng, inside)
    what = ", ".join(made.what)
    try:
        if rng.random() < 0.5:
            found = frames_in([inside], folder / "out.tif")
        else:
            # As a shell's pattern gives them.
            named = [path for path in sorted(inside.iterdir()) if not path.name.startswith(".")]
            made.others = {name for name in made.others if not name.startswith(".")}
            found = frames_named(named, folder / "out.tif")
    except (StackError, ConfigError) as error:
        count["refused"] += 1
        return "" if made.refused else f"{what}: refused: {error}"
    except Exception as error:
        return f"{what}: {error!r}"
    return _judged(made, found, what, count) or _batch_trouble(rng, folder, made, found, what)


def _judged(made: Made, found: FrameFiles, what: str, count: Counter[str]) -> str:
    names = [frame.path.name for frame in found.frames]
    if made.refused and not made.doubtful:
        return f"{what}: not refused: {names}"
    if made.frames and names != made.frames:
        return f"{what}: {names} instead of {made.frames}; {found.doubts}"
    if made.doubtful and not found.doubts:
        return f"{what}: no doubt"
    if found.doubts and not made.doubtful and not made.may_doubt:
        return f"{what}: {found.doubts}"
    passed = {one.path.name for one in found.passed_over}
    if passed != made.others and made.frames:
        return f"{what}: passed over {sorted(passed)} instead of {sorted(made.others)}"
    count["doubted" if made.doubtful else "clean"] += 1
    return ""


def _batch_trouble(
    rng: random.Random, folder: Path, made: Made, found: FrameFiles, what: str
) -> str:
    """The same folder below another, beside a loose picture and a link back to the top."""
    if rng.random() < 0.7:
        return ""
    _jpeg(folder / "overview.jpg", None, False)
    (folder / "loop").symlink_to(folder)
    jobs = find_stacks([folder], folder / "out", BatchSettings())
    names = [[one.path.name for one in job.frames] for job in jobs.jobs]
    if names != [[frame.path.name for frame in found.frames]] or jobs.refused:
        return f"{what}: batch found {names}, refused {jobs.refused}"
    if {one.path.name for one in jobs.passed_over} != {"overview.jpg", "loop"}:
        return f"{what}: batch passed over {jobs.passed_over}"
    return ""
