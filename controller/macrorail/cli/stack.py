"""``macrorail stack``: align and blend photographs that exist already, or a run again."""

from __future__ import annotations

import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from macrorail.batch.frames import (
    Source,
    add_frames,
    chosen,
    find_frames,
    fusion_order,
    look_ahead,
    run_alignment,
)
from macrorail.cli.messages import message_console
from macrorail.errors import ConfigError, StackError
from macrorail.run_folder.journal import JOURNAL
from macrorail.stacking.alignment import Alignment, load_alignment
from macrorail.stacking.alignment import save_alignment as write_alignment
from macrorail.stacking.exif import stack_tags
from macrorail.stacking.images import colour_profile, write_depth, write_picture
from macrorail.stacking.register import Motion
from macrorail.stacking.slices import load_slices
from macrorail.stacking.smooth import Method
from macrorail.stacking.stacker import Stacker
from macrorail.stacking.stream_worker import peak_rss_mb


class QualityChoice(Enum):
    """``macrorail.stacking.blend.Quality`` as an option."""

    FAST = "fast"
    BEST = "best"


class Exposure(Enum):
    """What is done about frames that differ in brightness or white."""

    EQUAL = "equal"
    AS_SHOT = "as-shot"


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
    depth: Annotated[
        Path | None,
        typer.Option(
            help="also write the depth map (.tif), and beside it NAME-confidence.png: how much of "
            "it is to be believed, black not at all, white fully"
        ),
    ] = None,
    quality: Annotated[
        QualityChoice, typer.Option(help="fast: less time and memory, fine colour a little softer")
    ] = QualityChoice.BEST,
    method: Annotated[
        Method,
        typer.Option(
            help="pyramid: hairs and overlap; depth-map: smooth surfaces, colours as shot; auto: "
            "each where it is good"
        ),
    ] = Method.PYRAMID,
    align: Annotated[
        Motion | None,
        typer.Option(
            help="what may differ between frames besides their focus; similarity unless given, "
            "and a run folder's frames then lie as the run has laid them",
            show_default=False,
        ),
    ] = None,
    alignment: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|RUN",
            help="lay the frames as another set of the same slices, under other light: a file of "
            "--save-alignment, or a run folder",
        ),
    ] = None,
    save_alignment: Annotated[
        Path | None, typer.Option(help="also write how the frames lie (.json), for --alignment")
    ] = None,
    slices: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="what is known of loose frames: plan.json of a run, or a CSV table with "
            "position_um and scale; depth is then in micrometres, alignment begins at the scale",
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBERS", help="some of the frames: slices of a run, places of files: 3-9,12"
        ),
    ] = None,
    exposure: Annotated[
        Exposure, typer.Option(help="equal: all frames as bright, and as white, as the reference")
    ] = Exposure.EQUAL,
    memory: Annotated[
        str | None,
        typer.Option(
            help="the most to take, such as '2 GB'; what has no room lies in a file beside the "
            "output meanwhile"
        ),
    ] = None,
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

      macrorail stack runs/20261122-200000-beetle --only 12-30 -o slab.tif

      macrorail stack left-light/ -o left.tif --save-alignment lies.json

      macrorail stack right-light/ -o right.tif --alignment lies.json
    """
    console = message_console()
    if align is not None and alignment is not None:
        raise ConfigError("give --align or --alignment: one looks for how frames lie, one knows it")
    frames = find_frames(sources)
    known = _known_alignment(sources, frames, align, alignment)
    wanted = frames if only is None else chosen(frames, only)
    if slices is not None:
        indices = {frame.index for frame in wanted}
        wanted = [frame for frame in _told(frames, slices) if frame.index in indices]
    frames = wanted
    order = fusion_order(frames, reference)
    started_s = time.monotonic()
    stacker = Stacker(
        quality.value,
        align or Motion.SIMILARITY,
        known,
        equalise=exposure is Exposure.EQUAL,
        method=method,
        allowed_bytes=math.inf if memory is None else _bytes(memory),
        scratch=output.parent,
        depth=depth is not None,
    )
    with Progress(
        TextColumn("{task.description:<9}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("looking", total=len(order))
        look_ahead(stacker, order)
        progress.update(task, description="stacking")
        for _ in add_frames(stacker, order):
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
        first = order[0].path
        tags = stack_tags(first, len(order))
        with ThreadPoolExecutor(1, thread_name_prefix="depth") as beside:
            written = None
            if depth is not None:
                written = beside.submit(
                    write_depth, depth, fused.depth[kept], fused.confidence[kept]
                )
            write_picture(output, fused.image[kept], icc=colour_profile(first), exif=tags)
            if written is not None:
                written.result()
        if save_alignment is not None:
            write_alignment(save_alignment, stacker.alignment)
    for report in fused.reports:
        if report.doubt is not None:
            console.print(report.doubt, style="yellow", highlight=False)
    if not as_json:
        typer.echo(output)
        return
    reports = {report.index: report for report in fused.reports}
    closings = [reports[frame.index].closing for frame in frames]
    typer.echo(
        json.dumps(
            {
                "frames": [str(frame.path) for frame in frames],
                "reference": str(order[0].path),
                "seconds": round(done_s - started_s, 3),
                "seconds_after_last_frame": round(done_s - last_frame_s, 3),
                "peak_rss_mb": peak_rss_mb(),
                "transforms": [reports[frame.index].transform.tolist() for frame in frames],
                "closing_px": [None if one is None else round(one.error_px, 3) for one in closings],
                "doubts": [report.doubt for report in fused.reports if report.doubt is not None],
                "valid_rect": list(fused.valid_rect),
            }
        )
    )


def _told(frames: list[Source], path: Path) -> list[Source]:
    """The frames with their positions and scales from a file."""
    known = load_slices(path)
    if len(known) != len(frames):
        raise ConfigError(
            f"{path} tells of {len(known)} slices, and there are {len(frames)} frames to stack"
        )
    return [
        replace(frame, z_um=one.position_um, scale=one.scale)
        for frame, one in zip(frames, known, strict=True)
    ]


def _bytes(text: str) -> float:
    from macrorail.quantity import parse_size

    try:
        return parse_size(text)
    except ValueError as error:
        raise ConfigError(f"--memory {error}") from error


def _known_alignment(
    sources: list[Path], frames: list[Source], align: Motion | None, given: Path | None
) -> Alignment | None:
    """How the frames are known to lie: as was asked for, or as the run has laid them."""
    is_run = (sources[0] / JOURNAL).exists()
    if given is None:
        return run_alignment(sources[0]) if is_run and align is None else None
    known = run_alignment(given) if given.is_dir() else load_alignment(given)
    if known is None:
        raise ConfigError(f"{given} is a run that has not placed all of its frames")
    return known.of_slices([frame.index for frame in frames])
