"""Collects the contents of the report in their order; the layout is in ``page.html.j2``."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from macrorail.optics.scale_bar import scale_bar
from macrorail.quantity import format_duration, format_fraction, format_length, format_size
from macrorail.results.report import charts, pictures
from macrorail.run_folder import events
from macrorail.run_folder.events import Event, Verdict
from macrorail.run_folder.record import Record
from macrorail.run_folder.sentences import optics_doubt
from macrorail.run_folder.wording import ENDS

_COMPLETED = "completed"


def render(record: Record) -> str:
    """Return the complete report page as HTML.

    Raises
    ------
    StackError
        A picture of the run cannot be read.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("macrorail.results.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "length": format_length,
        "fraction": format_fraction,
        "duration": format_duration,
    }
    template = environment.get_template("page.html.j2")
    return template.render(
        manifest=record.manifest,
        slices=record.slices,
        verdict=ENDS.get(record.manifest["finish_reason"], "Ended"),
        well=record.manifest["finish_reason"] == _COMPLETED,
        began=f"{datetime.fromisoformat(record.began):%-d %B %Y, %H:%M} UTC",
        facts=_facts(record),
        events=_events(record),
        settings=_settings(record),
        specimen=_specimen(record),
        instrument=_instrument(record),
        timings=_timings(record),
        charts=charts,
        sharpness=charts.sharpness_chart(record.slices),
        overlap=charts.overlap_chart(
            record.slices,
            record.manifest["coverage"].get("minimum_overlap", 0.0),
            record.manifest["coverage"].get("gaps", []),
        ),
        motion=motion,
        **_pictures(record),
    )


def motion(transform: list[list[float]] | None) -> tuple[str, str]:
    """Return a frame's shift (px) and magnification relative to the reference frame, as text.

    Parameters
    ----------
    transform
        2 x 3 transform from the frame to the reference frame, pixels.
    """
    if transform is None:
        return "—", "—"
    (a, b, x), (c, d, y) = transform
    return f"{math.hypot(x, y):.1f}", f"{math.sqrt(abs(a * d - b * c)):.4f}"


def _pictures(record: Record) -> dict[str, Any]:
    """Return the run's pictures; an interrupted run may have none."""

    def present(name: str, embed: Callable[[Path], Any]) -> Any:
        path = record.folder / name
        return embed(path) if path.exists() else None

    fused = record.manifest["fused"]
    picture = present("fused.jpg", pictures.embed)
    bar = None
    if fused is not None and picture is not None:
        bar = scale_bar(picture.width, fused["um_per_px"])
    images = record.manifest["coverage"].get("images") or {}
    map_name = (images.get("map") or {}).get("path", "coverage.png")
    return {
        "picture": picture,
        "bar": bar,
        "depth": present("depth.tif", pictures.embed_depth),
        "coverage_map": present(map_name, pictures.embed),
        "images": images,
    }


def _facts(record: Record) -> list[tuple[str, str]]:
    """Return the names and values in the row under the picture."""
    slices, fused = record.slices, record.manifest["fused"]
    if not slices:
        return [("slices", "0")]
    facts = [("slices", str(len(slices)))]
    span_um = slices[-1]["achieved_um"] - slices[0]["achieved_um"]
    facts.append(("from first to last", format_length(span_um)))
    dof_um = [one["dof_um"] for one in slices]
    facts.append(("depth of field", _between(min(dof_um), max(dof_um), format_length)))
    overlaps = [one["overlap"] for one in slices if one["overlap"] is not None]
    if overlaps:
        facts.append(("smallest overlap", format_fraction(min(overlaps))))
    if fused is not None:
        facts.append(("per pixel", format_length(fused["um_per_px"])))
        width_px, height_px = fused["valid_rect"][2:]
        facts.append(
            (
                "field of view",
                f"{format_length(width_px * fused['um_per_px'], 3)} × "
                f"{format_length(height_px * fused['um_per_px'], 3)}",
            )
        )
    facts.append(("instrument time", format_duration(record.manifest["timing"]["total_s"])))
    return facts


def _specimen(record: Record) -> list[tuple[str, str]]:
    """Return the other entries of the protocol's specimen section."""
    said = record.manifest["specimen"] or {}
    return [
        (name.replace("_", " "), str(value)) for name, value in said.items() if value is not None
    ]


