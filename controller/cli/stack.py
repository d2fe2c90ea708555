"""``macrorail stack``: align and blend photographs that exist already, or a run again."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from controller.cli.messages import message_console
from controller.errors import ConfigError, StackError
from controller.journal import JOURNAL, read_journal
from controller.stacking.images import (
    Picture,
    is_picture,
    read_picture,
    write_depth,
    write_picture,
)
from controller.stacking.register import Motion
from controller.stacking.stacker import Stacker
from controller.stacking.stream_worker import peak_rss_mb


@dataclass(frozen=True)
class Source:
    """A frame to stack.

    Attributes
    ----------
    index
        Of its slice in a run, or its place among the files from 0.
    path
        Where it lies.
    z_um
        Its position, micrometres, when it comes from a run.
    """

    index: int
    path: Path
    z_um: float | None = None


class QualityChoice(Enum):
    """``controller.stacking.blend.Quality`` as an option."""

    FAST = "fast"
    BEST = "best"


class Crop(Enum):
    """What part of the reference frame is written."""

    NONE = "none"
    VALID = "valid"


def stack(
    sources: Annotated[
        list[Path], typer.Argument(metavar="FOLDER|FILES...", help="frames, or a run folder")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="fused picture: .tif (16 bit), .png or .jpg")
    ],
    reference: Annotated[
        str, typer.Option(help="whose geometry the result has: first, middle, or a number from 1")
    ] = "first",
    depth: Annotated[Path | None, typer.Option(help="also write the depth map (.tif)")] = None,
    quality: Annotated[
        QualityChoice, typer.Option(help="fast: half the time, colour and grain a little softer")
    ] = QualityChoice.BEST,
    align: Annotated[
        Motion, typer.Option(help="what may differ between frames besides their focus")
    ] = Motion.SIMILARITY,
    crop: Annotated[
        Crop, typer.Option(help="valid: only what all frames show; none: the reference's size")
    ] = Crop.NONE,
    as_json: Annotated[
        bool, typer.Option("--json", help="print figures and transforms as JSON")
    ] = False,
) -> None:
    """Align and blend a focus stack into one sharp picture.

    A folder's pictures are taken in natural order. A run folder is stacked again in its own order
    of fusion, which gives the same pixels as the run did. The result has the size and geometry of
    the reference frame, unless cropped.

    Examples:

      macrorail stack photos/ -o fused.tif

      macrorail stack a.jpg b.jpg c.jpg -o fused.png --reference middle --depth depth.tif

      macrorail stack runs/20261122-200000-beetle -o again.tif
    """
    console = message_console()
    frames = find_frames(sources)
    first = reference_place(reference, len(frames))
    order = frames[first:] + frames[:first][::-1]
    started_s = time.monotonic()
    stacker = Stacker(quality.value, align)
    with Progress(
        TextColumn("{task.description:<9}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("stacking", total=len(order))
        for frame, picture in read_ahead(order):
            stacker.add(picture, frame.index, frame.z_um, frame.path.name)
            progress.advance(task)
        last_frame_s = time.monotonic()
        progress.update(task, description="finishing")
        fused = stacker.finish()
        done_s = time.monotonic()
        progress.update(task, description="writing")
        x, y, width, height = fused.valid_rect
        kept = (slice(None), slice(None))
        if crop is Crop.VALID:
            if width == 0 or height == 0:
                raise StackError("no pixel is covered by all frames; stack without --crop valid")
            kept = (slice(y, y + height), slice(x, x + width))
        write_picture(output, fused.image[kept])
        if depth is not None:
            write_depth(depth, fused.depth[kept])
    if not as_json:
        typer.echo(output)
        return
    transforms = {report.index: report.transform.tolist() for report in fused.reports}
    typer.echo(
        json.dumps(
            {
                "frames": [str(frame.path) for frame in frames],
                "reference": str(frames[first].path),
                "seconds": round(done_s - started_s, 3),
                "seconds_after_last_frame": round(done_s - last_frame_s, 3),
                "peak_rss_mb": peak_rss_mb(),
                "transforms": [transforms[frame.index] for frame in frames],
                "valid_rect": list(fused.valid_rect),
            }
        )
    )


def find_frames(sources: list[Path]) -> list[Source]:
    """The frames that the arguments name, in the order in which they are to be fused.

    Raises
    ------
    ConfigError
        Nothing there, no pictures in it, or folder and files mixed.
    """
    for path in sources:
        if not path.exists():
            raise ConfigError(f"{path} does not exist")
    folders = [path for path in sources if path.is_dir()]
    if folders and len(sources) > 1:
        raise ConfigError(f"give one folder, or files; {folders[0]} is a folder among others")
    if folders and (folders[0] / JOURNAL).exists():
        return _frames_of_run(folders[0])
    paths = sources
    if folders:
        paths = sorted((path for path in folders[0].iterdir() if is_picture(path)), key=_natural)
        if not paths:
            raise ConfigError(f"{folders[0]} holds no pictures (JPEG, PNG or TIFF)")
    return [Source(index, path) for index, path in enumerate(paths)]


def read_ahead(frames: list[Source]) -> Iterator[tuple[Source, Picture]]:
    """The frames' pictures in their order, the next one being read while one is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="reader") as reader:
        coming = reader.submit(read_picture, frames[0].path)
        for frame, following in zip(frames, [*frames[1:], None], strict=True):
            picture = coming.result()
            if following is not None:
                coming = reader.submit(read_picture, following.path)
            yield frame, picture


def reference_place(reference: str, count: int) -> int:
    """Place from 0 of the reference among ``count`` frames.

    Raises
    ------
    ConfigError
        Not ``first``, ``middle`` or a number from 1 to ``count``.
    """
    if reference == "first":
        return 0
    if reference == "middle":
        return count // 2
    if reference.isdecimal() and 1 <= int(reference) <= count:
        return int(reference) - 1
    raise ConfigError(
        f"--reference {reference}: must be first, middle or a number from 1 to {count}"
    )


def _frames_of_run(folder: Path) -> list[Source]:
    """A run's counted frames in the order in which they were fused."""
    entries = read_journal(folder / JOURNAL)
    left_out = {e.fields["number"] for e in entries if e.event == "aligned" and "error" in e.fields}
    frames = [
        Source(e.fields["slice"], folder / e.fields["frame"], e.fields["achieved_um"])
        for e in entries
        if e.event == "counted" and e.fields["slice"] not in left_out
    ]
    if not frames:
        raise ConfigError(f"{folder} is a run without a finished slice; there is nothing to stack")
    return frames


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key under which frame 9 comes before frame 10."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
