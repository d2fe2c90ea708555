"""The align/blend process of a run: frames come by name, the picture is written by itself."""

from __future__ import annotations

import hashlib
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from controller.errors import StackError
from controller.stacking.alignment import ALIGNMENT, load_alignment
from controller.stacking.images import colour_profile, write_depth, write_picture
from controller.stacking.stacker import FrameReport, Fused, Stacker
from controller.workers import serve

_LESS_URGENT = 10
# Confidence from which on a pixel's depth is counted as known.
_BELIEVED = 0.5
#: Of the picture that people watch growing.
PREVIEW = "preview.jpg"
_PREVIEW_WIDTH_PX = 1600
#: Showing may take this share of the time that stacking has.
_PREVIEW_SHARE = 0.05


class StreamWorker:
    """One stack from its first frame to its pictures on disk."""

    def __init__(self) -> None:
        self._stacker = Stacker()
        self._reference: Path | None = None
        self._begun = False
        self._last_frame_s = 0.0
        self._next_preview_s = 0.0

    def add(self, number: int, frame: str, position_um: float) -> dict[str, Any]:
        """Align and blend one frame; see :meth:`Stacker.add`.

        A run folder that has an alignment already has its frames laid as that says.
        """
        known = Path(frame).parents[1] / ALIGNMENT
        if not self._begun and known.is_file():
            self._stacker = Stacker(alignment=load_alignment(known))
        self._begun = True
        report = self._stacker.add(Path(frame), number, position_um)
        self._reference = self._reference or Path(frame)
        self._last_frame_s = time.monotonic()
        if self._last_frame_s >= self._next_preview_s:
            self._show(Path(frame).parents[1])
        return report_to_dict(report)

    def _show(self, folder: Path) -> None:
        """Write the picture so far into the run folder, as often as its share of time allows."""
        began_s = time.monotonic()
        try:
            write_picture(folder / PREVIEW, self._stacker.preview(_PREVIEW_WIDTH_PX))
        except StackError as error:
            # The frame is blended all the same: what cannot be shown must not leave it out.
            print(error, file=sys.stderr)
        ended_s = time.monotonic()
        self._next_preview_s = ended_s + (ended_s - began_s) / _PREVIEW_SHARE

    def finish(self, folder: str, um_per_px: float) -> dict[str, Any]:
        """Write ``fused.tif``, ``fused.jpg`` and ``depth.tif``; the manifest's ``fused``."""
        last_frame_s = self._last_frame_s
        fused = self._stacker.finish()
        seconds = time.monotonic() - last_frame_s
        return {
            **write_results(fused, Path(folder), um_per_px, self._reference),
            "seconds_after_last_frame": round(seconds, 3),
            "peak_rss_mb": peak_rss_mb(),
        }


def report_to_dict(report: FrameReport) -> dict[str, Any]:
    """As the journal and the manifest have it."""
    return {
        "number": report.index,
        "transform": report.transform.tolist(),
        "correlation": report.correlation,
        "expected": report.expected,
        "sharpness": report.sharpness,
        "gains": list(report.gains),
    }


def write_results(
    fused: Fused, folder: Path, um_per_px: float, reference: Path | None = None
) -> dict[str, Any]:
    """Write a run's pictures, each whole or not at all; returns the manifest's ``fused``.

    The colours are meant as those of the ``reference`` frame.
    """
    picture = folder / "fused.tif"
    icc = None if reference is None else colour_profile(reference)
    write_picture(picture, fused.image, um_per_px, icc)
    write_picture(folder / "fused.jpg", fused.image)
    write_depth(folder / "depth.tif", fused.depth, um_per_px)
    hashes = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in (picture.name, "fused.jpg", "depth.tif")
    }
    correlations = [report.correlation for report in fused.reports[1:]]
    return {
        "path": picture.name,
        "sha256": hashes[picture.name],
        "files": hashes,
        "valid_rect": list(fused.valid_rect),
        "um_per_px": um_per_px,
        "quality": {
            "least_correlation": round(min(correlations, default=1.0), 4),
            "followed_expectation": sum(report.expected for report in fused.reports),
            "depth_believed": round(float((fused.confidence > _BELIEVED).mean()), 4),
        },
    }


def peak_rss_mb() -> float:
    """Largest memory this process has held, MB (10**6 bytes)."""
    # Linux gives ru_maxrss in kibibytes (getrusage(2)).
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1)


def main() -> None:
    """Serve the parent until it closes the pipe, giving way to whoever drives the devices."""
    os.nice(_LESS_URGENT)
    worker = StreamWorker()
    serve({"add": worker.add, "finish": worker.finish})


if __name__ == "__main__":
    main()
