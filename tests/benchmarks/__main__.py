"""Align/blend beside its peers: ``python -m tests.benchmarks`` writes its page in docs/evidence.

Makes the stacks, installs FocusWeave into an environment of its own (focus-stack is taken when it
is on the PATH), runs each program as a user would, scores the pictures, writes tables and crops.
Each table is kept in the work folder as soon as it is there, so that a long measurement can be
made in parts: ``--only seed23 scaling``.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from tests.benchmarks.ablation import ablation
from tests.benchmarks.comparing import compare
from tests.benchmarks.instrument import make_instrument_scene
from tests.benchmarks.programs import programs
from tests.benchmarks.scaling import scaling
from tests.benchmarks.scene import SceneOptions, make_scene
from tests.benchmarks.turns import turns

RESULT = Path(__file__).parents[2] / "docs" / "evidence" / "benchmarks.md"
_MARK = "<!-- made by python -m tests.benchmarks -->"
_CROPS_OF = "seed23"
#: The first for its picture, all for their alignment.
_ABLATED = ("seed23", "seed42", "seed5")

#: None of these was looked at while anything was tuned.
SCENES = {
    "seed23": SceneOptions(frames=12, seed=23, breathing=0.001, blur_px=60),
    "seed42": SceneOptions(frames=12, seed=42, breathing=0.002, blur_px=80),
    "seed101": SceneOptions(frames=12, seed=101, blur_px=40, width=1500, height=1000),
    "seed5": SceneOptions(frames=12, seed=5, breathing=0.002, blur_px=60, width=1500, height=1000),
}
INSTRUMENT_SEED = 31
LARGE = SceneOptions(width=6000, height=4000, frames=24, seed=42, breathing=0.001, blur_px=60)


def machine() -> str:
    """What it was measured on."""
    import numba  # only to name its version

    return (
        f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f} at the end; "
        f"Python {platform.python_version()}, OpenCV {cv2.__version__}, NumPy {np.__version__}, "
        f"numba {numba.__version__}; {time.strftime('%Y-%m-%d')}"
    )


def measure(name: str, work: Path) -> str:
    """One part of the page, as Markdown."""
    if name == "scaling":
        return "### Frames and megapixels\n\n" + scaling(work)
    if name == "ablation":
        folders = [_made(name, work) for name in _ABLATED]
        title = f"### Gain of each ingredient: {_ABLATED[0]}, best, PSNR in dB"
        return f"{title}\n\n{ablation(folders[0], folders)}"
    commands = programs(work)
    if name == "speed":
        title = f"### Speed alone: {_told(LARGE)}, without depth, the programs in turn"
        return f"{title}\n\n{turns(_made('large', work), LARGE.frames // 2, commands)}"
    folder = _made(name, work)
    if name == "instrument":
        title = "### The simulated instrument's specimen: frames of 1200 x 800, 70 um apart"
    else:
        options = LARGE if name == "large" else SCENES[name]
        title = f"### Seed {options.seed}: {_told(options)}"
    count = len(list(folder.glob("f_*.jpg")))
    crops = RESULT.parent / "benchmark-crops.jpg" if name == _CROPS_OF else None
    parts = [title, "The middle frame as reference:", compare(folder, count // 2, commands, crops)]
    if crops is not None:
        parts.append(
            f"The truth, then the results in the order of the table:\n\n![crops]({crops.name})"
        )
    parts += ["The first frame as reference, as in a run:"]
    parts.append(compare(folder, 0, commands, None))
    return "\n\n".join(parts)


def _told(options: SceneOptions) -> str:
    """What a scene is, in words."""
    return (
        f"{options.frames} frames of {options.width} x {options.height}, breathing "
        f"{options.breathing:.2%}, blur {options.blur_px:g} px"
    )


def _made(name: str, work: Path) -> Path:
    """The folder of a scene, which is made if it is not there."""
    folder = work / name
    if not (folder / "truth.json").exists():
        if name == "instrument":
            make_instrument_scene(folder, INSTRUMENT_SEED)
        else:
            make_scene(LARGE if name == "large" else SCENES[name], folder)
    return folder


def main() -> None:
    """Parse the command line, measure, write."""
    every = [*SCENES, "instrument", "ablation", "scaling", "speed", "large"]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=every, default=every)
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "macrorail-bench"
    )
    arguments = parser.parse_args()
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    for name in arguments.only:
        table = measure(name, work)
        (work / f"{name}.md").write_text(f"{table}\n\n{machine()}.\n")
    done = [work / f"{name}.md" for name in every if (work / f"{name}.md").exists()]
    before = RESULT.read_text().split(_MARK)[0] if RESULT.exists() else "# Benchmarks\n\n"
    RESULT.write_text("\n".join([before + _MARK + "\n", *(each.read_text() for each in done)]))
    print(RESULT)


if __name__ == "__main__":
    main()
