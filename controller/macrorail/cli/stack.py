"""``macrorail stack``: align and blend existing photographs, or restack a run."""

from __future__ import annotations

import json
import math
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from macrorail.cli.messages import can_redraw, message_console
from macrorail.errors import ConfigError
from macrorail.session.stack import (
    Stacked,
    StackOutputs,
    StackSettings,
    stack_photographs,
    write_stacked,
)
from macrorail.stacking.register import Motion
from macrorail.stacking.smooth import Method
from macrorail.stacking.stream_worker import peak_rss_mb


class QualityChoice(Enum):
    """Choices of ``--quality``; see ``macrorail.stacking.blend.Quality``."""

    FAST = "fast"
    BEST = "best"


class BrightnessMatching(Enum):
    """Choices of ``--exposure``: whether brightness and white balance of frames are matched."""

    EQUAL = "equal"
    AS_SHOT = "as-shot"


class Crop(Enum):
    """Choices of ``--crop``: the part of the reference frame that is written."""

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
        str,
        typer.Option(help="frame that gives the geometry: first, middle, or a number from 1"),
    ] = "first",
    depth: Annotated[
        Path | None,
        typer.Option(
            help="also write the depth map (.tif), and NAME-confidence.png with its confidence "
            "from black (none) to white (full)"
        ),
    ] = None,
    quality: Annotated[
        QualityChoice, typer.Option(help="fast: less time and memory, fine colour a little softer")
    ] = QualityChoice.BEST,
    method: Annotated[
        Method,
        typer.Option(
            help="pyramid: for hairs and overlapping parts; depth-map: for smooth surfaces, with "
            "unchanged colours; auto: the better method for each area"
        ),
    ] = Method.PYRAMID,
    align: Annotated[
        Motion | None,
        typer.Option(
            help="transform between frames; when not given, a run's recorded alignment, and a "
            "similarity for other frames",
            show_default=False,
        ),
    ] = None,
    alignment: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|RUN",
            help="reuse the alignment of the same slices shot in another light: a file from "
            "--save-alignment, or a run folder",
        ),
    ] = None,
    save_alignment: Annotated[
        Path | None, typer.Option(help="also write the alignment (.json), for --alignment")
    ] = None,
    slices: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="positions of the frames: plan.json of a run, or a CSV table with position_um and "
            "scale. The depth is then in micrometres, and alignment starts from the scale",
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBERS",
            help="frames to use, such as 3-9,12: numbers of a run's slices, or of files from 1",
        ),
    ] = None,
    exposure: Annotated[
        BrightnessMatching,
        typer.Option(help="equal: match brightness and white balance to the reference"),
    ] = BrightnessMatching.EQUAL,
    memory: Annotated[
        str | None,
        typer.Option(
            help="largest amount of memory, such as '2 GB'; further data is kept in a temporary "
            "file in the output's folder"
        ),
    ] = None,
    crop: Annotated[
        Crop,
        typer.Option(help="valid: only the area that all frames show; none: the reference's size"),
    ] = Crop.NONE,
    as_json: Annotated[
        bool, typer.Option("--json", help="print measurements and transforms as JSON")
    ] = False,
) -> None:
    """Align and blend a focus stack into one sharp picture.

    Files are put in the order in which they were taken, by the numbers in their names and their
    capture times. If a picture has RAW and JPEG files, only one of them is used. Hidden files and
    macrorail's own results are not used; files that are not used are listed. A run is restacked in
    its own order of fusion, which gives the same pixels as the run. The result has the size and
    geometry of the reference frame, unless it is cropped.

    Examples:

      macrorail stack photos/ -o fused.tif

      macrorail stack a.jpg b.jpg c.jpg -o fused.png --reference middle --depth depth.tif

      macrorail stack runs/20261122-200000-beetle -o again.tif

      macrorail stack runs/20261122-200000-beetle --only 12-30 -o slab.tif

      macrorail stack left-light/ -o left.tif --save-alignment alignment.json

      macrorail stack right-light/ -o right.tif --alignment alignment.json
    """
    console = message_console()
    settings = StackSettings(
        quality=quality.value,
        reference=reference,
        motion=align,
        alignment=alignment,
        slices=slices,
        only=only,
        equalise=exposure is BrightnessMatching.EQUAL,
        method=method,
        memory_bytes=math.inf if memory is None else _bytes(memory),
        scratch=output.parent,
        depth=depth is not None,
    )
    with Progress(
        TextColumn("{task.description:<9}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        disable=not can_redraw(console),
    ) as progress:
        task = progress.add_task("looking", total=None)

        def show(doing: str, done: int, count: int) -> None:
            progress.update(task, description=doing, completed=done, total=count)

        def note(line: str) -> None:
            console.print(line, style="yellow", highlight=False, markup=False)

        outputs = StackOutputs(output, depth, crop is Crop.VALID, save_alignment)
        stacked = stack_photographs(sources, settings, show, outputs, note)
        left_out = write_stacked(stacked, outputs)
    for doubt in (*stacked.doubts[len(stacked.frame_doubts) :], *left_out):
        note(doubt)
    typer.echo(json.dumps(_figures(stacked, left_out)) if as_json else output)


def _figures(stacked: Stacked, left_out: tuple[str, ...]) -> dict[str, Any]:
    """Return the measurements that ``--json`` prints."""
    reports = stacked.reports
    reasons = {one.index: one.reason for one in stacked.fused.left_out}
    closings = [None if report is None else report.closing for report in reports]
    return {
        "frames": [str(frame.path) for frame in stacked.frames],
        "reference": str(stacked.order[0].path),
        "seconds": round(stacked.seconds, 3),
        "seconds_after_last_frame": round(stacked.seconds_after_last_frame, 3),
        "peak_rss_mb": peak_rss_mb(),
        "transforms": [None if one is None else one.transform.tolist() for one in reports],
        "trust": [0.0 if one is None else one.trust for one in reports],
        "closing_px": [None if one is None else round(one.error_px, 3) for one in closings],
        "doubts": [*stacked.doubts, *left_out],
        "passed_over": [one.to_dict() for one in stacked.passed_over],
        "left_out": [
            {"frame": str(frame.path), "reason": reasons[frame.index]}
            for frame in stacked.frames
            if frame.index in reasons
        ],
        "valid_rect": list(stacked.fused.valid_rect),
    }


def _bytes(text: str) -> float:
    from macrorail.quantity import parse_size

    try:
        return parse_size(text)
    except ValueError as error:
        raise ConfigError(f"--memory {error}") from error