def _settings(record: Record) -> list[tuple[str, str]]:
    rows = [(name.replace("_", " "), str(v)) for name, v in record.manifest["settings"].items()]
    plan = record.plan
    if plan and plan["slices"]:
        optics = plan["slices"][0]
        rows += [
            ("range", f"{_place(plan['near_um'])} to {_place(plan['far_um'])}"),
            ("required overlap", format_fraction(plan["minimum_overlap"])),
            ("magnification", f"{optics['magnification']:.4g}"),
            ("effective f-number", f"f/{optics['effective_f_number']:.3g}"),
            ("depth of field limited by", f"{optics['criterion']} optics"),
            ("circle of confusion", format_length(plan["coc_um"])),
            ("wavelength", format_length(plan["wavelength_um"])),
            ("closest approach", _place(plan["closest_approach_um"])),
        ]
    return rows


def _instrument(record: Record) -> list[tuple[str, str]]:
    devices = record.manifest["devices"]
    axis, camera = devices["axis"], devices["camera"]
    rows = []
    if camera:
        rows.append(("camera", f"{camera['model']}, {camera['version']}"))
        rows.append(("serial number", str(camera["serial"])))
    if axis:
        rows.append(("axis", f"{axis['model']}, {axis['version']}"))
        rows.append(("resolution", format_length(axis["resolution_um"])))
        low_um, high_um = axis["travel_um"]
        rows.append(("travel", f"{_place(low_um)} to {_place(high_um)}"))
    if devices["bench"]:
        rows.append(("bench", "simulated: no real instrument was used"))
    return rows


def _timings(record: Record) -> list[tuple[str, str]]:
    timing, fused = record.manifest["timing"], record.manifest["fused"]
    rows = [
        ("instrument time", format_duration(timing["total_s"])),
        ("exposures", str(timing["exposures"])),
        ("median slice to slice", format_duration(timing["median_cycle_s"])),
    ]
    if fused is not None:
        rows.append(
            ("picture after the last frame", format_duration(fused["seconds_after_last_frame"]))
        )
        rows.append(("memory of align/blend", f"{fused['peak_rss_mb']:.0f} MB at most"))
    size = sum(counted.size_bytes for counted in record.all_of(events.SliceCounted))
    rows.append(("frames", format_size(size)))
    return rows


def _events(record: Record) -> list[tuple[str, str, str, str]]:
    """Return time, slice, kind and text of each problem and intervention."""
    rows = []
    for entry in record.entries:
        words = _kind_and_words(entry.event)
        if words is not None:
            number = getattr(entry.event, "slice", None)
            which = "" if number is None else str(number)
            rows.append((format_duration(entry.world_s), which, *words))
    return rows


def _kind_and_words(event: Event) -> tuple[str, str] | None:
    match event:
        case events.FaultOccurred():
            return "fault", f"{event.error}: {event.message} → {event.remedy}"
        case events.FrameJudged() if event.action != Verdict.FUSE:
            return "frame judged", f"{event.action}: {event.why}"
        case events.CoverageAssessed() if optics_doubt(event):
            return "optics in doubt", optics_doubt(event)
        case events.SlicesInserted(positions_um=positions_um):
            places = ", ".join(_place(position_um) for position_um in positions_um)
            return "inserted", f"{len(positions_um)} slice(s) at {places}: {event.why}"
        case events.FrameLeftOut():
            return "not aligned", event.error
        case events.FrameAligned(doubt=str(doubt)):
            return "may be misaligned", doubt
        case events.CameraDrained() if event.files:
            return "found in the camera", ", ".join(event.files)
        case events.RunResumed():
            return "resumed", "the run continued where its journal ended"
        case events.ExposureDiscarded():
            return "discarded", f"attempt {event.attempt}, which was interrupted"
        case events.RunPaused():
            return "paused", event.why
        case events.PauseEnded():
            return "pause over", event.why
        case events.SliceLeftOut():
            return "left out", event.why
        case events.CleanupFailed():
            return "not kept", event.message
        case _:
            return None


def _place(position_um: float) -> str:
    return format_length(position_um, digits=6)


def _between(low: float, high: float, write: Callable[[float], str]) -> str:
    return write(low) if write(low) == write(high) else f"{write(low)} to {write(high)}"
