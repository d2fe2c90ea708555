"""A run in plain words: one sentence for each thing that its journal tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from macrorail.quantity import format_duration, format_length
from macrorail.run_folder.journal import Entry

_REMEDIES = {
    "retry": "the camera was drained and the slice tried again",
    "recover": "the device was opened anew",
    "pause": "the run paused",
    "finish": "the slice was left out for now and the others finished",
    "stop": "the run was ended",
}


def sentence(entry: Entry) -> str | None:
    """What an entry says, in words; ``None`` when it is of no interest by itself."""
    teller = _TELLERS.get(entry.event)
    return None if teller is None else teller(entry.fields)


def _begin(fields: Mapping[str, Any]) -> str:
    planned = f"{fields['slices']} slices were planned" if fields["slices"] else "no slice yet"
    return f"Run {fields['run']} began; {planned}."


def _search(fields: Mapping[str, Any]) -> str:
    low, high = (format_length(fields[name], digits=5) for name in ("from_um", "to_um"))
    return f"The specimen is looked for by {fields['by']} from {low} to {high}."


def _range_found(fields: Mapping[str, Any]) -> str:
    names = ("sharp_from_um", "sharp_to_um", "near_um", "far_um")
    sharp_from, sharp_to, near, far = (format_length(fields[name], digits=5) for name in names)
    return (
        f"The specimen is sharp from {sharp_from} to {sharp_to} ({fields['tiles']} of "
        f"{fields['of_tiles']} tiles have texture); the range is {near} to {far}."
    )


def _resumed(fields: Mapping[str, Any]) -> str:
    return f"Run {fields['run']} was resumed; {fields['slices']} slices are planned in all."


def _axis(fields: Mapping[str, Any]) -> str:
    low, high = (format_length(position_um) for position_um in fields["travel_um"])
    return f"The axis was opened: {fields['model']} {fields['version']}, travel {low} to {high}."


def _camera(fields: Mapping[str, Any]) -> str:
    battery = fields["battery_percent"]
    charge = "" if battery is None else f", battery {battery} %"
    return f"The camera was opened: {fields['model']}, serial {fields['serial']}{charge}."


def _drained(fields: Mapping[str, Any]) -> str | None:
    if not fields["files"]:
        return None
    return f"Left in the camera from before: {', '.join(fields['files'])}."


def _counted(fields: Mapping[str, Any]) -> str:
    tries = "" if fields["attempt"] == 1 else f", at the attempt {fields['attempt']}"
    adopted = ", adopted: it was on its way when the controller died" if fields["adopted"] else ""
    where = format_length(fields["achieved_um"], digits=6)
    return f"Slice {fields['slice']} is done at {where}{tries}{adopted}."


def _fault(fields: Mapping[str, Any]) -> str:
    which = "" if fields["slice"] is None else f" at slice {fields['slice']}"
    return (
        f"Fault of the {fields['part']}{which} while {fields['state']}: {fields['message']}. "
        f"{_REMEDIES[fields['remedy']].capitalize()}."
    )


def _unpaused(fields: Mapping[str, Any]) -> str:
    return f"It went on after {format_duration(fields['paused_s'])}: {fields['why']}."


def _scene(fields: Mapping[str, Any]) -> str:
    if fields["correlation"] is None:
        return f"The scene could not be compared with slice {fields['slice']}: {fields['why']}."
    return (
        f"The scene is where it was at slice {fields['slice']}: displaced by "
        f"{fields['shift_px']:.1f} pixels, correlation {fields['correlation']:.2f}."
    )


def _count_checked(fields: Mapping[str, Any]) -> str:
    doubt = f", which puts {len(fields['slices'])} slice(s) in doubt" if fields["in_doubt"] else ""
    off = format_length(fields["error_um"])
    return f"The home switch was touched again: the axis was off by {off}{doubt}."


def _judged(fields: Mapping[str, Any]) -> str | None:
    if fields["action"] == "fuse":
        return None
    return f"The frame of slice {fields['slice']} (attempt {fields['attempt']}): {fields['why']}."


def _aligned(fields: Mapping[str, Any]) -> str | None:
    error, doubt = fields.get("error"), fields.get("doubt")
    if error is None:
        return None if doubt is None else f"{doubt}."
    return f"A frame is left out of the picture: {error}."


def _inserted(fields: Mapping[str, Any]) -> str:
    return f"{len(fields['slices'])} slice(s) were inserted: {fields['why']}."


def optics_doubt(coverage: Mapping[str, Any]) -> str:
    """Why the images do not believe the rig's optics; empty when they do, or cannot tell."""
    dof = (coverage.get("images") or {}).get("dof") or {}
    return str(dof.get("warning", ""))


def _coverage(fields: Mapping[str, Any]) -> str:
    proven = "Coverage is proven." if fields["proven"] else "Coverage is not proven."
    doubt = optics_doubt(fields)
    return f"{proven} But {doubt}." if doubt else proven


def _ended(fields: Mapping[str, Any]) -> str:
    why = f": {fields['message']}" if fields["message"] else ""
    troubles = "".join(f" Not all could be put back: {each}." for each in fields["troubles"])
    return f"The run ended as {fields['state']} ({fields['reason']}){why}.{troubles}"


_TELLERS: dict[str, Callable[[Mapping[str, Any]], str | None]] = {
    "started": _begin,
    "search_began": _search,
    "range_found": _range_found,
    "resumed": _resumed,
    "axis_opened": _axis,
    "camera_opened": _camera,
    "drained": _drained,
    "homed": lambda fields: f"The axis was homed at {format_length(fields['position_um'])}.",
    "counted": _counted,
    "fault": _fault,
    "left_out": lambda fields: f"Slice {fields['slice']} was left out for now.",
    "discarded": lambda fields: (
        f"The exposure of slice {fields['slice']} that was under way is discarded."
    ),
    "paused": lambda fields: f"The run paused: {fields['why']}.",
    "unpaused": _unpaused,
    "scene_checked": _scene,
    "count_checked": _count_checked,
    "relocated": lambda fields: (
        f"The images tell where {len(fields['slices'])} slice(s) truly were; they are kept."
    ),
    "rejected": lambda fields: f"Slice {fields['slice']} is no good and is shot again.",
    "inserted": _inserted,
    "judged": _judged,
    "aligned": _aligned,
    "coverage": _coverage,
    "not_kept": lambda fields: f"Not kept: {fields['message']}.",
    "parked": lambda fields: f"The axis was parked at {format_length(fields['position_um'])}.",
    "settings_restored": lambda _: "The camera's settings were put back as they were found.",
    "ended": _ended,
}
