"""Events of a run: start and end, pauses, faults, and the search for the range to shoot."""

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
        Number of planned slices; 0 while the range is not yet known.
    asked
        Camera settings from the protocol; ``None`` when the range is searched for first.
    bench
        Address of the simulated bench; ``None`` for real devices.
    geometry
        The rig's settings on which positions and scale depend, by their path (``axis.lead``);
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
    """The run was paused; ``why`` gives the reason."""

    why: str


@dataclass(frozen=True, kw_only=True)
class PauseEnded(Event, kind="unpaused"):
    """A pause of ``paused_s`` seconds ended; ``why`` says what ended the pause."""

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
        The reason as text for the operator; empty when all went well.
    troubles
        Clean-up steps that failed, such as restoring settings; one text for each.
    """

    state: str
    reason: str
    message: str
    troubles: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class CleanupFailed(Event, kind="not_kept"):
    """While a run was being aborted, the axis could not be stopped or a frame was not saved."""

    message: str


class Part(StrEnum):
    """The part of the instrument that a fault concerns."""

    AXIS = "axis"
    CAMERA = "camera"
    STORAGE = "storage"
    STACKER = "stacker"
    SCENE = "scene"


class Remedy(StrEnum):
    """Action that the run can take after a fault.

    ``RETRY`` drains the camera and shoots the slice again. ``RECOVER`` reopens the device (and
    homes the axis) before the slice is shot again. ``PAUSE`` pauses the run, then does the same as
    ``RECOVER``; the pause lasts while a watch reports a problem, and the operator can end the
    pause. ``FINISH`` leaves the slice out for now and finishes the other slices. ``STOP`` ends
    the run; every finished slice is on disk.
    """

    RETRY = "retry"
    RECOVER = "recover"
    PAUSE = "pause"
    FINISH = "finish"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class FaultOccurred(Event, kind="fault"):
    """A fault occurred, and a remedy was chosen.

    Attributes
    ----------
    slice, attempt
        Slice and attempt during which the fault occurred; ``None`` for a fault at another time.
    part
        A value of :class:`Part`.
    state
        State of the run when the fault occurred.
    error
        Name of the error's class.
    message
        Message of the error.
    remedy
        A value of :class:`Remedy`.
    wait_s
        Run time to wait before the remedy, seconds.
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
    """The search for the specimen along the axis started.

    Attributes
    ----------
    method
        ``live view`` or ``frames``.
    from_um, to_um
        Ends of the searched part of the axis.
    step_um
        Distance between pictures in the first pass.
    looks
        Number of pictures planned for the first pass.
    """

    method: str
    from_um: float
    to_um: float
    step_um: float
    looks: int


@dataclass(frozen=True, kw_only=True)
class SearchSampled(Event, kind="looked"):
    """The search took a picture; ``sharpness`` is the mean detail of the picture's tiles."""

    position_um: float
    sharpness: float


@dataclass(frozen=True, kw_only=True)
class RangeFound(Event, kind="range_found"):
    """A search has found the specimen.

    Attributes
    ----------
    near_um, far_um
        The range to shoot, including the margin.
    looks
        Number of pictures taken for the search.
    tiles, of_tiles
        Number of the picture's tiles that have texture, and total number of tiles.
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
    """The slices for a found range were planned; ``targets`` are (target_um, dof_um) pairs."""

    near_um: float
    far_um: float
    targets: Sequence[Sequence[float]]
