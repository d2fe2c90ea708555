"""Every program on one scene: what it took, and how near it came to the truth."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile

from tests.benchmarks.programs import run_timed
from tests.benchmarks.score import corner_errors_px, score

_COLUMNS = (
    "",
    "wall s",
    "CPU s",
    "peak GB",
    "PSNR dB",
    "texture",
    "depth edges",
    "dark flats",
    "Laplacian",
    "corner px, median / worst",
    "time after the last frame",
    "depth error, median / 90 %",
)
HEAD = f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}"


def compare(folder: Path, reference: int, commands: dict[str, str], crops: Path | None) -> str:
    """Run every program on a scene; returns the table's rows as Markdown.

    Parameters
    ----------
    folder
        Of ``make_scene`` or ``make_instrument_scene``.
    reference
        The frame in whose geometry the pictures are to lie.
    crops
        Where to put them side by side, a JPEG.
    """
    facts: dict[str, Any] = json.loads((folder / "truth.json").read_text())
    frames = sorted(folder.glob("f_*.jpg"))
    inputs = folder / "inputs"
    inputs.mkdir(exist_ok=True)
    for path in frames:
        link = inputs / path.name
        if not link.exists():
            link.symlink_to(path.resolve())
    rows, pictures = [HEAD], {}
    runs: list[tuple[str, str, list[str]]] = [(name, one, []) for name, one in commands.items()]
    if reference == 0 and facts.get("frame_to_middle"):
        runs += [
            (
                f"macrorail best, with {words}",
                commands["macrorail best"],
                ["--slices", str(_informed(folder, facts["frame_to_middle"], told))],
            )
            for told, words in (
                (1.0, "the right growth"),
                (1.1, "growth 10 % too large"),
                (0.9, "growth 10 % too small"),
            )
        ]
    for name, template, further in runs:
        ours = name.startswith("macrorail")
        if reference == 0 and not ours:
            continue  # the peers' quality is stated where they fix the reference themselves
        out = folder / f"{name.replace(' ', '-')}-{reference}"
        command = template.format(
            frames=" ".join(map(str, frames)),
            folder=inputs,
            out=out,
            n0=reference,
            n1=reference + 1,
        )
        depth = folder / f"depth-of-{out.name}.tif"
        further += ["--depth", str(depth)] if ours else []
        timing, said = run_timed([*command.split(), *further])
        picture = Path(f"{out}.tif")
        figures = score(folder, reference, picture)
        pictures[name] = picture
        extra = "| | |"
        if ours:
            told = json.loads(said)
            placed = ""
            if facts.get("frame_to_middle"):
                errors = corner_errors_px(folder, reference, told["transforms"])
                placed = f"{statistics.median(errors):.2f} / {max(errors):.2f}"
            after = f"{told['seconds_after_last_frame']:.2f} s"
            extra = f"{placed} | {after} | {_depth_error(folder, reference, depth, facts)} |"
        rows.append(
            f"| {name} | {timing.wall_s:.1f} | {timing.cpu_s:.1f} | {timing.peak_mb / 1e3:.2f} | "
            f"**{figures['overall']:.2f}** | {figures['texture']:.2f} | {figures['edges']:.2f} | "
            f"{figures['flat']:.2f} | {figures['laplacian']:.2f} | {extra}"
        )
        print(rows[-1], file=sys.stderr, flush=True)
    if crops is not None:
        _write_crops(folder, reference, pictures, crops)
    return "\n".join(rows)


def _informed(folder: Path, transforms: list[Any], told: float) -> Path:
    """A file for ``--slices``: each frame's place and scale, its growth ``told`` times the true."""
    true = [float(np.linalg.det(np.array(one)[:, :2])) ** 0.5 for one in transforms]
    path = folder / f"slices-{told:g}.csv"
    rows = [f"{k},{1 + told * (one / true[0] - 1):.9f}" for k, one in enumerate(true)]
    path.write_text("\n".join(["position_um,scale", *rows]))
    return path


def _depth_error(folder: Path, reference: int, depth: Path, facts: dict[str, Any]) -> str:
    """Median and 90 % of the depth's error, in depths of field where they are known."""
    truth = cv2.imread(str(folder / f"depth_{reference:03d}.png"), cv2.IMREAD_UNCHANGED) / 65535
    # Files carry no positions: depth is the place among them, from 0.
    steps = facts["options"]["frames"] - 1
    height, width = truth.shape
    inside = (
        slice(int(height * 0.07), int(height * 0.93)),
        slice(int(width * 0.07), int(width * 0.93)),
    )
    errors = np.abs(tifffile.imread(depth) - truth * steps)[inside] * facts.get("dof_per_step", 1)
    unit = " DoF" if "dof_per_step" in facts else " steps"
    return f"{np.median(errors):.2f} / {np.percentile(errors, 90):.2f}{unit}"


def _write_crops(folder: Path, reference: int, pictures: dict[str, Path], out: Path) -> None:
    """The truth and the results side by side, where hairs cross the dark patch and in texture."""
    truth = cv2.imread(str(folder / f"truth_{reference:03d}.png"))
    height, width = truth.shape[:2]
    side = min(320, height // 3)
    rows = []
    for x, y in ((0.2, 0.76), (0.62, 0.42)):
        window = (
            slice(max(0, int(height * y) - side // 2), int(height * y) + side // 2),
            slice(max(0, int(width * x) - side // 2), int(width * x) + side // 2),
        )
        row = [truth[window]]
        for picture in pictures.values():
            # IMREAD_COLOR gives 8 bits, whatever the file has.
            row.append(cv2.imread(str(picture), cv2.IMREAD_COLOR)[window])
        rows.append(np.hstack(row))
    cv2.imwrite(str(out), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 85])
