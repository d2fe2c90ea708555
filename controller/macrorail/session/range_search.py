"""Searches for the specimen, either alone or as the first part of a run."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from macrorail.config.protocol import Protocol
from macrorail.config.rig import Rig, geometry
from macrorail.devices.connect import Instrument, connect
from macrorail.errors import ConfigError, MacrorailError
from macrorail.planning.plan import Plan, make_plan, plan_before_search
from macrorail.planning.range_search.finder import FoundRange, RangeFinder
from macrorail.planning.range_search.search import RangeSearch, describe_search, make_search
from macrorail.quantity import format_length
from macrorail.run_folder.events import (
    Event,
    RangeFound,
    RunEnded,
    RunResumed,
    RunStarted,
    SlicesPlanned,
)
from macrorail.run_folder.journal import JOURNAL, Entry, Journal, read_journal, write_whole
from macrorail.running.ending import RunEnd, end_of
from macrorail.session.observer import RunObserver
from macrorail.session.signals import stopped_by_signals
from macrorail.states import State, Trigger


def plan_run(wanted: Protocol, rig: Rig, entries: list[Entry] | None = None) -> Plan:
    """Return the plan of a run; it has no slices if the range must be searched for first.

    Parameters
    ----------
    wanted
        The protocol.
    rig
        The instrument.
    entries
        Entries of the run's journal. If they contain a range that was found, the slices are
        planned for this range.
    """
    if wanted.range.search is None:
        return make_plan(wanted, rig)
    found = [entry.event for entry in entries or [] if isinstance(entry.event, RangeFound)]
    if found:
        return make_plan(wanted.with_range(found[-1].near_um, found[-1].far_um), rig)
    make_search(wanted, rig)
    return plan_before_search(wanted, rig)


def search_range(
    folder: Path, wanted: Protocol, rig: Rig, instrument: Instrument, observer: RunObserver
) -> Plan | RunEnd:
    """Search for the specimen, and plan the slices between the near and far end of the specimen.

    Parameters
    ----------
    folder
        The run folder, whose journal is created or continued.
    wanted
        The protocol.
    rig
        The rig.
    instrument
        The connected instrument.
    observer
        Receives events and messages.

    Returns
    -------
    Plan or RunEnd
        The planned slices; or, if the run ended during the search, how the run ended.
    """
    path = folder / JOURNAL
    continued = path.exists()
    is_resumed = continued and any(
        isinstance(entry.event, RunStarted) for entry in read_journal(path)
    )
    search = make_search(wanted, rig)
    observer.message(describe_search(search, wanted, rig))
    with (
        closing(Journal(path, instrument.clock.now, continued)) as journal,
        stopped_by_signals(instrument.clock),
        observer.searching(),
    ):
        journal.listen(observer.on_event)
        about: dict[str, Any] = {
            "run": folder.name,
            "specimen": wanted.specimen.model_dump(mode="json"),
            "slice_count": 0,
            "bench": instrument.bench_address,
        }
        started = RunResumed(**about) if is_resumed else RunStarted(**about, geometry=geometry(rig))
        journal.append(started)
        finder = _finder(search, wanted, rig, instrument, folder / "looks", journal.append)
        try:
            found = finder.find()
            plan = make_plan(wanted.with_range(found.near_um, found.far_um), rig)
        except MacrorailError as error:
            return _ended(error, journal)
        write_plan(folder, plan)
        journal.append(
            SlicesPlanned(
                near_um=plan.near_um,
                far_um=plan.far_um,
                targets=[[planned.target_um, planned.dof_um] for planned in plan.slices],
            )
        )
    for line in _findings(found, plan):
        observer.message(line)
    return plan


def find_range(
    wanted: Protocol,
    rig: Rig,
    on_event: Callable[[Event], object] = lambda _: None,
) -> FoundRange:
    """Search for the specimen and return its range; no run folder is created, no stack is shot.

    Parameters
    ----------
    wanted
        A protocol with ``range: {search: …}`` or ``range: auto``.
    rig
        The instrument.
    on_event
        Called with each event of the search, such as ``SearchSampled``.

    Raises
    ------
    ConfigError
        The protocol gives a fixed range.
    PlanError
        No texture was found.
    DeviceError, FrameError, OperatorStop
    """
    if wanted.range.search is None:
        raise ConfigError(
            "the protocol gives a fixed range; write 'range: auto' to search for the range"
        )
    search = make_search(wanted, rig)
    with (
        connect(rig) as instrument,
        stopped_by_signals(instrument.clock),
        tempfile.TemporaryDirectory(prefix="macrorail-search-") as folder,
    ):
        return _finder(search, wanted, rig, instrument, Path(folder), on_event).find()


def _finder(
    search: RangeSearch,
    wanted: Protocol,
    rig: Rig,
    instrument: Instrument,
    folder: Path,
    on_event: Callable[[Event], object],
) -> RangeFinder:
    return RangeFinder(
        search,
        instrument.axis,
        instrument.camera,
        instrument.clock,
        wanted.camera_settings,
        wanted.settle_s(rig.axis.settle_s),
        wanted.closest_approach_um,
        folder,
        on_event,
    )


def write_plan(folder: Path, plan: Plan) -> None:
    """Write the plan to ``plan.json`` in the run folder."""
    write_whole(folder / "plan.json", json.dumps(plan.to_dict(), indent=2))


def _ended(error: MacrorailError, journal: Journal) -> RunEnd:
    trigger, reason = end_of(error)
    state = State.ABORTED if trigger is Trigger.ABORT else State.FAILED
    journal.append(
        RunEnded(state=state.value, reason=reason.value, message=str(error), troubles=[])
    )
    return RunEnd(state, reason, str(error), error)


def _findings(found: FoundRange, plan: Plan) -> list[str]:
    ends = found.ends
    lines = [
        f"Found: sharp from {format_length(ends.near_um, 5)} to {format_length(ends.far_um, 5)} "
        f"({ends.tiles} of {ends.of_tiles} tiles have texture, {found.looks} pictures); with a "
        f"margin of {format_length(found.margin_um, 3)} the range is "
        f"{format_length(plan.near_um, 5)} to {format_length(plan.far_um, 5)}, "
        f"{len(plan.slices)} slices."
    ]
    for end, is_open, at_um in (
        ("near", ends.near_open, found.near_um),
        ("far", ends.far_open, found.far_um),
    ):
        if is_open:
            lines.append(
                f"The specimen seems to continue beyond the {end} end at "
                f"{format_length(at_um, 5)}, "
                f"beyond which the axis may not move."
            )
    return lines
