"""A run as a whole: its start and end, pauses, faults, and the search for its range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from macrorail.run_folder.events.codec import Event, absent


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event, kind="started"):
    """A new run begins.

    Attributes
    ----------
    run
        Name of the run folder.
    specimen
        The protocol's ``specimen`` section.
    slice_count
        Slices planned; 0 while the range is still to be searched for.
    asked
        Camera settings of the protocol; ``None`` for a search.
    bench
        Address of the simulated bench; ``None`` for real devices.
    geometry
        Keys of the rig on which positions and scale depend, by their path (``axis.lead``);
        ``None`` in journals of earlier versions.
    """

    run: str
    specimen: Mapping[str, Any] | None
    slice_count: int
    asked: Mapping[str, str] | None = absent()
    bench: str | None
    geometry: Mapping[str, Any] | None = absent()


@dataclass(frozen=True, kw_only=True)
class RunResumed(Event, kind="resumed"):
    """``macrorail resume`` continues an interrupted run; fields as in :class:`RunStarted`."""

    run: str
    specimen: Mapping[str, Any] | None
    slice_count: int
    asked: Mapping[str, str] | None = absent()
    bench: str | None


@dataclass(frozen=True, kw_only=True)
class RunPaused(Event, kind="paused"):
    """The run waits, for the reason ``why``."""

    why: str


@dataclass(frozen=True, kw_only=True)
class PauseEnded(Event, kind="unpaused"):
    """A pause of ``paused_s`` is over; ``why`` says what ended it."""

    why: str
    paused_s: float


@dataclass(frozen=True, kw_only=True)
class RunEnded(Event, kind="ended"):
    """The run is over and the instrument is released.

    Attributes
    ----------
    state
        ``done``, ``aborted`` or ``failed``: a value of :class:`macrorail.states.State`.
    reason
        A value of :class:`macrorail.states.FinishReason`.
    message
        Why, for people; empty when all went well.
    troubles
        What could not be put back or switched off.
    """

    state: str
    reason: str
    message: str
    troubles: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class CleanupFailed(Event, kind="not_kept"):
    """While a run was being cut short, the axis could not be stopped or a frame not be saved."""

    message: str


class Part(StrEnum):
    """Which part of the instrument a fault concerns."""

    AXIS = "axis"
    CAMERA = "camera"
    STORAGE = "storage"
    STACKER = "stacker"
    SCENE = "scene"


class Remedy(StrEnum):
    """What can be done about a fault.

    ``RETRY`` drains the camera and shoots the slice again; ``RECOVER`` opens the device again
    (and homes the axis) first; ``PAUSE`` does so after a pause, which lasts while a watch reports
    trouble, and which the operator can end; ``FINISH`` leaves the slice out, for now, and
    finishes the others; ``STOP`` ends the run with everything finished on disk.
    """

    RETRY = "retry"
    RECOVER = "recover"
    PAUSE = "pause"
    FINISH = "finish"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class FaultOccurred(Event, kind="fault"):
    """A fault, and what is done about it.

    Attributes
    ----------
    slice, attempt
        What it struck; ``None`` when it struck no exposure.
    part
        A value of :class:`Part`.
    state
        Where the run was.
    error
        Name of the error's class.
    message
        The error in words.
    remedy
        A value of :class:`Remedy`.
    wait_s
        World time to wait before the remedy.
    """

    slice: int | None
    attempt: int | None
    part: str
    state: str
    error: str
    message: str
    remedy: str
    wait_s: float


@dataclass(frozen=True, kw_only=True)
class SearchStarted(Event, kind="search_began"):
    """The specimen is searched for along the axis.

    Attributes
    ----------
    method
        ``live view`` or ``frames``.
    looks
        Pictures planned for the first pass.
    """

    method: str
    from_um: float
    to_um: float
    step_um: float
    looks: int


@dataclass(frozen=True, kw_only=True)
class SearchSampled(Event, kind="looked"):
    """One picture of a search; ``sharpness`` is the mean detail of its tiles."""

    position_um: float
    sharpness: float


@dataclass(frozen=True, kw_only=True)
class RangeFound(Event, kind="range_found"):
    """A search has found the specimen.

    Attributes
    ----------
    near_um, far_um
        The range to shoot, margin included.
    tiles, of_tiles
        Tiles of the picture with texture, and tiles in all.
    near_open, far_open
        Whether the specimen seems to continue beyond the outermost picture.
    sharp_from_um, sharp_to_um
        The nearest and farthest sharp planes.
    """

    near_um: float
    far_um: float
    margin_um: float
    looks: int
    tiles: int
    of_tiles: int
    near_open: bool
    far_open: bool
    sharp_from_um: float
    sharp_to_um: float


@dataclass(frozen=True, kw_only=True)
class SlicesPlanned(Event, kind="planned"):
    """A range that was found has become slices: ``targets`` are (target_um, dof_um) pairs."""

    near_um: float
    far_um: float
    targets: Sequence[Sequence[float]]
