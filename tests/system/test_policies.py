"""Every row of the policy table, carried out: its remedies in their order, and its end."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from macrorail.cli import main
from macrorail.errors import (
    CameraBusy,
    DeviceTimeout,
    FrameError,
    FrameMissing,
    JournalError,
    MacrorailError,
    RailAlarm,
    SceneMoved,
    StackError,
)
from macrorail.run_folder.events import Part, Remedy
from macrorail.run_folder.journal import Journal
from macrorail.running.policies import LONGEST_SERIES, TABLE, Policy, PolicyState, policy_for
from macrorail.running.supervision import RunSupervision
from macrorail.states import FINAL, FinishReason, State
from tests.faulty import Failing
from tests.virtual import LENS, RAIL, VirtualRun, protocol_text

SHORT = protocol_text("10.2 mm", "10.45 mm")
EVER = 10_000
WORKABLE = [p for p in TABLE if p.part in {Part.AXIS, Part.CAMERA, Part.STORAGE}]
BY_DEVICES = [p for p in WORKABLE if p.fault is not JournalError]


def name_of(policy: Policy) -> str:
    where = "-".join(state.value for state in policy.states)
    return "-".join(filter(None, [policy.part.value, policy.fault.__name__, *policy.codes, where]))


def fault_of(policy: Policy) -> Callable[[], MacrorailError]:
    if policy.fault is RailAlarm:
        code = next(iter(policy.codes), "estop")
        return lambda: RailAlarm(code, "made to fail")
    return lambda: policy.fault("made to fail")


def run_with(folder: Path, policy: Policy, times: int, after: int = 2) -> VirtualRun:
    """A run in which a row's fault strikes ``times`` times, from the third slice on."""
    operation = {Part.AXIS: "finish_move", Part.CAMERA: "expose", Part.STORAGE: "collect"}
    if policy.states == {State.PREPARING}:
        operation = {Part.AXIS: "open", Part.CAMERA: "open"}
        after = 0

    def fail(device: Any) -> Any:
        return Failing(device, operation[policy.part], fault_of(policy), after, times)

    if policy.part is Part.AXIS:
        return VirtualRun(folder, RAIL, SHORT, wrap_axis=fail)
    return VirtualRun(folder, RAIL, SHORT, wrap_camera=fail)


def steps_of(policy: Policy) -> list[tuple[str, float]]:
    return [
        (step.remedy.value, step.back_off_s * 2**n)
        for step in policy.steps
        for n in range(step.times)
    ]


@pytest.mark.parametrize("policy", BY_DEVICES, ids=name_of)
def test_a_fault_that_stays_meets_every_remedy_of_its_row(tmp_path: Path, policy: Policy) -> None:
    run = run_with(tmp_path / "run", policy, EVER)
    end = run.run()
    said = run.said("fault")
    first_series = said[: len(policy.steps and steps_of(policy)) + 1]
    assert [(f["remedy"], f["wait_s"]) for f in first_series] == [
        *steps_of(policy),
        (policy.last.value, 0.0),
    ]
    assert {fields["error"] for fields in said} == {policy.fault.__name__}
    # Whatever the row says, what stays wrong ends the run: nothing is tried for ever.
    assert end.state is State.FAILED
    assert said[-1]["remedy"] == "stop"
    assert bool(run.said("left_out")) is (policy.last is Remedy.FINISH)
    # The third slice is the faulty one; on a rail its frame before is on its way meanwhile.
    assert len(run.said("counted")) == (0 if policy.states else 2)
    assert run.said("ended")[0]["troubles"] == []
    exposed = [f["slice"] for f in run.said("exposed")]
    assert policy.part is Part.STORAGE or exposed == [f["slice"] for f in run.said("counted")]


@pytest.mark.parametrize("policy", [p for p in BY_DEVICES if p.steps], ids=name_of)
def test_a_fault_that_passes_costs_no_slice(tmp_path: Path, policy: Policy) -> None:
    run = run_with(tmp_path / "run", policy, times=sum(step.times for step in policy.steps))
    end = run.run()
    assert end.reason is FinishReason.COMPLETED, end.message
    assert len(run.said("counted")) == len(run.plan.slices)
    assert not run.said("left_out")


