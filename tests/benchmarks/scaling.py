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
#: Longer stacks than this are measured in one quality.
_LONG = 50
#: (megapixels, width, height, frames)
CASES = (
    (6, 3000, 2000, 10),
    (6, 3000, 2000, 50),
    (6, 3000, 2000, 200),
    (24, 6000, 4000, 10),
    (61, 9504, 6336, 10),
)


def scaling(work: Path) -> str:
    """The table, as Markdown."""
    rows = [
        "| | frames | fast: CPU s | GB | best: CPU s | GB | after the last frame, fast / best |",
        "|---|---|---|---|---|---|---|",
    ]
    for megapixels, width, height, count in CASES:
        frames = _frames(work / f"{megapixels}mp", width, height)
        listed = [str(frames[k % _DIFFERENT]) for k in range(count)]
        cells, after = [], []
        for quality in ("fast", "best"):
            if quality == "fast" and count > _LONG:
                cells.append("– | –")
                continue
            out = work / "scaling.tif"
            ours = [sys.executable, "-m", "controller.cli", "stack", *listed, "-o", str(out)]
            timing, said = run_timed([*ours, "--quality", quality, "--json"])
            cells.append(f"{timing.cpu_s:.1f} | {timing.peak_mb / 1e3:.2f}")
            after.append(f"{json.loads(said)['seconds_after_last_frame']:.2f} s")
        rows.append(f"| {megapixels} MP | {count} | {' | '.join(cells)} | {' / '.join(after)} |")
        print(rows[-1], file=sys.stderr, flush=True)
    return "\n".join(rows)


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
