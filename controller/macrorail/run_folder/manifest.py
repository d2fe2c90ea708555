"""The manifest: a run's journal summarised for scripts.

The manifest contains only data from the journal, so it can be regenerated at any time.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import version
from itertools import pairwise
from typing import Any

from macrorail.run_folder.events import (
    AxisOpened,
    BracketExposed,
    CameraConfigured,
    CameraOpened,
    CoverageAssessed,
    Event,
    ExposureIntended,
    ExposureMade,
    FaultOccurred,
    FrameAligned,
    FrameJudged,
    FrameLeftOut,
    FrameRejected,
    PictureFused,
    RunEnded,
    RunResumed,
    RunStarted,
    SliceCounted,
    SlicesRelocated,
    StepsChecked,
    Verdict,
    values_of,
)
from macrorail.run_folder.journal import Entry

_LIBRARIES = ("macrorail", "gphoto2", "numpy", "opencv-python-headless", "pyserial", "transitions")


def build_manifest(entries: Iterable[Entry]) -> dict[str, Any]:
    """Build the contents of ``manifest.json`` from journal entries in their order.

    Returns
    -------
    dict
        ``run``, ``specimen``, ``state``, ``finish_reason``, ``message``, ``slices``,
        ``fusion_order``, ``coverage``, ``fused``, ``devices``, ``settings``, ``count_checks``
        (error of the axis's step count at each check against the home switch), ``faults``,
        ``rejected`` (frames that were shot again), ``versions``, ``timing``. Lengths are in
        micrometres, times in seconds of run time. A slice is ``position_checked`` when a later
        check of the step count found no lost steps. A bracketed slice has ``exposures``.
    """
    entries = list(entries)
    slices: dict[int, dict[str, Any]] = {}
    accepted: dict[int, FrameJudged] = {}
    brackets: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        match entry.event:
            case RunStarted() | RunResumed():
                accepted = {}  # a resumed run judges and fuses every frame again
            case ExposureIntended(slice=number):
                brackets.pop(f"{number:04d}", None)
            case BracketExposed() as one:
                exposure = {"ev": one.ev, "frame": one.frame, "sha256": one.sha256}
                brackets.setdefault(one.stem, []).append(exposure)
            case SliceCounted(slice=number) as counted:
                slices[number] = _slice(counted)
                bracket = brackets.get(f"{number:04d}")
                if bracket:
                    slices[number]["exposures"] = bracket
            case FrameRejected(slice=number):
                del slices[number]
                accepted.pop(number, None)
            case SlicesRelocated(slices=numbers, achieved_um=achieved_um):
                for number, um in zip(numbers, achieved_um, strict=True):
                    slices[number]["achieved_um"] = um
            case StepsChecked(in_doubt=False, slices=numbers):
                for number in numbers:
                    slices[number]["position_checked"] = True
            case FrameJudged(action=Verdict.FUSE) as verdict:
                accepted[verdict.slice] = verdict
            case FrameAligned() as aligned:
                slices[aligned.slice] |= {
                    "transform": aligned.transform,
                    "trust": aligned.trust,
                    "sharpness": aligned.sharpness,
                    "scale": aligned.scale,
                }
            case FrameLeftOut(slice=number):
                slices[number] |= dict.fromkeys(("transform", "trust", "sharpness", "scale"))
    coverage = _last(entries, CoverageAssessed)
    for pair in coverage.get("overlaps", []):
        for each in slices.values():
            if each["achieved_um"] == pair["position_um"]:
                each["overlap"] = pair["overlap"]
    for number, verdict in accepted.items():
        slices[number]["faults"] = verdict.faults
    started, ended = _last(entries, RunStarted), _last(entries, RunEnded)
    return {
        "run": started.get("run"),
        "specimen": started.get("specimen"),
        "state": ended.get("state", "interrupted"),
        "finish_reason": ended.get("reason"),
        "message": ended.get("message", ""),
        "slices": sorted(slices.values(), key=lambda each: int(each["index"])),
        "fusion_order": list(accepted or slices),
        "coverage": {k: v for k, v in coverage.items() if k != "overlaps"}
        or {"proven": False, "gaps": []},
        "fused": _last(entries, PictureFused) or None,
        "devices": {
            "axis": _last(entries, AxisOpened) or None,
            "camera": _last(entries, CameraOpened) or None,
            "bench": started.get("bench"),
        },
        "settings": _last(entries, CameraConfigured),
        "count_checks": _all(entries, StepsChecked),
        "faults": _all(entries, FaultOccurred),
        "rejected": [one for one in _all(entries, FrameJudged) if one["action"] != Verdict.FUSE],
        "versions": {
            "python": platform.python_version(),
            **{library: version(library) for library in _LIBRARIES},
        },
        "timing": _timing(entries),
    }


def _all(entries: list[Entry], cls: type[Event]) -> list[dict[str, Any]]:
    """Return the keys and values of every event of a type."""
    return [values_of(entry.event) for entry in entries if isinstance(entry.event, cls)]


def _last(entries: list[Entry], cls: type[Event]) -> dict[str, Any]:
    """Return the keys and values of the last event of a type; empty when there is none."""
    for entry in reversed(entries):
        if isinstance(entry.event, cls):
            return values_of(entry.event)
    return {}


def _slice(counted: SliceCounted) -> dict[str, Any]:
    return {
        "index": counted.slice,
        "target_um": counted.target_um,
        "achieved_um": counted.achieved_um,
        "frame": counted.frame,
        "sha256": counted.sha256,
        "attempts": counted.attempt,
        "dof_um": counted.dof_um,
        "overlap": None,
        "sharpness": None,
        "transform": None,
        "trust": None,
        "scale": None,
        "position_checked": False,
        "faults": [],
    }


def _timing(entries: list[Entry]) -> dict[str, float | int]:
    exposed = [entry.world_s for entry in entries if isinstance(entry.event, ExposureMade)]
    cycles = sorted(after - before for before, after in pairwise(exposed))
    return {
        "total_s": entries[-1].world_s if entries else 0.0,
        "exposures": len(exposed),
        "median_cycle_s": round(cycles[len(cycles) // 2], 6) if cycles else 0.0,
    }
