"""How time and memory grow with the number of frames, and with their size.

What frames show does not matter here: a few are made, and taken again and again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np

from tests.benchmarks.programs import run_timed

_DIFFERENT = 4
SIZES = ((6, 3000, 2000), (24, 6000, 4000), (61, 9504, 6336))
"""Megapixels, width, height."""
COUNTS = (10, 50, 200)


def scaling(work: Path) -> str:
    """The table, as Markdown."""
    each = "wall s | CPU s | GB | time after the last frame"
    rows = [f"| | frames | fast: {each} | best: {each} |", "|" + "---|" * 10]
    for megapixels, width, height in SIZES:
        frames = _frames(work / f"{megapixels}mp", width, height)
        for count in COUNTS:
            cells = [f"{megapixels} MP", str(count)]
            for quality in ("fast", "best"):
                cells += _stacked([frames[k % _DIFFERENT] for k in range(count)], quality, work)
            rows.append(f"| {' | '.join(cells)} |")
            print(rows[-1], file=sys.stderr, flush=True)
    return "\n".join(rows)


def _stacked(frames: list[Path], quality: str, work: Path) -> list[str]:
    """What one stack took, as cells of the table."""
    ours = [sys.executable, "-m", "macrorail.cli", "stack", *map(str, frames)]
    out = work / "scaling.tif"
    timing, said = run_timed([*ours, "-o", str(out), "--quality", quality, "--json"])
    after_s = json.loads(said)["seconds_after_last_frame"]
    return [
        f"{timing.wall_s:.1f}",
        f"{timing.cpu_s:.1f}",
        f"{timing.peak_mb / 1e3:.2f}",
        f"{after_s:.2f} s",
    ]


def _frames(folder: Path, width: int, height: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"f_{k}.jpg" for k in range(_DIFFERENT)]
    if not paths[-1].exists():
        rng = np.random.default_rng(1)
        rough = rng.normal(128, 40, (height // 6, width // 6, 3)).astype(np.float32)
        scene = cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)
        for k, path in enumerate(paths):
            frame = cv2.GaussianBlur(scene, (0, 0), 1 + k)
            frame = np.clip(frame + rng.normal(0, 1.5, (height, 1, 3)), 0, 255)
            cv2.imwrite(str(path), frame.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 92])
    return paths
