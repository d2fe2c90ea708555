"""Summarises a run as text: how the run ended, times, problems, and the next step."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

from macrorail.quantity import format_duration
from macrorail.run_folder import events
from macrorail.run_folder.events import Event, Remedy, Verdict
from macrorail.run_folder.journal import Entry
from macrorail.run_folder.record import Record
from macrorail.run_folder.sentences import not_verified, optics_doubt, sentence
from macrorail.states import FinishReason

#: Part of every run; any other event is listed.
_ROUTINE = (
    events.RunStarted,
    events.AxisOpened,
    events.CameraOpened,
    events.AxisHomed,
    events.CameraRestored,
    events.AxisParked,
    events.PictureFused,
    events.RunEnded,
)
#: The events that end the recovery from a fault: the next slice has started.
_RECOVERED = (
    events.AxisMoved,
    events.ExposureIntended,
    events.CoverageAssessed,
    events.RunResumed,
    events.RunEnded,
)


def run_account(record: Record) -> str:
    """Return a summary of a run: about ten lines, and one line for each problem."""
    parts = [_head(record), _slices(record), _times(record), _problems(record), _what_next(record)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(record: Record) -> str:
    first, last = record.entries[0], record.entries[-1]
    manifest = record.manifest
    specimen = (manifest["specimen"] or {}).get("id", "unknown")
    head = f"{manifest['run'] or record.folder.name}: specimen {specimen}.\n"
    head += f"Started {_time(first, with_date=True)}"
    times = len(record.all_of(events.RunResumed))
    if times:
        head += f", was resumed {'once' if times == 1 else f'{times} times'}"
    when = _time(last, with_date=True)
    if not isinstance(last.event, events.RunEnded):
        return f"{head}; last entry {when}: still running or interrupted"
    return f"{head}; ended {when}.\n{sentence(last.event)}"


def _slices(record: Record) -> str:
    counted = len(record.slices)
    first = record.entries[0].event
    started = first.slice_count if isinstance(first, events.RunStarted) else counted
    planned = len(record.plan.get("slices", [])) or started
    inserted = sum(len(event.slices) for event in record.all_of(events.SlicesInserted))
    text = f"Slices: {counted} done of {planned} planned"
    if inserted:
        text += f" and {inserted} inserted"
    exposures = record.manifest["timing"]["exposures"]
    retries = sum(event.attempt > 1 for event in record.all_of(events.ExposureIntended))
    faults = record.all_of(events.FaultOccurred)
    text += f". Exposures: {exposures}; retries: {retries}; faults: {len(faults)}"
    kinds: dict[str, int] = {}
    for fault in faults:
        name = f"{fault.error} of the {fault.part}"
        kinds[name] = kinds.get(name, 0) + 1
    if kinds:
        listed = (f"{often} x {name}" for name, often in sorted(kinds.items()))
        text += f" ({', '.join(listed)})"
    return f"{text}."


def _times(record: Record) -> str:
    timing = record.manifest["timing"]
    paused_s = sum(pause.paused_s for pause in record.all_of(events.PauseEnded))
    text = f"Instrument time: {format_duration(timing['total_s'])}"
    if timing["median_cycle_s"]:
        text += f", {format_duration(timing['median_cycle_s'])} from slice to slice (median)"
    if paused_s:
        text += f"; paused for {format_duration(paused_s)}"
    recovery_s = _recovery_s(record)
    if recovery_s:
        text += f"; recovery from faults took {format_duration(recovery_s)}"
    return f"{text}."


def _recovery_s(record: Record) -> float:
    """Return the total time from each fault until the run continued, without pauses."""
    total_s, began_s = 0.0, None
    for before, entry in pairwise(record.entries):
        if isinstance(entry.event, events.FaultOccurred) and began_s is None:
            began_s = entry.world_s
        elif began_s is not None and isinstance(entry.event, _RECOVERED):
            total_s += entry.world_s - began_s
            began_s = None
        elif began_s is not None and isinstance(before.event, events.RunPaused):
            began_s += entry.world_s - before.world_s
    return total_s


def _problems(record: Record) -> str:
    lines = []
    for entry in record.entries:
        if _is_routine(entry.event):
            continue
        words = sentence(entry.event)
        if words is not None:
            lines.append(f"  {_time(entry)}  {words}")
    if not lines:
        return "No problems."
    return "\n".join(["Problems:", *lines])


def _is_routine(event: Event) -> bool:
    match event:
        case events.SliceCounted():
            return event.attempt == 1 and not event.adopted
        case events.FrameJudged():
            return event.action == Verdict.FUSE
        case events.StepsChecked():
            return not event.in_doubt
        case events.CoverageAssessed():
            return not optics_doubt(event) and not not_verified(event)
        case events.CameraDrained():
            return not event.files
        case _:
            return isinstance(event, _ROUTINE)


def _what_next(record: Record) -> str:
    reason = record.manifest["finish_reason"]
    if reason == FinishReason.COMPLETED.value:
        picture = record.folder / "fused.jpg"
        return f"Picture: {picture}" if picture.is_file() else ""
    if reason == FinishReason.NOT_VERIFIED.value:
        return (
            f"All slices are shot, but the images could not confirm that they overlap. Look for "
            f"blurred bands in the picture: {record.folder / 'fused.jpg'}"
        )
    stopped = any(fault.remedy == Remedy.STOP for fault in record.all_of(events.FaultOccurred))
    step = "Correct the cause of the last fault, then continue" if stopped else "Continue"
    return f"{step} with: macrorail resume {record.folder}"


def _time(entry: Entry, with_date: bool = False) -> str:
    """Return the local time of an entry as text."""
    at = datetime.fromisoformat(entry.at).astimezone()
    return f"{at:%-d %B %Y at %H:%M:%S}" if with_date else f"{at:%H:%M:%S}"
