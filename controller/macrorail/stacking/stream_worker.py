"""The align/blend process of a run: it receives frames by file name and writes the pictures."""

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
# Smallest confidence at which a pixel's depth counts as known.
_BELIEVED = 0.5
#: Width of the preview of the growing picture.
PREVIEW = "preview.jpg"
_PREVIEW_WIDTH_PX = 1600
#: Largest share of the stacking time that may be used for previews.
_PREVIEW_SHARE = 0.05


@dataclass(frozen=True)
class _Handed:
    number: int
    frame: Path
    position_um: float
    scale: float | None


class StreamWorker:
    """One stack, from its first frame to its pictures on disk."""

    def __init__(self) -> None:
        self._stacker = Stacker()
        self._reference: Path | None = None
        # The first frames, until there are enough of them to determine the course; then None.
        self._held: list[_Handed] | None = []
        self._begun = False
        self._last_frame_s = 0.0
        self._next_preview_s = 0.0

    def add(
        self, number: int, frame: str, position_um: float, scale: float | None
    ) -> dict[str, Any]:
        """Align and blend one frame; see :meth:`Stacker.add`.

        The first frames are kept until there are enough of them to determine the course of the
        alignment. If the run folder already contains an alignment, that alignment is used.

        Returns
        -------
        dict
            ``reports`` of all frames that this call blended or refused.
        """
        handed = _Handed(number, Path(frame), position_um, scale)
        known = handed.frame.parents[1] / ALIGNMENT
        if not self._begun and known.is_file():
            self._stacker, self._held = Stacker(alignment=load_alignment(known)), None
        self._begun = True
        if self._held is None:
            return {"reports": [self._take(handed)]}
        with suppress(StackError):  # reported when the frame is blended
            self._stacker.look_ahead(handed.frame, number, position_um, scale)
        self._held.append(handed)
        return self.take_held() if len(self._held) == AHEAD else {"reports": []}

    def take_held(self) -> dict[str, Any]:
        """Align and blend the frames kept so far; return their ``reports``."""
        held, self._held = self._held or [], None
        return {"reports": [self._take(handed) for handed in held]}

    def _take(self, handed: _Handed) -> dict[str, Any]:
        """Blend one frame; return its report, or the reason why it was left out."""
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
        """Write a preview into the run folder, and set the time for the next preview."""
        began_s = time.monotonic()
        try:
            write_picture(folder / PREVIEW, self._stacker.preview(_PREVIEW_WIDTH_PX))
        except StackError as error:
            # A failing preview must not prevent the frame from being blended.
            print(error, file=sys.stderr)
        ended_s = time.monotonic()
        self._next_preview_s = ended_s + (ended_s - began_s) / _PREVIEW_SHARE

    def finish(self, folder: str, um_per_px: float) -> dict[str, Any]:
        """Write ``fused.tif``, ``fused.jpg``, ``depth.tif`` and the confidence map.

        Returns
        -------
        dict
            The manifest's ``fused`` section.
        """
        last_frame_s = self._last_frame_s
        fused = self._stacker.finish()
        seconds = time.monotonic() - last_frame_s
        return {
            **write_results(fused, Path(folder), um_per_px, self._reference),
            "seconds_after_last_frame": round(seconds, 3),
            "peak_rss_mb": peak_rss_mb(),
        }


def report_to_dict(report: FrameReport) -> dict[str, Any]:
    """Return the report in the form of the journal and the manifest."""
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
    """Write a run's pictures and return the manifest's ``fused`` section.

    A picture that cannot be written completely is not written at all. The pictures have the colour
    profile and the EXIF of the ``reference`` frame.
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
    """Return the peak memory of this process in MB (10**6 bytes); ``None`` on Windows."""
    try:
        import resource
    except ImportError:
        return None
    # Linux returns ru_maxrss in kibibytes (getrusage(2)).
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1)


def main() -> None:
    """Serve the parent until it closes the pipe, at lower priority than the device workers."""
    os.nice(_LESS_URGENT)
    worker = StreamWorker()
    serve({"add": worker.add, "take_held": worker.take_held, "finish": worker.finish})


if __name__ == "__main__":
    main()
