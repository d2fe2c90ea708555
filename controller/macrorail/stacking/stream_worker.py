"""The align/blend process of a run: frames come by name, the picture is written by itself."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from macrorail.errors import AlignError, StackError
from macrorail.stacking.alignment import ALIGNMENT, load_alignment
from macrorail.stacking.stacker import AHEAD, FrameReport, Fused, Stacker
from macrorail.stacking.writing import confidence_path, write_picture, write_stack
from macrorail.workers import serve

_LESS_URGENT = 10
# Confidence from which on a pixel's depth is counted as known.
_BELIEVED = 0.5
#: Of the picture that people watch growing.
PREVIEW = "preview.jpg"
_PREVIEW_WIDTH_PX = 1600
#: Showing may take this share of the time that stacking has.
_PREVIEW_SHARE = 0.05


@dataclass(frozen=True)
class _Handed:
    number: int
    frame: Path
    position_um: float
    scale: float | None


class StreamWorker:
    """One stack from its first frame to its pictures on disk."""

    def __init__(self) -> None:
        self._stacker = Stacker()
        self._reference: Path | None = None
        # The first frames, until there are enough of them; None from then on.
        self._held: list[_Handed] | None = []
        self._begun = False
        self._last_frame_s = 0.0
        self._next_preview_s = 0.0

    def add(
        self, number: int, frame: str, position_um: float, scale: float | None
    ) -> dict[str, Any]:
        """Align and blend one frame; see :meth:`Stacker.add`. The first ones are held until there
        are enough to see how they lie.

        A run folder that has an alignment already has its frames laid as that says.

        Returns
        -------
        dict
            ``reports`` of all frames that were taken or refused by this.
        """
        handed = _Handed(number, Path(frame), position_um, scale)
        known = handed.frame.parents[1] / ALIGNMENT
        if not self._begun and known.is_file():
            self._stacker, self._held = Stacker(alignment=load_alignment(known)), None
        self._begun = True
        if self._held is None:
            return {"reports": [self._take(handed)]}
        with suppress(StackError):  # told when it is taken
            self._stacker.look_ahead(handed.frame, number, position_um, scale)
        self._held.append(handed)
        return self.take_held() if len(self._held) == AHEAD else {"reports": []}

    def take_held(self) -> dict[str, Any]:
        """Align and blend the frames that are held; their ``reports``."""
        held, self._held = self._held or [], None
        return {"reports": [self._take(handed) for handed in held]}

    def _take(self, handed: _Handed) -> dict[str, Any]:
        """Blend one frame; its report, or why it was left out."""
        try:
            report = self._stacker.add(
                handed.frame, handed.number, handed.position_um, scale=handed.scale
            )
        except StackError as error:
            unread = not isinstance(error, AlignError)
            return {"number": handed.number, "error": str(error), "unread": unread}
        self._reference = self._reference or handed.frame
        self._last_frame_s = time.monotonic()
        if self._last_frame_s >= self._next_preview_s:
            self._show(handed.frame.parents[1])
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
        """Write ``fused.tif``, ``fused.jpg``, ``depth.tif`` and its confidence; the manifest's
        ``fused``."""
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
        "trust": report.trust,
        "sharpness": report.sharpness,
        "gains": list(report.gains),
        "scale": report.scale,
        "closing_px": None if report.closing is None else round(report.closing.error_px, 3),
        "doubt": report.doubt,
    }


def write_results(
    fused: Fused, folder: Path, um_per_px: float, reference: Path | None = None
) -> dict[str, Any]:
    """Write a run's pictures, each whole or not at all; returns the manifest's ``fused``.

    The colours are meant as those of the ``reference`` frame, whose EXIF they carry.
    """
    picture, depth = folder / "fused.tif", folder / "depth.tif"
    names = (picture.name, "fused.jpg", depth.name)
    notes = write_stack(fused, folder, names, um_per_px, reference, len(fused.reports))
    for note in notes:
        print(note, file=sys.stderr)
    hashes = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in (picture.name, "fused.jpg", depth.name, confidence_path(depth).name)
    }
    correlations = [report.correlation for report in fused.reports[1:]]
    closings = [report.closing.error_px for report in fused.reports if report.closing is not None]
    return {
        "path": picture.name,
        "sha256": hashes[picture.name],
        "files": hashes,
        "valid_rect": list(fused.valid_rect),
        "um_per_px": um_per_px,
        **({"notes": list(notes)} if notes else {}),
        "quality": {
            "least_correlation": round(min(correlations, default=1.0), 4),
            "worst_closing_px": round(max(closings), 3) if closings else None,
            "followed_expectation": sum(report.expected for report in fused.reports),
            "depth_believed": round(float((fused.confidence > _BELIEVED).mean()), 4),
        },
    }


def peak_rss_mb() -> float | None:
    """Largest memory this process has held, MB (10**6 bytes); ``None`` where unknown (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    # Linux gives ru_maxrss in kibibytes (getrusage(2)).
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1)


def main() -> None:
    """Serve the parent until it closes the pipe, giving way to whoever drives the devices."""
    os.nice(_LESS_URGENT)
    worker = StreamWorker()
    serve({"add": worker.add, "take_held": worker.take_held, "finish": worker.finish})


if __name__ == "__main__":
    main()
