"""What each ingredient buys: one scene again and again, each time without one of them.

Ingredients that are switches are switched; the others are taken out where the code has a seam.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import numpy.typing as npt

from macrorail.batch.frames import Source, add_frames, fusion_order, look_ahead
from macrorail.stacking import blend
from macrorail.stacking.alignment import Alignment, FrameTransform
from macrorail.stacking.blend import Blender
from macrorail.stacking.images import Picture
from macrorail.stacking.levels import add_level
from macrorail.stacking.register import Transform
from macrorail.stacking.smooth import Method
from macrorail.stacking.stacker import Stacker
from macrorail.stacking.writing import write_picture
from tests.benchmarks.score import corner_errors_px, score

#: What a rig's nominal optics may be off by, to either side: defocus feigns growth too, so that one
#: side is kinder than the other.
_LARGE, _SMALL = 1.1, 0.9


def ablation(pictures: Path, alignments: list[Path]) -> str:
    """Two tables as Markdown.

    Parameters
    ----------
    pictures
        Scene whose picture is looked at, its middle frame as reference.
    alignments
        Scenes whose alignment is, their first frame as reference.
    """
    variants: dict[str, tuple[dict[str, Any], Callable[[], AbstractContextManager[Any]]]] = {
        "all ingredients": ({}, nullcontext),
        "with the true transforms": ({"alignment": _truth(pictures)}, nullcontext),
        "without limiting pixels to the values seen in the frames": ({}, _without_bounds),
        "linear resampling": ({}, _with_linear_resampling),
        "sharpness not carried to coarser levels": ({}, _without_carrying),
        "colour at half size (fast)": ({"quality": "fast"}, nullcontext),
        "`--method depth-map`": ({"method": Method.DEPTH_MAP}, nullcontext),
        "`--method auto`": ({"method": Method.AUTO}, nullcontext),
        "blending display values": ({}, _in_display_values),
    }
    rows = [
        "| | overall | texture | depth edges | dark flats | Laplacian |",
        "|---|---|---|---|---|---|",
    ]
    for name, (settings, changed) in variants.items():
        with changed():
            stacker = Stacker(**settings)
            frames = _sources(pictures)
            for _ in add_frames(stacker, fusion_order(frames, "middle")):
                pass
            out = pictures / "ablated.tif"
            write_picture(out, stacker.finish().image)
        figures = score(pictures, len(frames) // 2, out)
        rows.append(f"| {name} | " + " | ".join(f"{one:.2f}" for one in figures.values()) + " |")
    rows += [
        "",
        "Alignment with the first frame as reference, corner error in pixels, median / worst:",
        "",
        "| | " + " | ".join(folder.name for folder in alignments) + " |",
        "|---|" + "---|" * len(alignments),
    ]
    for name, told, ahead in (
        ("frame by frame, without the optics", None, False),
        ("first frames examined beforehand, without the optics (`stack`)", None, True),
        ("frame by frame, with the optics, growth 10 % too large", _LARGE, False),
        ("frame by frame, with the optics, growth 10 % too small", _SMALL, False),
        ("first frames examined, with the optics (a run), growth 10 % too large", _LARGE, True),
        ("first frames examined, with the optics (a run), growth 10 % too small", _SMALL, True),
        ("first frames examined, with the exact optics", 1.0, True),
    ):
        cells = []
        for folder in alignments:
            errors = _corner_errors(folder, told, ahead)
            cells.append(f"{statistics.median(errors):.2f} / {max(errors):.2f}")
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _sources(folder: Path) -> list[Source]:
    return [Source(k, path) for k, path in enumerate(sorted(folder.glob("f_*.jpg")))]


def _truth(folder: Path) -> Alignment:
    facts = json.loads((folder / "truth.json").read_text())
    return Alignment(
        {
            k: FrameTransform(np.array(one), 1.0, False)
            for k, one in enumerate(facts["frame_to_middle"])
        }
    )


def _corner_errors(folder: Path, told: float | None, ahead: bool) -> list[float]:
    true = _truth(folder)
    frames = []
    for one in _sources(folder):
        growth = np.linalg.det(true.on(one.index, 0, "").transform[:, :2]) ** 0.5 - 1
        scale = None if told is None else float(1 + told * growth)
        frames.append(Source(one.index, one.path, scale=scale))
    stacker = Stacker()
    if ahead:
        look_ahead(stacker, frames)
    reports = [stacker.add(one.path, one.index, scale=one.scale) for one in frames]
    return corner_errors_px(folder, 0, [report.transform for report in reports])


def _without_bounds() -> AbstractContextManager[Any]:
    finish = Blender.finish

    def unbounded(self: Blender) -> npt.NDArray[np.uint16]:
        assert self._low is not None and self._high is not None
        self._low[:], self._high[:] = 0, np.iinfo(self._high.dtype).max
        return finish(self)

    return patch.object(Blender, "finish", unbounded)


def _with_linear_resampling() -> AbstractContextManager[Any]:
    def lay(picture: Picture, to_frame: Transform, out: Picture) -> None:
        size = (picture.shape[1], picture.shape[0])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cv2.warpAffine(picture, to_frame, size, out, flags, cv2.BORDER_REFLECT_101)

    return patch("macrorail.stacking.stacker.lay", lay)


def _without_carrying() -> AbstractContextManager[Any]:
    def uncarried(first: int, last: int, *given: Any) -> None:
        grey, coarse_grey, carried, *rest = given
        add_level(first, last, grey, coarse_grey, np.zeros_like(carried), *rest)

    return patch.object(blend, "add_level", uncarried)


def _in_display_values() -> AbstractContextManager[Any]:
    def straight(bits: int) -> npt.NDArray[np.float32]:
        return np.array([1 / ((1 << bits) - 1), 0, 0, 0, 0], np.float32)

    steps = len(blend.curve_back())
    table = (np.arange(steps) / (steps - 2) * 65535).astype(np.float32)
    return patch.multiple(blend, curve=straight, curve_back=lambda: table)
