"""Events for tests: those keys that a test does not care about have a value of the right kind."""

from __future__ import annotations

from typing import Any

from macrorail.run_folder.events import Event, event_of

_SLICE: dict[str, Any] = {"slice": 1, "attempt": 1}
_PLACE = {"target_um": 20_000.0, "achieved_um": 20_000.0}
_RUN: dict[str, Any] = {"run": "r1", "specimen": {"id": "beetle"}, "slices": 3, "bench": None}
_TOTALS = {"stacks": 3, "done": 0, "quarantined": 0, "left": 3, "message": ""}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "started": _RUN,
    "resumed": _RUN,
    "paused": {"why": "a test"},
    "ended": {"state": "done", "reason": "completed", "message": "", "troubles": []},
    "axis_opened": {
        "model": "a rail",
        "version": "1",
        "travel_um": [0.0, 50_000.0],
        "resolution_um": 0.5,
        "estimated": False,
    },
    "homed": {"position_um": 200.0},
    "moved": {"slice": 1, **_PLACE},
    "intent": {**_SLICE, **_PLACE, "dof_um": 70.0},
    "exposed": {**_SLICE, "exposure": 1, "started_s": 0.0, "ended_s": 0.1},
    "counted": {
        **_SLICE,
        **_PLACE,
        "dof_um": 70.0,
        "adopted": False,
        "frame": "frames/0001.jpg",
        "sha256": "0" * 64,
        "size_bytes": 1,
        "camera_name": "DSC_0001.JPG",
    },
    "left_out": {"why": "a test"},
    "fault": {
        **_SLICE,
        "part": "camera",
        "state": "collecting",
        "error": "FrameMissing",
        "message": "it did not arrive",
        "remedy": "retry",
        "wait_s": 0.0,
    },
    "aligned": {
        "transform": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
        "correlation": 1.0,
        "expected": False,
        "sharpness": 1.0,
        "gains": [1.0, 1.0, 1.0],
    },
    "coverage": {
        "proven": True,
        "near_um": 20_000.0,
        "far_um": 20_150.0,
        "near_covered": True,
        "far_covered": True,
        "minimum_overlap": 0.1,
        "gaps": [],
        "overlaps": [],
        "images": None,
    },
    "fused": {
        "path": "fused.tif",
        "sha256": "0" * 64,
        "files": {},
        "valid_rect": [0, 0, 1, 1],
        "um_per_px": 1.0,
        "quality": {},
        "seconds_after_last_frame": 0.1,
        "peak_rss_mb": 99.0,
        "left_out": [],
    },
    "finished": _TOTALS,
    "stopped": _TOTALS,
}


def made(kind: str, **values: Any) -> Event:
    """An event of a kind, with ``values`` by their keys on disk."""
    return event_of(kind, {**_DEFAULTS.get(kind, {}), **values})


def fused(**values: Any) -> dict[str, Any]:
    """What a stream that fuses nothing returns at its end."""
    return {**_DEFAULTS["fused"], **values}