def test_a_slice_that_is_left_out_is_shot_in_the_end(tmp_path: Path) -> None:
    [policy] = [p for p in TABLE if p.fault is FrameMissing]
    tries = sum(step.times for step in policy.steps) + 1
    run = run_with(tmp_path / "run", policy, times=tries)
    end = run.run()
    assert end.reason is FinishReason.COMPLETED, end.message
    [left_out] = run.said("left_out")
    assert left_out["slice"] == 3
    order = [fields["slice"] for fields in run.said("counted")]
    planned = len(run.plan.slices)
    assert order[:planned] == [n for n in range(1, planned + 1) if n != 3] + [planned + 1]
    assert run.said("coverage")[0]["proven"]


def test_a_silent_board_is_homed_and_a_stopped_one_is_not(tmp_path: Path) -> None:
    silent = next(p for p in TABLE if p.codes == {"silence"})
    run = run_with(tmp_path / "run", silent, times=1)
    assert run.run().reason is FinishReason.COMPLETED
    assert len(run.said("homed")) == 2


def test_a_reset_board_is_homed_and_the_run_goes_on(tmp_path: Path) -> None:
    """The real firmware, reset by its button in the middle of a run."""

    def press(state: State) -> None:
        if state is State.MOVING and len(run.said("counted")) == 3 and not run.said("fault"):
            run.bench.board.reset("pin")

    run = VirtualRun(tmp_path / "run", RAIL, SHORT, observe=press)
    end = run.run()
    assert end.reason is FinishReason.COMPLETED, end.message
    assert [fields["error"] for fields in run.said("fault")] == ["DeviceLost"]
    assert len(run.said("homed")) == 2
    assert len(run.said("counted")) == len(run.plan.slices)


def test_an_emergency_stop_at_the_rail_ends_the_run(tmp_path: Path) -> None:
    """The real firmware, its emergency stop pressed during a move."""

    def press(state: State) -> None:
        if state is State.MOVING and len(run.said("counted")) == 3 and not run.said("ended"):
            run.bench.carriage.press_estop(True)

    run = VirtualRun(tmp_path / "run", RAIL, SHORT, observe=press)
    end = run.run()
    assert (end.state, end.reason) == (State.FAILED, FinishReason.DEVICE_FAULT)
    assert "emergency stop" in end.message
    assert len(run.said("counted")) == 4, "the frame that was on its way is kept"
    run.bench.carriage.press_estop(False)
    assert run.run().reason is FinishReason.COMPLETED


def press_estop_while_exposing(run: VirtualRun, number: int, released: bool) -> None:
    """Press the emergency stop while a slice is first exposed: the carriage may have fallen."""
    release = run.bench.body.release

    def pressed(*arguments: Any, **named: Any) -> Any:
        intents = [fields["slice"] for fields in run.said("intent")]
        made = release(*arguments, **named)
        if intents[-1] == number and intents.count(number) == 1:
            run.bench.carriage.press_estop(True)
            run.clock.sleep(0.1)
            run.bench.carriage.press_estop(not released)
        return made

    run.bench.body.release = pressed


def counts(run: VirtualRun) -> list[int]:
    return [fields["slice"] for fields in run.said("counted")]


@pytest.mark.parametrize("last", [False, True])
def test_a_slice_exposed_while_the_emergency_stop_is_pressed_is_shot_again(
    tmp_path: Path, last: bool
) -> None:
    """The real firmware at rest: pressed and held, the run ends; resumed, the slice is shot."""
    run = VirtualRun(tmp_path / "run", RAIL, SHORT)
    number = len(run.plan.slices) if last else 3
    press_estop_while_exposing(run, number, released=False)
    end = run.run()
    assert (end.state, end.reason) == (State.FAILED, FinishReason.DEVICE_FAULT)
    assert "emergency stop" in end.message
    assert [fields["slice"] for fields in run.said("rejected")] == [number]
    run.bench.carriage.press_estop(False)
    assert run.run().reason is FinishReason.COMPLETED
    assert counts(run).count(number) == 2
    assert sorted(set(counts(run))) == list(range(1, len(run.plan.slices) + 1))


def test_a_slice_exposed_while_the_emergency_stop_was_pressed_briefly_is_shot_again(
    tmp_path: Path,
) -> None:
    run = VirtualRun(tmp_path / "run", RAIL, SHORT)
    press_estop_while_exposing(run, 3, released=True)
    assert run.run().reason is FinishReason.COMPLETED
    assert [fields["slice"] for fields in run.said("rejected")] == [3]
    assert counts(run).count(3) == 2 and len(run.said("homed")) == 2


