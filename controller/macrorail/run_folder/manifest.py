"""The manifest: a run's journal folded into one page that scripts and people read.

Nothing stands here that the journal does not say; a manifest can be made again at any time.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import version
from itertools import pairwise
from typing import Any

from macrorail.run_folder.journal import Entry

_LIBRARIES = ("macrorail", "gphoto2", "numpy", "opencv-python-headless", "pyserial", "transitions")


def build_manifest(entries: Iterable[Entry]) -> dict[str, Any]:
    """Fold journal entries, in their order, into ``manifest.json``.

    Returns
    -------
    dict
        ``run``, ``specimen``, ``state``, ``finish_reason``, ``message``, ``slices``,
        ``fusion_order``, ``coverage``, ``fused``, ``devices``, ``settings``, ``count_checks``
        (how far the axis's count was off when its reference was touched again), ``faults``,
        ``rejected`` (frames shot again), ``versions``, ``timing``. Lengths are micrometres, times
        seconds of world time. A slice is ``position_checked`` when a check after it was good; one
        that was bracketed tells its ``exposures``.
    """
    entries = list(entries)
    last = {entry.event: entry for entry in entries}
    slices: dict[int, dict[str, Any]] = {}
    judged: dict[int, dict[str, Any]] = {}
    brackets: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        if entry.event in {"started", "resumed"}:
            judged = {}  # a resumed run judges and fuses anew
        elif entry.event == "intent":
            brackets.pop(f"{entry.fields['slice']:04d}", None)
        elif entry.event == "bracketed":
            brackets.setdefault(entry.fields["frame"], []).append(_exposure(entry.fields))
        elif entry.event == "counted":
            slices[entry.fields["slice"]] = _slice(entry.fields)
            bracket = brackets.get(f"{entry.fields['slice']:04d}")
            if bracket:
                slices[entry.fields["slice"]]["exposures"] = bracket
        elif entry.event == "rejected":
            del slices[entry.fields["slice"]]
            judged.pop(entry.fields["slice"], None)
        elif entry.event == "relocated":
            for number, um in zip(entry.fields["slices"], entry.fields["achieved_um"], strict=True):
                slices[number]["achieved_um"] = um
        elif entry.event == "count_checked" and not entry.fields["in_doubt"]:
            for number in entry.fields["slices"]:
                slices[number]["position_checked"] = True
        elif entry.event == "judged" and entry.fields["action"] == "fuse":
            judged[entry.fields["slice"]] = entry.fields
        elif entry.event == "aligned":
            counted = slices[entry.fields["number"]]
            counted["transform"] = entry.fields.get("transform")
            counted["sharpness"] = entry.fields.get("sharpness")
            counted["scale"] = entry.fields.get("scale")

    def fields(event: str) -> dict[str, Any]:
        return last[event].fields if event in last else {}

    for pair in fields("coverage").get("overlaps", []):
        for counted in slices.values():
            if counted["achieved_um"] == pair["position_um"]:
                counted["overlap"] = pair["overlap"]
    for number, verdict in judged.items():
        slices[number]["faults"] = verdict["faults"]
    started, ended = fields("started"), fields("ended")
    coverage = {k: v for k, v in fields("coverage").items() if k != "overlaps"}
    return {
        "run": started.get("run"),
        "specimen": started.get("specimen"),
        "state": ended.get("state", "interrupted"),
        "finish_reason": ended.get("reason"),
        "message": ended.get("message", ""),
        "slices": sorted(slices.values(), key=lambda counted: int(counted["index"])),
        "fusion_order": list(judged or slices),
        "coverage": coverage or {"proven": False, "gaps": []},
        "fused": fields("fused") or None,
        "devices": {
            "axis": fields("axis_opened") or None,
            "camera": fields("camera_opened") or None,
            "bench": started.get("bench"),
        },
        "settings": fields("settings"),
        "count_checks": [entry.fields for entry in entries if entry.event == "count_checked"],
        "faults": [entry.fields for entry in entries if entry.event == "fault"],
        "rejected": [
            entry.fields
            for entry in entries
            if entry.event == "judged" and entry.fields["action"] != "fuse"
        ],
        "versions": {
            "python": platform.python_version(),
            **{library: version(library) for library in _LIBRARIES},
        },
        "timing": _timing(entries),
    }


def _slice(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "index": fields["slice"],
        "target_um": fields["target_um"],
        "achieved_um": fields["achieved_um"],
        "frame": fields["frame"],
        "sha256": fields["sha256"],
        "attempts": fields["attempt"],
        "dof_um": fields["dof_um"],
        "overlap": None,
        "sharpness": None,
        "transform": None,
        "scale": None,
        "position_checked": False,
        "faults": [],
    }


def _exposure(fields: dict[str, Any]) -> dict[str, Any]:
    return {"ev": fields["ev"], "frame": fields["exposure"], "sha256": fields["sha256"]}


def _timing(entries: list[Entry]) -> dict[str, float | int]:
    exposed = [entry.world_s for entry in entries if entry.event == "exposed"]
    cycles = sorted(after - before for before, after in pairwise(exposed))
    return {
        "total_s": entries[-1].world_s if entries else 0.0,
        "exposures": len(exposed),
        "median_cycle_s": round(cycles[len(cycles) // 2], 6) if cycles else 0.0,
    }
