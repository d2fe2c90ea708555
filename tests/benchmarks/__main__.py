"""Align/blend beside its peers: ``python -m tests.benchmarks`` writes ``docs/benchmarks.md``.

Makes the stacks, installs FocusWeave into an environment of its own (focus-stack is taken when it
is on the PATH), runs each program as a user would, scores the pictures, writes tables and crops.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tests.benchmarks.scene import SceneOptions, make_scene
from tests.benchmarks.score import corner_errors_px, score

FOCUSWEAVE = "focusweave==2.0.0"
RESULT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
_MARK = "<!-- made by python -m tests.benchmarks -->"


@dataclass(frozen=True)
class Timing:
    """What a program took: seconds of wall and of all cores, peak memory in MB."""

    wall_s: float
    cpu_s: float
    peak_mb: float


# A process of little memory starts the program: Linux counts what a child inherits at its fork.
_STARTER = """
import json, os, subprocess, sys, time
began = time.monotonic()
process = subprocess.Popen(sys.argv[2:], stdout=open(sys.argv[1], "wb"))
_, status, usage = os.wait4(process.pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), time.monotonic() - began,
                  usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6]))
"""


def run_timed(command: list[str]) -> tuple[Timing, str]:
    """Run to the end; returns what it took and its standard output."""
    with tempfile.NamedTemporaryFile() as said:
        starter = [sys.executable, "-c", _STARTER, said.name, *command]
        done = subprocess.run(starter, capture_output=True, text=True, check=True)
        code, wall_s, cpu_s, peak_mb = json.loads(done.stdout)
        if code:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return Timing(wall_s, cpu_s, peak_mb), Path(said.name).read_text()


def programs(work: Path) -> dict[str, str]:
    """Commands of the programs to compare, as templates; installs what can be installed."""
    ours = (
        f"{sys.executable} -m controller.cli stack {{frames}} -o {{out}} --json --reference {{n1}}"
    )
    found = {"macrorail best": f"{ours} --quality best", "macrorail fast": f"{ours} --quality fast"}
    environment = work / "focusweave"
    if not (environment / "bin" / "focusweave").exists():
        venv.create(environment, with_pip=True)
        pip = str(environment / "bin" / "pip")
        subprocess.run([pip, "install", "--quiet", FOCUSWEAVE], check=True)
    found["FocusWeave 2.0.0"] = (
        f"{environment}/bin/focusweave {{folder}} --output {{out}} --reference {{n0}} "
        "--keep-size --min-shift 0"
    )
    if shutil.which("focus-stack"):
        found["focus-stack"] = (
            "focus-stack --threads=3 --nocrop --reference={n0} --output={out} {frames}"
        )
    return found


def compare(options: SceneOptions, reference: int, work: Path, commands: dict[str, str]) -> str:
    """Run every program on one scene; returns the table as Markdown."""
    folder = work / f"seed{options.seed}-{options.width}x{options.height}x{options.frames}"
    if not (folder / "truth.json").exists():
        make_scene(options, folder)
    frames = " ".join(str(path) for path in sorted(folder.glob("f_*.jpg")))
    inputs = folder / "inputs"
    inputs.mkdir(exist_ok=True)
    for path in folder.glob("f_*.jpg"):
        link = inputs / path.name
        if not link.exists():
            link.symlink_to(path.resolve())
    rows, pictures = [], {}
    for name, template in commands.items():
        out = folder / f"{name.replace(' ', '-')}-{reference}.png"
        command = template.format(
            frames=frames, folder=inputs, out=out, n0=reference, n1=reference + 1
        )
        timing, said = run_timed(command.split())
        figures = score(folder, reference, out)
        pictures[name] = out
        placed = ""
        if name.startswith("macrorail"):
            errors = corner_errors_px(folder, reference, json.loads(said)["transforms"])
            placed = f"{statistics.median(errors):.2f} / {max(errors):.2f}"
        rows.append(
            f"| {name} | {timing.wall_s:.1f} | {timing.cpu_s:.1f} | {timing.peak_mb / 1e3:.2f} | "
            f"**{figures['overall']:.2f}** | {figures['texture']:.2f} | {figures['edges']:.2f} | "
            f"{figures['flat']:.2f} | {figures['laplacian']:.2f} | {placed} |"
        )
        print(rows[-1], file=sys.stderr, flush=True)
    _write_crops(folder, reference, pictures, RESULT.parent / f"benchmark-seed{options.seed}.jpg")
    title = (
        f"### Seed {options.seed}: {options.frames} frames of {options.width} x {options.height}, "
        f"breathing {options.breathing:.1%}, blur {options.blur_px:g} px, reference frame "
        f"{reference}"
    )
    head = (
        "| | wall s | CPU s | peak GB | PSNR dB | texture | depth edges | dark flats | Laplacian | "
        "corner px, median / worst |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    crops = f"![crops](benchmark-seed{options.seed}.jpg)"
    return "\n".join([title, "", head, *rows, "", "Truth, then in the order above:", "", crops])


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


def machine() -> str:
    """What it was measured on."""
    import numba  # only to name its version

    return (
        f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f} when done; "
        f"Python {platform.python_version()}, OpenCV {cv2.__version__}, NumPy {np.__version__}, "
        f"numba {numba.__version__}; {time.strftime('%Y-%m-%d')}"
    )


def main() -> None:
    """Parse the command line, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 11, 23, 42, 101])
    parser.add_argument("--width", type=int, default=2400)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--reference", choices=["first", "middle"], default="middle")
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "macrorail-bench"
    )
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    commands = programs(arguments.work)
    tables = []
    for n, seed in enumerate(arguments.seeds):
        options = SceneOptions(
            width=arguments.width,
            height=arguments.width * 2 // 3,
            frames=arguments.frames,
            seed=seed,
            breathing=(0.001, 0.002, 0.0005)[n % 3],
            blur_px=(60.0, 80.0, 40.0)[n % 3],
        )
        reference = 0 if arguments.reference == "first" else options.frames // 2
        tables.append(compare(options, reference, arguments.work, commands))
    before = RESULT.read_text().split(_MARK)[0] if RESULT.exists() else "# Benchmarks\n\n"
    RESULT.write_text("\n\n".join([before + _MARK, f"Measured on: {machine()}.", *tables]) + "\n")
    print(RESULT)


if __name__ == "__main__":
    main()
