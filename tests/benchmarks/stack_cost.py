"""What one stack of a batch costs a worker: ``python -m tests.benchmarks.stack_cost``.

Two stacks of 24 megapixel frames, one short, one longer, through the code that every worker runs
(hashing, reading, aligning, blending, writing, recording). The difference is what a frame costs,
the rest what a stack costs whatever its length. Beside it what verifying a frame costs, decoding
included, as a run does it in a process of its own. Processor seconds, of all threads.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2

from macrorail.batch.finding import find_stacks
from macrorail.batch.job import BatchSettings
from macrorail.batch.work import make_stack
from macrorail.proof.defocus import ClaimedOptics
from macrorail.proof.frame_checker import FrameChecker
from macrorail.proof.settings import ProofSettings
from tests.made_stack import make_stack as make_frames


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.stack_cost", description=__doc__
    )
    parser.add_argument("--short", type=int, default=3)
    parser.add_argument("--long", type=int, default=8)
    parser.add_argument("--width", type=int, default=6000)
    arguments = parser.parse_args()
    size = (arguments.width, arguments.width * 2 // 3)
    with tempfile.TemporaryDirectory(prefix="macrorail-cost-") as folder:
        work = Path(folder)
        small = make_frames(arguments.long, arguments.width // 4, arguments.width // 6)
        for name, count in (("short", arguments.short), ("long", arguments.long)):
            (work / name).mkdir()
            for k, frame in enumerate(small.frames[:count]):
                large = cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC)
                cv2.imwrite(str(work / name / f"{k}.jpg"), large, [cv2.IMWRITE_JPEG_QUALITY, 95])
        used = {}
        for name in ("short", "long"):
            (job,) = find_stacks([work / name], work / "out", BatchSettings()).jobs
            if name == "short":
                make_stack(job)  # compiles what is not compiled yet
            began_s = time.process_time()
            record = make_stack(job)
            used[name] = time.process_time() - began_s
        per_frame = (used["long"] - used["short"]) / (arguments.long - arguments.short)
        fixed = used["short"] - arguments.short * per_frame
        verified = _verification(sorted((work / "long").iterdir()))
        result = sum(one["size_bytes"] for one in record["outputs"].values())
    print(
        f"frames of {size[0]} x {size[1]}: {fixed:.1f} CPU s a stack and {per_frame:.2f} CPU s a "
        f"frame; results {result / 1e6:.0f} MB; peak {record['peak_rss_mb']:.0f} MB; verifying "
        f"{verified:.3f} CPU s a frame, {verified / per_frame:.1%} of aligning and blending"
    )


def _verification(frames: list[Path]) -> float:
    """Processor seconds a frame, the compilation of its pass left out."""
    optics = ClaimedOptics(
        magnification=2, effective_f_number=16.8, pixel_pitch_um=4, wavelength_um=0.55, dof_um=76
    )
    judge = FrameChecker(
        ProofSettings(
            near_um=0,
            far_um=1000,
            minimum_overlap=0.1,
            planned_overlap=0.3,
            lowest_um=-1000,
            highest_um=2000,
            extra_slices=0,
            extend_um=0,
            reshoots=0,
            optics=optics,
        )
    )
    judge.add(0, 1, frames[0], 0.0, 76.0)
    began_s = time.process_time()
    for number, frame in enumerate(frames[1:], 1):
        judge.add(number, 1, frame, 53.0 * number, 76.0)
    return (time.process_time() - began_s) / (len(frames) - 1)


if __name__ == "__main__":
    main()
