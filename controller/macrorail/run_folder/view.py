"""Builds a display's view of a run from the journal, entry by entry, and from the plan.

The terminal and the operator's page both use this view, so that they show the same data.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from macrorail.run_folder import events
from macrorail.run_folder.events import Event, Verdict
from macrorail.run_folder.journal import Entry
from macrorail.run_folder.sentences import optics_doubt
from macrorail.run_folder.wording import VERDICTS, remedy_now

#: State shown after each event: a value of ``states.State``, or ``searching``.
_STATE_AFTER: Mapping[type[Event], str] = {
    events.RunStarted: "preparing",
    events.SearchStarted: "searching",
    events.SlicesPlanned: "preparing",
    events.RunResumed: "preparing",
    events.AxisHomed: "moving",
    events.AxisMoved: "settling",
    events.ExposureIntended: "exposing",
    events.ExposureMade: "moving",
    events.FaultOccurred: "recovering",
    events.RunPaused: "paused",
    events.PauseEnded: "preparing",
    events.CoverageAssessed: "finishing",
}
#: The time left is estimated from this many slices: steady enough, and still quick to follow.
_RECENT = 12
#: Faults and remarks kept for display; the journal has all of them.
_MOST_NOTES = 200


@dataclass
class SliceView:
    """One slice: its position and its state.

    Attributes
    ----------
    number
        Number of the slice, counted from 1 as in the journal.
    position_um
        Position at which the slice was shot or is planned, micrometres.
    dof_um
        Depth of field, micrometres.
    state
        ``planned``, ``shot`` (exposed, but the frame is not on disk yet), ``counted`` or
        ``left_out``.
    attempt
        Number of the last exposure; 0 before the first exposure.
    frame
        Path of the frame in the run folder; ``None`` before the slice is counted.
    sharpness
        Sharpness measured by align/blend; ``None`` before the measurement.
    inserted
        Whether the slice was added to close a gap.
    changed
        Number of the journal entry that last changed this slice.
    """

    number: int
    position_um: float
    dof_um: float
    state: str = "planned"
    attempt: int = 0
    frame: str | None = None
    sharpness: float | None = None
    inserted: bool = False
    changed: int = 0


@dataclass
class RunView:
    """A display's view of one run, updated with each journal entry.

    Parameters
    ----------
    plan
        Contents of ``plan.json``.

    Attributes
    ----------
    entries
        Number of the last journal entry in this view.
    state
        State of the run, or how the run ended; ``starting`` before the first entry.
    message
        Why the run is paused, or how it ended, as text.
    position_um
        Last known position of the axis, micrometres; ``None`` before the first.
    notes
        Faults and remarks for the operator, oldest first: ``kind`` (``fault``,
        ``remedy`` or ``note``), ``text``, ``at_s`` (seconds since the epoch), ``slice``.
    """

    plan: Mapping[str, Any]
    entries: int = 0
    state: str = "starting"
    reason: str | None = None
    message: str = ""
    specimen: str | None = None
    camera: str | None = None
    axis: str | None = None
    travel_um: list[float] | None = None
    position_um: float | None = None
    slices: dict[int, SliceView] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    coverage: dict[str, Any] | None = None
    fused: dict[str, Any] | None = None
    bench: str | None = None
    began_s: float | None = None
    last_s: float | None = None
    notes: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_MOST_NOTES))
    _cycles_s: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _counted_s: float | None = None

    def __post_init__(self) -> None:
        for number, planned in enumerate(self.plan["slices"], 1):
            self.slices[number] = SliceView(number, planned["target_um"], planned["dof_um"])

    @property
    def done(self) -> int:
        """Number of slices whose frame is on disk and checked."""
        return sum(piece.state == "counted" for piece in self.slices.values())

    @property
    def ended(self) -> bool:
        """Whether the journal records the run's end; a killed run has no such entry."""
        return self.reason is not None

    @property
    def left_s(self) -> float | None:
        """Wall time to the end of the sweep at the recent pace; ``None`` when unknown."""
        if not self._cycles_s or self.ended or self.state == "paused":
            return None
        left = sum(piece.state in {"planned", "shot"} for piece in self.slices.values())
        return left * statistics.median(self._cycles_s)

    def on_entry(self, entry: Entry, at_s: float) -> None:
        """Update the view with one journal entry.

        Parameters
        ----------
        entry
            The entry.
        at_s
            Wall time of the entry, seconds since the epoch.
        """
        self.entries, self.last_s = entry.number, at_s
        if self.began_s is None:
            self.began_s = at_s
        self.state = _STATE_AFTER.get(type(entry.event), self.state)
        self._take_run(entry.event)
        self._take_instrument(entry.event)
        self._take_slice(entry.event)

    def head(self) -> dict[str, Any]:
        """Return everything but the slices as JSON values; lengths are in µm, times in seconds."""
        return {
            "entries": self.entries,
            "state": self.state,
            "reason": self.reason,
            "message": self.message,
            "specimen": self.specimen,
            "camera": self.camera,
            "axis": self.axis,
            "simulated": self.bench is not None,
            "travel_um": self.travel_um,
            "closest_approach_um": self.plan["closest_approach_um"],
            "near_um": self.plan["near_um"],
            "far_um": self.plan["far_um"],
            "position_um": self.position_um,
            "done": self.done,
            "slices": len(self.slices),
            "left_s": self.left_s,
            "began_s": self.began_s,
            "last_s": self.last_s,
            "settings": self.settings,
            "coverage": self.coverage,
            "fused": self.fused,
            "notes": list(self.notes),
        }

    def slices_since(self, entry: int) -> list[dict[str, Any]]:
        """Return the slices that changed after journal entry ``entry``; all slices for -1."""
        return [asdict(piece) for piece in self.slices.values() if piece.changed > entry]

    def _take_run(self, event: Event) -> None:
        match event:
            case events.RunStarted() | events.RunResumed():
                self._begin(event)
            case events.SlicesPlanned():
                self._plan(event)
            case events.FaultOccurred():
                self._fault(event)
            case events.RunPaused():
                self.message = event.why
                self._counted_s = None
                self._remark("note", _sentence(event.why))
            case events.PauseEnded():
                self.message = ""
                self._remark("note", _sentence(event.why))
            case events.CoverageAssessed():
                self.coverage = events.values_of(event)
                del self.coverage["overlaps"]
                doubt = optics_doubt(event)
                if doubt:
                    self._remark("note", _sentence(doubt))
            case events.PictureFused():
                self.fused = events.values_of(event)
            case events.RunEnded():
                self.state, self.reason = event.state, event.reason
                self.message = event.message
                for trouble in event.troubles:
                    self._remark("fault", trouble)

    def _take_instrument(self, event: Event) -> None:
        match event:
            case events.AxisOpened():
                self.axis = f"{event.model} {event.version}".strip()
                self.travel_um = list(event.travel_um)
            case events.CameraOpened():
                self.camera = event.model
            case events.CameraConfigured():
                self.settings = dict(event.settings)
            case events.AxisHomed() | events.AxisParked() | events.SearchSampled():
                self.position_um = event.position_um
            case events.AxisMoved():
                self.position_um = event.achieved_um
            case events.SlicesRelocated():
                for number, achieved_um in zip(event.slices, event.achieved_um, strict=True):
                    self._set(self.slices[number], position_um=achieved_um)
                self._remark(
                    "note", "The axis had lost steps; the images show where its slices were"
                )

    def _take_slice(self, event: Event) -> None:
        match event:
            case events.SlicesInserted():
                self._insert(event)
            case events.ExposureIntended():
                self._set(
                    self.slices[event.slice],
                    position_um=event.achieved_um,
                    dof_um=event.dof_um,
                    attempt=event.attempt,
                )
            case events.ExposureMade():
                self._set(self.slices[event.slice], state="shot")
            case events.ExposureDiscarded():
                self._set(self.slices[event.slice], state="planned")
            case events.SliceLeftOut():
                self._set(self.slices[event.slice], state="left_out")
                self._remark("fault", f"Slice {event.slice} is left out for now", event.slice)
            case events.SliceCounted():
                self._count(event)
            case events.FrameJudged():
                self._judge(event)
            case events.FrameAligned():
                self._set(self.slices[event.slice], sharpness=event.sharpness)
            case events.FrameLeftOut():
                self._remark("fault", event.error, event.slice)
                self._set(self.slices[event.slice], sharpness=None)

    def _begin(self, event: events.RunStarted | events.RunResumed) -> None:
        self.specimen = (event.specimen or {}).get("id")
        self.bench = event.bench
        self.reason, self.message, self.fused = None, "", None
        # The time between a stop and a resume is not part of the pace.
        self._counted_s = None
        self._cycles_s.clear()
        if isinstance(event, events.RunResumed):
            for piece in self.slices.values():
                if piece.state in {"shot", "left_out"}:
                    self._set(piece, state="planned")
            self._remark("note", "Resumed")

    def _plan(self, event: events.SlicesPlanned) -> None:
        """Add the slices that were planned after a search."""
        self.plan = {**self.plan, "near_um": event.near_um, "far_um": event.far_um}
        self.slices = {
            number: SliceView(number, target_um, dof_um, changed=self.entries)
            for number, (target_um, dof_um) in enumerate(event.targets, 1)
        }

    def _insert(self, event: events.SlicesInserted) -> None:
        for number, position_um in zip(event.slices, event.positions_um, strict=True):
            nearest = min(self.slices.values(), key=lambda p: abs(p.position_um - position_um))
            self.slices[number] = SliceView(
                number, position_um, nearest.dof_um, inserted=True, changed=self.entries
            )
        self._remark("note", f"{len(event.slices)} slice(s) inserted: {event.why}")

    def _count(self, event: events.SliceCounted) -> None:
        self._set(
            self.slices[event.slice],
            state="counted",
            position_um=event.achieved_um,
            dof_um=event.dof_um,
            attempt=event.attempt,
            frame=event.frame,
        )
        assert self.last_s is not None
        if self._counted_s is not None:
            self._cycles_s.append(self.last_s - self._counted_s)
        self._counted_s = self.last_s

    def _fault(self, event: events.FaultOccurred) -> None:
        self._remark("fault", event.message, event.slice)
        piece = None if event.slice is None else self.slices.get(event.slice)
        if piece is not None and piece.state == "shot":
            self._set(piece, state="planned")
        self._remark("remedy", remedy_now(event.remedy), event.slice)

    def _judge(self, event: events.FrameJudged) -> None:
        if not event.faults:
            return
        self._remark("fault", event.why, event.slice)
        if event.action == Verdict.RESHOOT:
            self._set(self.slices[event.slice], state="planned")
        self._remark("remedy", VERDICTS.get(event.action, event.action), event.slice)

    def _set(self, piece: SliceView, **changes: Any) -> None:
        for name, value in changes.items():
            setattr(piece, name, value)
        piece.changed = self.entries

    def _remark(self, kind: str, text: str, number: int | None = None) -> None:
        self.notes.append({"kind": kind, "text": text, "at_s": self.last_s, "slice": number})


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
