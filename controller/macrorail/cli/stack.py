"""``macrorail stack``: align and blend photographs that exist already, or a run again."""

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
    """``macrorail.stacking.blend.Quality`` as an option."""

    FAST = "fast"
    BEST = "best"


class BrightnessMatching(Enum):
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
        BrightnessMatching,
        typer.Option(help="equal: all frames as bright, and as white, as the reference"),
    ] = BrightnessMatching.EQUAL,
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

    Files are put in the order in which they were taken, by the numbers in their names and their
    capture times. Of RAW and JPEG files of one picture one is taken. Hidden files and macrorail's
    own results are no frames; what is passed over is listed. A run folder is stacked again in its
    own order of fusion, which gives the same pixels as the run did. The result has the size and
    geometry of the reference frame, unless cropped.

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
    """What ``--json`` prints."""
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
