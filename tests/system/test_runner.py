"""Runs in virtual time: the real firmware and a camera body in process, a thousand slices a go."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from macrorail.devices.interfaces import AxisReport, FocusAxis
from macrorail.errors import DeviceLost, StackError
from macrorail.run_folder.events import kind_of, values_of
from macrorail.run_folder.manifest import build_manifest
from macrorail.states import FinishReason, State
from macrorail_sims.bodies.faults import Action, Fault, Reason
from tests.faulty import Failing
from tests.virtual import LENS, RAIL, VirtualRun, protocol_text


class OffTarget:
    """An axis that stops elsewhere than it was told, and says so."""

    def __init__(self, axis: FocusAxis, achieved: Callable[[int, float], float]) -> None:
        self._axis = axis
        self._achieved = achieved
        self._moves = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._axis, name)

    def open(self, closest_approach_um: float | None = None) -> AxisReport:
        return self._axis.open(closest_approach_um)

    def start_move(self, position_um: float) -> None:
        self._moves += 1
        self._axis.start_move(self._achieved(self._moves, position_um))


def assert_every_slice_counted_once(run: VirtualRun) -> None:
    """Each slice once, its frame on disk as it was delivered, at the position the journal says."""
    counted = run.said("counted")
    assert len({fields["slice"] for fields in counted}) == len(counted)
    for fields in counted:
        data = (run.folder / fields["frame"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == fields["sha256"]
    hashes = [fields["sha256"] for fields in counted]
    assert len(set(hashes)) == len(hashes), "the same frame was counted twice"


def assert_at_rest(run: VirtualRun) -> None:
    """Nothing moves any more, however long one waits."""
    if run.bench.board is None:
        return
    edges = run.bench.board.state.edges
    run.bench.clock.advance(5.0)
    assert run.bench.board.state.edges == edges


@pytest.mark.parametrize("rig", [RAIL, LENS], ids=["rail", "lens"])
def test_every_planned_slice_is_shot_where_it_was_planned(tmp_path: Path, rig: str) -> None:
    run = VirtualRun(tmp_path / "run", rig)
    end = run.run()
    assert (end.state, end.reason) == (State.DONE, FinishReason.COMPLETED), end.message
    assert_every_slice_counted_once(run)
    counted = run.said("counted")
    assert len(counted) == len(run.plan.slices)
    for fields, planned in zip(counted, run.plan.slices, strict=True):
        assert fields["target_um"] == planned.target_um
        assert abs(fields["achieved_um"] - planned.target_um) <= 4.5
    assert run.said("coverage")[0]["proven"]
    assert_at_rest(run)


def test_the_rail_moves_while_the_frame_is_sent_and_the_lens_does_not(tmp_path: Path) -> None:
    def order(rig: str, name: str) -> list[str]:
        run = VirtualRun(tmp_path / name, rig)
        run.run()
        return [
            kind_of(e.event)
            for e in run.entries
            if kind_of(e.event) in {"moved", "exposed", "counted"}
        ]

    assert order(RAIL, "rail")[:6] == ["moved", "exposed", "moved", "counted", "exposed", "moved"]
    assert order(LENS, "lens")[:6] == ["moved", "exposed", "counted", "moved", "exposed", "counted"]


def test_the_intent_is_on_disk_before_the_shutter_opens(tmp_path: Path) -> None:
    run = VirtualRun(tmp_path / "run")
    release = run.bench.body.release
    seen = []

    def watched(*arguments: Any, **named: Any) -> Any:
        seen.append(run.entries[-1])
        return release(*arguments, **named)

    run.bench.body.release = watched
    run.run()
    assert len(seen) == len(run.plan.slices)
    assert [kind_of(entry.event) for entry in seen] == ["intent"] * len(seen)
    assert [values_of(entry.event)["slice"] for entry in seen] == list(range(1, len(seen) + 1))


def test_exposures_happen_at_rest_after_settling(tmp_path: Path) -> None:
    run = VirtualRun(tmp_path / "run")
    release = run.bench.body.release
    rested_s = []

    def watched(*arguments: Any, **named: Any) -> Any:
        rested_s.append(run.clock.now() - run.bench.carriage.last_motion_s)
        return release(*arguments, **named)

    run.bench.body.release = watched
    run.run()
    assert len(rested_s) == len(run.plan.slices)
    assert min(rested_s) >= run.wanted.settle_s(None)


def test_a_thousand_slices_neither_recurse_nor_grow(tmp_path: Path) -> None:
    sizes = []

    def weigh(entry: Any) -> None:
        if kind_of(entry.event) == "counted" and values_of(entry.event)["slice"] in {200, 1000}:
            sizes.append(tracemalloc.get_traced_memory()[0])

    run = VirtualRun(
        tmp_path / "run",
        RAIL,
        protocol_text("10 mm", "22 mm", "step: 12 um\nminimum_overlap: 5 %"),
        listen=weigh,
    )
    tracemalloc.start()
    try:
        end = run.run()
    finally:
        tracemalloc.stop()
    assert end.reason is FinishReason.COMPLETED, end.message
    assert len(run.said("counted")) == 1001
    assert_every_slice_counted_once(run)
    # The journal keeps its entries in memory, about 1 kB each; frames must not stay.
    assert sizes[1] - sizes[0] < 800 * 8_000


AT_WORK = [
    State.PREPARING,
    State.MOVING,
    State.SETTLING,
    State.EXPOSING,
    State.COLLECTING,
    State.VERIFYING,
]


@pytest.mark.parametrize("visit", [1, 3])
@pytest.mark.parametrize("state", AT_WORK)
@pytest.mark.parametrize("rig", [RAIL, LENS], ids=["rail", "lens"])
def test_ctrl_c_at_any_state_is_safe(tmp_path: Path, rig: str, state: State, visit: int) -> None:
    visits = 0

    def press(entered: State) -> None:
        nonlocal visits
        if entered is state:
            visits += 1
            if visits == visit:
                run.clock.request_stop("stopped by SIGINT")

    run = VirtualRun(tmp_path / "run", rig, observe=press)
    end = run.run()
    if visits < visit:
        assert state is State.PREPARING  # entered once in a run without faults
        assert end.reason is FinishReason.COMPLETED
        return
    assert (end.state, end.reason) == (State.ABORTED, FinishReason.STOPPED_BY_OPERATOR)
    assert end.error is not None and end.error.exit_code == 5
    assert_every_slice_counted_once(run)
    assert_at_rest(run)
    entries = run.entries
    assert kind_of(entries[-1].event) == "ended"
    assert values_of(entries[-1].event)["troubles"] == []
    # Every exposure that was over is kept: none is lost by stopping.
    exposed = [values_of(e.event)["slice"] for e in entries if kind_of(e.event) == "exposed"]
    assert [
        values_of(e.event)["slice"] for e in entries if kind_of(e.event) == "counted"
    ] == exposed
    assert build_manifest(entries)["finish_reason"] == "stopped_by_operator"


def test_a_move_too_far_is_noticed_and_filled(tmp_path: Path) -> None:
    def sixth_overshoots(move: int, target_um: float) -> float:
        return target_um + 90.0 if move == 6 else target_um

    run = VirtualRun(tmp_path / "run", wrap_axis=lambda axis: OffTarget(axis, sixth_overshoots))
    end = run.run()
    assert end.reason is FinishReason.COMPLETED, end.message
    assert run.said("inserted"), "a gap went by unnoticed"
    assert run.said("coverage")[0]["proven"]
    positions = sorted(fields["achieved_um"] for fields in run.said("counted"))
    dof_um = run.plan.slices[0].dof_um
    assert max(b - a for a, b in pairwise(positions)) <= dof_um * (1 - run.plan.minimum_overlap)


def test_a_far_end_that_is_never_reached_ends_with_the_reason(tmp_path: Path) -> None:
    stuck_um = 10_600.0
    run = VirtualRun(
        tmp_path / "run",
        wrap_axis=lambda axis: OffTarget(axis, lambda _, target_um: min(target_um, stuck_um)),
    )
    end = run.run()
    assert (end.state, end.reason) == (State.DONE, FinishReason.COVERAGE_NOT_PROVEN)
    assert end.error is not None and end.error.exit_code == 4
    assert "far end" in end.message
    assert not run.said("coverage")[0]["proven"]


@pytest.mark.parametrize("rig", [RAIL, LENS], ids=["rail", "lens"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault("release", Action.REFUSE, Reason.BUSY, after=3),
        Fault("release", Action.REFUSE, Reason.STORE_FULL, after=3),
        Fault("release", Action.LOSE, after=3),
        Fault("read", Action.DROP, after=3),
        Fault("read", Action.SWALLOW, after=3),
    ],
    ids=lambda fault: f"{fault.operation}-{fault.action.name}-{fault.reason.name}",
)
def test_a_camera_fault_costs_an_attempt_and_no_slice(
    tmp_path: Path, rig: str, fault: Fault
) -> None:
    run = VirtualRun(tmp_path / "run", rig)
    run.bench.body.faults.add(fault)
    end = run.run()
    assert end.reason is FinishReason.COMPLETED, end.message
    assert_every_slice_counted_once(run)
    assert len(run.said("counted")) == len(run.plan.slices)
    attempts = {fields["slice"]: fields["attempt"] for fields in run.said("counted")}
    # A frame that is lost on its way is fetched from the card; the slice is not exposed again.
    again = [] if fault.operation == "read" else [2]
    assert [attempt for attempt in attempts.values() if attempt > 1] == again
    if not again:
        assert run.bench.body.exposures == len(run.plan.slices)
    assert len(run.said("fault")) == 1


def test_a_fault_that_stays_ends_the_run_with_finished_slices_kept(tmp_path: Path) -> None:
    run = VirtualRun(tmp_path / "run")
    run.bench.body.faults.add(Fault("release", Action.REFUSE, Reason.GENERAL, after=4, times=99))
    end = run.run()
    assert (end.state, end.reason) == (State.FAILED, FinishReason.DEVICE_FAULT)
    assert end.error is not None and end.error.exit_code == 3
    assert len(run.said("counted")) == 4
    assert_every_slice_counted_once(run)
    assert_at_rest(run)


class DeadStream:
    """Align/blend that has died: it takes what it is given and gives nothing."""

    def add(self, number: int, frame: Path, position_um: float) -> None:
        pass

    def reports(self) -> list[dict[str, Any]]:
        return []

    def finish(self, check: Callable[[], None]) -> dict[str, Any]:
        raise StackError("the stacker is dead")


def test_a_dead_stacker_costs_no_slice(tmp_path: Path) -> None:
    run = VirtualRun(tmp_path / "run", stream=DeadStream())
    end = run.run()
    assert end.error is not None and end.error.exit_code == 6
    assert len(run.said("counted")) == len(run.plan.slices)
    assert run.said("coverage")[0]["proven"]


def test_a_full_disk_ends_the_run_with_finished_slices_kept(tmp_path: Path) -> None:
    run = VirtualRun(tmp_path / "run")
    store = run.bench.body.develop
    done = 0

    def fill_up(shot: Any) -> None:
        nonlocal done
        done += 1
        if done == 4:  # a file where the frame's aside would go: as unwritable as a full disk
            (run.folder / "frames" / ".0004.jpg.part").mkdir()
        store(shot)

    run.bench.body.develop = fill_up
    end = run.run()
    assert (end.state, end.reason) == (State.FAILED, FinishReason.STORAGE_FAULT)
    assert len(run.said("counted")) == 3
    assert_every_slice_counted_once(run)


@pytest.mark.parametrize("rig", [RAIL, LENS], ids=["rail", "lens"])
def test_an_old_frame_after_a_reconnection_is_not_counted_again(tmp_path: Path, rig: str) -> None:
    """The driver that was opened again knows nothing of earlier frames; the run does."""
    run = VirtualRun(
        tmp_path / "run",
        rig,
        wrap_camera=lambda camera: Failing(camera, "expose", lambda: DeviceLost("gone"), after=3),
    )
    run.bench.body.faults.add(Fault("release", Action.STALE, after=3))
    end = run.run()
    assert end.reason is FinishReason.COMPLETED, end.message
    assert_every_slice_counted_once(run)
    assert "identical to an earlier frame of this run" in run.said("fault")[1]["message"]
