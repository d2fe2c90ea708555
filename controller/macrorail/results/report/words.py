"""A run in plain words: how it ended, where its time went, what did not go straight, what to do."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

from macrorail.quantity import format_duration
from macrorail.run_folder.account import optics_doubt, sentence
from macrorail.run_folder.journal import Entry
from macrorail.run_folder.record import Record
from macrorail.running.policies import Remedy
from macrorail.states import FinishReason

#: What every run tells; of the rest, each entry is told.
_ROUTINE = {
    "started",
    "axis_opened",
    "camera_opened",
    "homed",
    "settings_restored",
    "parked",
    "fused",
    "ended",
}
#: The entries that end what a fault had begun: the next slice is on its way.
_GOES_ON = {"moved", "intent", "coverage", "resumed", "ended"}


def tell(record: Record) -> str:
    """The account of a run, some ten lines and one for each thing that did not go straight."""
    parts = [_head(record), _slices(record), _times(record), _events(record), _what_next(record)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(record: Record) -> str:
    first, last = record.entries[0], record.entries[-1]
    manifest = record.manifest
    specimen = (manifest["specimen"] or {}).get("id", "unknown")
    head = f"{manifest['run'] or record.folder.name}: specimen {specimen}.\n"
    head += f"Began {_time(first, with_date=True)}"
    times = len(record.happened("resumed"))
    if times:
        head += f", was resumed {'once' if times == 1 else f'{times} times'}"
    if last.event != "ended":
        return (
            f"{head}; its last word is of {_time(last, with_date=True)}: it goes on, or was cut off"
        )
    return f"{head}; ended {_time(last, with_date=True)}.\n{sentence(last)}"


def _slices(record: Record) -> str:
    counted = len(record.slices)
    planned = len(record.plan.get("slices", [])) or record.entries[0].fields.get("slices", counted)
    added = sum(len(entry.fields["slices"]) for entry in record.happened("inserted"))
    told = f"Slices: {counted} done of {planned} planned"
    if added:
        told += f" and {added} inserted"
    exposures = record.manifest["timing"]["exposures"]
    retries = sum(
        entry.event == "intent" and entry.fields["attempt"] > 1 for entry in record.entries
    )
    faults = record.happened("fault")
    told += f". Exposures: {exposures}; retries: {retries}; faults: {len(faults)}"
    kinds: dict[str, int] = {}
    for fault in faults:
        name = f"{fault.fields['error']} of the {fault.fields['part']}"
        kinds[name] = kinds.get(name, 0) + 1
    if kinds:
        listed = (f"{often} x {name}" for name, often in sorted(kinds.items()))
        told += f" ({', '.join(listed)})"
    return f"{told}."


def _times(record: Record) -> str:
    timing = record.manifest["timing"]
    paused_s = sum(entry.fields["paused_s"] for entry in record.happened("unpaused"))
    told = f"Time of the instrument: {format_duration(timing['total_s'])}"
    if timing["median_cycle_s"]:
        told += f", {format_duration(timing['median_cycle_s'])} from slice to slice (median)"
    if paused_s:
        told += f"; paused for {format_duration(paused_s)}"
    mending_s = _mending_s(record)
    if mending_s:
        told += f"; putting faults right took {format_duration(mending_s)}"
    return f"{told}."


def _mending_s(record: Record) -> float:
    """Time from each fault until the run went on, pauses left out."""
    total_s, began_s = 0.0, None
    for before, entry in pairwise(record.entries):
        if entry.event == "fault" and began_s is None:
            began_s = entry.world_s
        elif began_s is not None and entry.event in _GOES_ON:
            total_s += entry.world_s - began_s
            began_s = None
        elif began_s is not None and before.event == "paused":
            began_s += entry.world_s - before.world_s
    return total_s


def _events(record: Record) -> str:
    lines = []
    for entry in record.entries:
        if _is_routine(entry):
            continue
        words = sentence(entry)
        if words is not None:
            lines.append(f"  {_time(entry)}  {words}")
    if not lines:
        return "Everything went straight."
    return "\n".join(["What did not go straight:", *lines])


def _is_routine(entry: Entry) -> bool:
    fields = entry.fields
    if entry.event == "counted":
        return fields["attempt"] == 1 and not fields["adopted"]
    if entry.event == "judged":
        return bool(fields["action"] == "fuse")
    if entry.event == "count_checked":
        return not fields["in_doubt"]
    if entry.event == "coverage":
        return not optics_doubt(fields)
    if entry.event == "drained":
        return not fields["files"]
    return entry.event in _ROUTINE


def _what_next(record: Record) -> str:
    reason = record.manifest["finish_reason"]
    if reason == FinishReason.COMPLETED.value:
        picture = record.folder / "fused.jpg"
        return f"Picture: {picture}" if picture.is_file() else ""
    stopped = [
        entry for entry in record.happened("fault") if entry.fields["remedy"] == Remedy.STOP.value
    ]
    mend = "Mend what the last fault names, then go on" if stopped else "Go on"
    return f"{mend} with: macrorail resume {record.folder}"


def _time(entry: Entry, with_date: bool = False) -> str:
    """By the clock on the wall here."""
    at = datetime.fromisoformat(entry.at).astimezone()
    return f"{at:%-d %B %Y at %H:%M:%S}" if with_date else f"{at:%H:%M:%S}"
