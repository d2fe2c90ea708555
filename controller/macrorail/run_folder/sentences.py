"""Describes a run as text: one sentence for each event of interest."""

from __future__ import annotations

from macrorail.quantity import format_duration, format_length
from macrorail.run_folder.events import (
    AxisHomed,
    AxisOpened,
    AxisParked,
    CameraDrained,
    CameraOpened,
    CameraRestored,
    CleanupFailed,
    CoverageAssessed,
    Event,
    ExposureDiscarded,
    FaultOccurred,
    FrameAligned,
    FrameJudged,
    FrameLeftOut,
    FrameRejected,
    PauseEnded,
    RangeFound,
    RunEnded,
    RunPaused,
    RunResumed,
    RunStarted,
    SceneChecked,
    SearchStarted,
    ShutterLagChecked,
    SliceCounted,
    SliceLeftOut,
    SlicesInserted,
    SlicesRelocated,
    StepsChecked,
    Verdict,
)
from macrorail.run_folder.wording import REMEDIES


def sentence(event: Event) -> str | None:
    """Return a sentence that describes an event; ``None`` for an event that needs no sentence."""
    return _of_the_run(event) or _of_the_instrument(event) or _of_a_slice(event)


def optics_doubt(coverage: CoverageAssessed) -> str:
    """Return why the images contradict the rig's optics; empty when no contradiction is found."""
    dof = (coverage.images or {}).get("dof") or {}
    return str(dof.get("warning", ""))


def not_verified(coverage: CoverageAssessed) -> str:
    """Return why the images could not confirm the coverage; empty when they confirmed it or were
    not used."""
    images = coverage.images or {}
    if not images or images.get("proven") is not None or not coverage.proven:
        return ""
    return str(images.get("reason") or "they show too little texture")


def _of_the_run(event: Event) -> str | None:
    match event:
        case RunStarted(slice_count=count):
            planned = f"{count} slices were planned" if count else "the slices follow from a search"
            return f"Run {event.run} started; {planned}."
        case RunResumed(slice_count=count):
            return f"Run {event.run} was resumed; {count} slices are planned in all."
        case RunPaused():
            return f"The run paused: {event.why}."
        case PauseEnded():
            return f"The run continued after {format_duration(event.paused_s)}: {event.why}."
        case FaultOccurred():
            return _fault(event)
        case CoverageAssessed():
            proven = "Coverage is proven." if event.proven else "Coverage is not proven."
            if why := not_verified(event):
                proven = f"Coverage is not verified by the images: {why}."
            doubt = optics_doubt(event)
            return f"{proven} But {doubt}." if doubt else proven
        case RunEnded():
            why = f": {event.message}" if event.message else ""
            troubles = "".join(f" Clean-up failed: {each}." for each in event.troubles)
            return f"The run ended as {event.state} ({event.reason}){why}.{troubles}"
        case CleanupFailed():
            return f"Not kept: {event.message}."
        case _:
            return None


def _of_the_instrument(event: Event) -> str | None:
    match event:
        case AxisOpened(travel_um=travel_um):
            low, high = (format_length(position_um) for position_um in travel_um)
            return f"The axis was opened: {event.model} {event.version}, travel {low} to {high}."
        case AxisHomed():
            return f"The axis was homed at {format_length(event.position_um)}."
        case AxisParked():
            return f"The axis was parked at {format_length(event.position_um)}."
        case StepsChecked():
            count = len(event.slices)
            doubt = f", which puts {count} slice(s) in doubt" if event.in_doubt else ""
            off = format_length(event.error_um)
            return f"The home switch was touched again: the axis was off by {off}{doubt}."
        case CameraOpened(battery_percent=battery):
            charge = "" if battery is None else f", battery {battery} %"
            return f"The camera was opened: {event.model}, serial {event.serial}{charge}."
        case CameraDrained():
            files = ", ".join(event.files)
            return f"Left in the camera from before: {files}." if files else None
        case CameraRestored():
            return "The camera's settings were restored."
        case SceneChecked():
            return _scene(event)
        case ShutterLagChecked(certain=certain):
            return (
                None
                if certain
                else "It is uncertain when the shutter opens, so the axis waits for each frame."
            )
        case SearchStarted():
            low, high = (format_length(um, digits=5) for um in (event.from_um, event.to_um))
            return f"The specimen is searched for by {event.method} from {low} to {high}."
        case RangeFound():
            return _range_found(event)
        case _:
            return None


def _of_a_slice(event: Event) -> str | None:
    match event:
        case SliceCounted():
            return _counted(event)
        case SliceLeftOut():
            return f"Slice {event.slice} was left out for now."
        case ExposureDiscarded():
            return f"The interrupted exposure of slice {event.slice} was discarded."
        case SlicesRelocated():
            count = len(event.slices)
            return f"The images show where {count} slice(s) truly were; they are kept."
        case FrameRejected():
            return f"The frame of slice {event.slice} was rejected; the slice is shot again."
        case SlicesInserted():
            return f"{len(event.slices)} slice(s) were inserted: {event.why}."
        case FrameJudged():
            if event.action == Verdict.FUSE:
                return None
            return f"The frame of slice {event.slice} (attempt {event.attempt}): {event.why}."
        case FrameLeftOut():
            return f"A frame is left out of the picture: {event.error}."
        case FrameAligned(doubt=doubt):
            return None if doubt is None else f"{doubt}."
        case _:
            return None


def _fault(fault: FaultOccurred) -> str:
    which = "" if fault.slice is None else f" at slice {fault.slice}"
    known = REMEDIES.get(fault.remedy)
    remedy = (fault.remedy if known is None else known.past).capitalize()
    return f"Fault of the {fault.part}{which} while {fault.state}: {fault.message}. {remedy}."


def _scene(check: SceneChecked) -> str:
    if check.shift_px is None or check.correlation is None:
        return f"The scene could not be compared with slice {check.slice}: {check.why}."
    return (
        f"The scene was compared with slice {check.slice}: displaced by "
        f"{check.shift_px:.1f} pixels, correlation {check.correlation:.2f}."
    )


def _range_found(found: RangeFound) -> str:
    ends_um = (found.sharp_from_um, found.sharp_to_um, found.near_um, found.far_um)
    sharp_from, sharp_to, near, far = (format_length(um, digits=5) for um in ends_um)
    return (
        f"The specimen is sharp from {sharp_from} to {sharp_to} ({found.tiles} of "
        f"{found.of_tiles} tiles have texture); the range is {near} to {far}."
    )


def _counted(counted: SliceCounted) -> str:
    tries = "" if counted.attempt == 1 else f", at attempt {counted.attempt}"
    adopted = ", recovered: it was downloading when the controller died" if counted.adopted else ""
    where = format_length(counted.achieved_um, digits=6)
    return f"Slice {counted.slice} is done at {where}{tries}{adopted}."
