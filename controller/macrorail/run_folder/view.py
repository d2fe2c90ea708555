"""A run as people follow it: its journal folded, line by line, into what a display shows.

The terminal and the operator's page show the same thing because both read it here. Nothing stands
here that the journal and the plan do not say.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from macrorail.run_folder.account import optics_doubt

#: What a run is busy with after each event, in the words of ``states.State``.
_DOING = {
    "started": "preparing",
    "search_began": "searching",
    "planned": "preparing",
    "resumed": "preparing",
    "homed": "moving",
    "moved": "settling",
    "intent": "exposing",
    "exposed": "moving",
    "fault": "recovering",
    "paused": "paused",
    "unpaused": "preparing",
    "coverage": "finishing",
}
#: What is done about a fault, by the name of its remedy in the table of policies.
REMEDIES = {
    "retry": "trying the slice again",
    "recover": "opening the device anew",
    "pause": "pausing",
    "finish": "finishing the other slices first",
    "stop": "the run ends here",
}
#: What becomes of a frame that shows a fault, by the action of its verdict.
JUDGED = {
    "fuse": "kept all the same",
    "reshoot": "shooting the slice again",
    "pause": "pausing before the slice is shot again",
    "stop": "the run ends here",
}
#: Time left is judged by this many slices: long enough to be steady, short enough to follow.
_RECENT = 12
#: Faults and remarks kept for display; the journal has all of them.
_MOST_NOTES = 200


@dataclass
class SliceView:
    """One slice: where it stands in the sweep and how far it has come.

    Attributes
    ----------
    number
        As the journal counts slices, from 1.
    position_um
        Where it was shot, or where it is to be.
    dof_um
        Its depth of field, micrometres.
    state
        ``planned``, ``shot`` (frame on its way), ``counted`` or ``left_out``.
    attempt
        Of the last exposure; 0 before the first.
    frame
        Its file within the run folder; ``None`` before it is counted.
    sharpness
        As align/blend measured it; ``None`` before.
    inserted
        Whether it was added to close a gap.
    changed
        Number of the journal entry that changed it last.
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
    """Follows one run.

    Parameters
    ----------
    plan
        As ``plan.json`` has it.

    Attributes
    ----------
    entries
        Number of the last journal entry heard.
    state
        What it is busy with, or how it ended; ``starting`` before the first entry.
    message
        Why it is paused or how it ended, in words.
    position_um
        Where the axis was last; ``None`` before it is known.
    notes
        Faults and other things an operator wants to know, oldest first: ``kind`` (``fault``,
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

    def _on_looked(self, fields: Mapping[str, Any]) -> None:
        self.position_um = fields["position_um"]

    def _on_planned(self, fields: Mapping[str, Any]) -> None:
        """A range that was searched for has become slices."""
        self.plan = {**self.plan, "near_um": fields["near_um"], "far_um": fields["far_um"]}
        self.slices = {
            number: SliceView(number, target_um, dof_um, changed=self.entries)
            for number, (target_um, dof_um) in enumerate(fields["slices"], 1)
        }

    @property
    def done(self) -> int:
        """Slices whose frame is on disk and checked."""
        return sum(piece.state == "counted" for piece in self.slices.values())

    @property
    def ended(self) -> bool:
        """Whether the journal says that it has ended (a killed run's does not)."""
        return self.reason is not None

    @property
    def left_s(self) -> float | None:
        """Wall time to the end of the sweep at the pace of late; ``None`` when nobody can tell."""
        if not self._cycles_s or self.ended or self.state == "paused":
            return None
        left = sum(piece.state in {"planned", "shot"} for piece in self.slices.values())
        return left * statistics.median(self._cycles_s)

    def hear(self, number: int, event: str, fields: Mapping[str, Any], at_s: float) -> None:
        """Take in one journal entry.

        Parameters
        ----------
        at_s
            Wall time of the entry, seconds since the epoch.
        """
        self.entries, self.last_s = number, at_s
        if self.began_s is None:
            self.began_s = at_s
        self.state = _DOING.get(event, self.state)
        handler = getattr(self, f"_on_{event}", None)
        if handler is not None:
            handler(fields)

    def head(self) -> dict[str, Any]:
        """Everything but the slices, as JSON values; lengths in micrometres, times in seconds."""
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
        """The slices changed after journal entry ``entry``; all of them for -1."""
        return [asdict(piece) for piece in self.slices.values() if piece.changed > entry]

    # ------------------------------------------------------------------- one method an event

    def _on_started(self, fields: Mapping[str, Any]) -> None:
        self.specimen = (fields.get("specimen") or {}).get("id")
        self.bench = fields.get("bench")
        self.reason, self.message, self.fused = None, "", None
        # Nobody was there to measure the time between a stop and a resume.
        self._counted_s = None
        self._cycles_s.clear()

    def _on_resumed(self, fields: Mapping[str, Any]) -> None:
        self._on_started(fields)
        for piece in self.slices.values():
            if piece.state in {"shot", "left_out"}:
                self._set(piece, state="planned")
        self._tell("note", "Resumed")

    def _on_axis_opened(self, fields: Mapping[str, Any]) -> None:
        self.axis = f"{fields.get('model', '')} {fields.get('version', '')}".strip()
        self.travel_um = fields.get("travel_um")

    def _on_camera_opened(self, fields: Mapping[str, Any]) -> None:
        self.camera = fields.get("model")

    def _on_settings(self, fields: Mapping[str, Any]) -> None:
        self.settings = dict(fields)

    def _on_homed(self, fields: Mapping[str, Any]) -> None:
        self.position_um = fields["position_um"]

    def _on_parked(self, fields: Mapping[str, Any]) -> None:
        self.position_um = fields["position_um"]

    def _on_moved(self, fields: Mapping[str, Any]) -> None:
        self.position_um = fields["achieved_um"]

    def _on_inserted(self, fields: Mapping[str, Any]) -> None:
        for number, position_um in zip(fields["slices"], fields["positions_um"], strict=True):
            nearest = min(self.slices.values(), key=lambda p: abs(p.position_um - position_um))
            self.slices[number] = SliceView(
                number, position_um, nearest.dof_um, inserted=True, changed=self.entries
            )
        self._tell("note", f"{len(fields['slices'])} slice(s) inserted: {fields['why']}")

    def _on_intent(self, fields: Mapping[str, Any]) -> None:
        self._set(
            self.slices[fields["slice"]],
            position_um=fields["achieved_um"],
            dof_um=fields["dof_um"],
            attempt=fields["attempt"],
        )

    def _on_exposed(self, fields: Mapping[str, Any]) -> None:
        self._set(self.slices[fields["slice"]], state="shot")

    def _on_discarded(self, fields: Mapping[str, Any]) -> None:
        self._set(self.slices[fields["slice"]], state="planned")

    def _on_left_out(self, fields: Mapping[str, Any]) -> None:
        self._set(self.slices[fields["slice"]], state="left_out")
        self._tell("fault", f"Slice {fields['slice']} is left out for now", fields["slice"])

    def _on_counted(self, fields: Mapping[str, Any]) -> None:
        self._set(
            self.slices[fields["slice"]],
            state="counted",
            position_um=fields["achieved_um"],
            dof_um=fields["dof_um"],
            attempt=fields["attempt"],
            frame=fields["frame"],
        )
        assert self.last_s is not None
        if self._counted_s is not None:
            self._cycles_s.append(self.last_s - self._counted_s)
        self._counted_s = self.last_s

    def _on_relocated(self, fields: Mapping[str, Any]) -> None:
        for number, achieved_um in zip(fields["slices"], fields["achieved_um"], strict=True):
            self._set(self.slices[number], position_um=achieved_um)
        self._tell("note", "The axis had lost steps; the images tell where its slices were")

    def _on_aligned(self, fields: Mapping[str, Any]) -> None:
        if "error" in fields:
            self._tell("fault", f"{fields['error']}", fields["number"])
        self._set(self.slices[fields["number"]], sharpness=fields.get("sharpness"))

    def _on_fault(self, fields: Mapping[str, Any]) -> None:
        number = fields.get("slice")
        self._tell("fault", fields["message"], number)
        piece = self.slices.get(number) if number is not None else None
        if piece is not None and piece.state == "shot":
            self._set(piece, state="planned")
        remedy = fields.get("remedy")
        if remedy is not None:
            self._tell("remedy", REMEDIES.get(remedy, remedy), number)

    def _on_judged(self, fields: Mapping[str, Any]) -> None:
        if not fields.get("faults"):
            return
        self._tell("fault", fields["why"], fields["slice"])
        if fields["action"] == "reshoot":
            self._set(self.slices[fields["slice"]], state="planned")
        told = JUDGED.get(fields["action"])
        if told is not None:
            self._tell("remedy", told, fields["slice"])

    def _on_paused(self, fields: Mapping[str, Any]) -> None:
        self.message = fields["why"]
        self._counted_s = None
        self._tell("note", _sentence(fields["why"]))

    def _on_unpaused(self, fields: Mapping[str, Any]) -> None:
        self.message = ""
        self._tell("note", _sentence(fields["why"]))

    def _on_coverage(self, fields: Mapping[str, Any]) -> None:
        self.coverage = {key: value for key, value in fields.items() if key != "overlaps"}
        doubt = optics_doubt(fields)
        if doubt:
            self._tell("note", _sentence(doubt))

    def _on_fused(self, fields: Mapping[str, Any]) -> None:
        self.fused = dict(fields)

    def _on_ended(self, fields: Mapping[str, Any]) -> None:
        self.state, self.reason = fields["state"], fields["reason"]
        self.message = fields.get("message", "")
        for trouble in fields.get("troubles", []):
            self._tell("fault", trouble)

    def _set(self, piece: SliceView, **changes: Any) -> None:
        for name, value in changes.items():
            setattr(piece, name, value)
        piece.changed = self.entries

    def _tell(self, kind: str, text: str, number: int | None = None) -> None:
        self.notes.append({"kind": kind, "text": text, "at_s": self.last_s, "slice": number})


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