def test_a_lens_is_recovered_through_its_camera(tmp_path: Path) -> None:
    run = VirtualRun(
        tmp_path / "run",
        LENS,
        SHORT,
        wrap_axis=lambda axis: Failing(axis, "start_move", lambda: CameraBusy("made to"), after=2),
    )
    assert run.run().reason is FinishReason.COMPLETED
    assert len(run.said("homed")) == len(run.said("camera_opened")) == 2


class NoPicture:
    def add(self, number: int, frame: Path, position_um: float) -> None: ...

    def reports(self) -> list[dict[str, Any]]:
        return []

    def finish(self, check: Callable[[], None]) -> dict[str, Any]:
        raise StackError("made to fail")


def test_what_cannot_be_fused_stops_with_all_frames_on_disk(tmp_path: Path) -> None:
    run = VirtualRun(tmp_path / "run", RAIL, SHORT, stream=NoPicture())
    assert run.run().reason is FinishReason.STACKING_FAILED
    assert len(run.said("counted")) == len(run.plan.slices)
    assert policy_for(Part.STACKER, StackError(""), State.FINISHING).last is Remedy.STOP


def test_a_journal_that_cannot_be_written_for_ever_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its remedies one by one: tests/system/test_folder_gone.py."""
    [policy] = [p for p in TABLE if p.fault is JournalError]
    write = Journal._write

    def full(journal: Journal, line: bytes) -> None:
        if b'"event": "intent", "slice": 3' in line or b"paused" in line:
            raise OSError(errno.ENOSPC, "made to fail")
        write(journal, line)

    monkeypatch.setattr(Journal, "_write", full)
    run = VirtualRun(tmp_path / "run", RAIL, SHORT)
    assert run.run().reason is FinishReason.STORAGE_FAULT
    assert run.clock.now() > sum(wait_s for _, wait_s in steps_of(policy))
    assert policy.last is Remedy.STOP
    assert len(run.said("counted")) == 2


class Elsewhere:
    def compare(self, before: Path, now: Path, check: Callable[[], None]) -> dict[str, Any]:
        raise SceneMoved("made to fail")


def test_a_scene_that_moved_stops(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", next(p for p in TABLE if "silence" in p.codes), times=1)
    run.supervision = RunSupervision(scene=Elsewhere())
    end = run.run()
    assert end.reason is FinishReason.SCENE_MOVED
    assert len(run.said("counted")) == 2


def test_no_row_of_the_table_is_left_without_a_test() -> None:
    others = {StackError, JournalError, SceneMoved}
    assert {p.fault for p in TABLE if p not in BY_DEVICES} == others


def test_a_slice_is_left_out_for_no_fault_of_the_axis() -> None:
    """What the axis cannot do it cannot do for the next slice either."""
    assert {p.last for p in TABLE if p.part is Part.AXIS} == {Remedy.STOP}


def test_no_row_hides_behind_one_before_it() -> None:
    for row in TABLE:
        fault = fault_of(row)() if row.fault is RailAlarm else row.fault("")
        state = next(iter(row.states), State.MOVING)
        assert policy_for(row.part, fault, state) is row


def test_faults_that_take_turns_end_too() -> None:
    policies = PolicyState()
    faults = [CameraBusy(""), FrameMissing(""), DeviceTimeout(""), FrameError("")]
    parts = [Part.CAMERA, Part.CAMERA, Part.CAMERA, Part.STORAGE]
    for count in range(2 * LONGEST_SERIES + 2):
        which = count % len(faults)
        decision = policies.decide(parts[which], faults[which], State.EXPOSING)
        if decision.remedy is Remedy.STOP:
            return
    pytest.fail("nothing ended it")


def test_a_series_begins_anew_with_every_slice() -> None:
    policies = PolicyState()
    for _ in range(100):
        assert policies.decide(Part.CAMERA, CameraBusy(""), State.EXPOSING).remedy is Remedy.RETRY
        policies.came_through()


@pytest.mark.parametrize("state", sorted(set(State) - FINAL, key=lambda state: state.value))
@pytest.mark.parametrize("policy", TABLE, ids=name_of)
def test_every_fault_has_an_answer_in_every_state(policy: Policy, state: State) -> None:
    fault = fault_of(policy)()
    policies = PolicyState()
    for _ in range(2 * LONGEST_SERIES):
        if policies.decide(policy.part, fault, state).remedy is Remedy.STOP:
            return
    pytest.fail("nothing ended it")


def test_the_table_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policies", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == len(TABLE)
    assert main(["policies"]) == 0
    said = capsys.readouterr().out
    for policy in TABLE:
        assert policy.part.value in said
