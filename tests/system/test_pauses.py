"""Pausing, resuming and ending runs in virtual time: operator, watches, every state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from macrorail.errors import DeviceLost, SceneMoved, StorageError
from macrorail.run_folder.events import kind_of
from macrorail.running.supervision import RunSupervision
from macrorail.states import FinishReason, State
from tests.faulty import Failing
from tests.system.test_resume import assert_done_and_right
from tests.virtual import LENS, RAIL, VirtualRun, protocol_text

SHORT = protocol_text("10.2 mm", "10.45 mm")
AT_WORK = ["preparing", "moving", "settling", "exposing", "collecting", "verifying"]


class When:
    """Acts once, when a run is in a state with so many slices counted."""

    def __init__(self, state: str, act: Callable[[VirtualRun], None], counted: int = 0) -> None:
        self.state, self.act, self.counted = state, act, counted
        self.run: VirtualRun | None = None
        self.done = False

    def __call__(self, state: State) -> None:
        assert self.run is not None
        if self.done or state.value != self.state:
            return
        if len(self.run.said("counted")) >= self.counted:
            self.done = True
            self.act(self.run)


def run_when(
    folder: Path, when: When, rig: str = RAIL, supervision: RunSupervision | None = None
) -> VirtualRun:
    when.run = VirtualRun(
        folder, rig, SHORT, observe=when, supervision=supervision or RunSupervision()
    )
    return when.run


class Lamp:
    """A watch that sees trouble from a count of slices on, for so long."""

    def __init__(self, run_for_s: float, after: int = 2) -> None:
        self.run: VirtualRun | None = None
        self.after, self.lasts_s = after, run_for_s
        self.since_s: float | None = None

    def trouble(self) -> str | None:
        assert self.run is not None
        now_s = self.run.clock.now()
        if self.since_s is None and len(self.run.said("counted")) >= self.after:
            self.since_s = now_s
        if self.since_s is not None and now_s < self.since_s + self.lasts_s:
            return "the lamp is out"
        return None


def pause_and_resume_later(after_s: float) -> Callable[[VirtualRun], None]:
    def act(run: VirtualRun) -> None:
        run.commands.pause("a test")
        began_s = run.clock.now()

        def later(now_s: float) -> None:
            if now_s > began_s + after_s and run.commands.wants_pause:
                run.commands.resume("a test")

        run.bench.clock.attach(later)

    return act


@pytest.mark.parametrize("rig", [RAIL, LENS], ids=["rail", "lens"])
@pytest.mark.parametrize("state", AT_WORK)
def test_a_run_pauses_from_every_state_and_goes_on(tmp_path: Path, state: str, rig: str) -> None:
    run = run_when(tmp_path / "run", When(state, pause_and_resume_later(600.0)), rig)
    end = run.run()
    assert end.reason is FinishReason.COMPLETED, end.message
    assert_done_and_right(run)
    [paused], [unpaused] = run.said("paused"), run.said("unpaused")
    assert paused["why"] == "paused by a test"
    assert unpaused["why"] == "resumed by a test"
    assert unpaused["paused_s"] >= 500.0
    # Position and settings are proven once more before the next slice.
    events = [kind_of(entry.event) for entry in run.entries]
    after = events[events.index("unpaused") :]
    if "moved" in after:
        assert {"homed", "settings"} <= set(after[: after.index("moved")])


def test_who_resumes_as_soon_as_the_pause_shows_is_heard(tmp_path: Path) -> None:
    pause = When("moving", lambda run: run.commands.pause("a test"))
    resume = When("paused", lambda run: run.commands.resume("a test"))

    def observe(state: State) -> None:
        pause(state)
        resume(state)

    pause.run = resume.run = run = VirtualRun(tmp_path / "run", RAIL, SHORT, observe=observe)
    assert run.run().reason is FinishReason.COMPLETED
    [unpaused] = run.said("unpaused")
    assert unpaused["why"] == "resumed by a test"


def test_nothing_is_on_its_way_while_a_run_is_paused(tmp_path: Path) -> None:
    run = run_when(tmp_path / "run", When("exposing", pause_and_resume_later(60.0), counted=2))
    run.run()
    events = [kind_of(entry.event) for entry in run.entries]
    before = events[: events.index("paused")]
    assert before.count("exposed") == before.count("counted")


def test_a_pause_taken_back_in_time_is_none(tmp_path: Path) -> None:
    def hesitate(run: VirtualRun) -> None:
        run.commands.pause("a test")
        run.commands.resume("a test")

    run = run_when(tmp_path / "run", When("moving", hesitate))
    assert run.run().reason is FinishReason.COMPLETED
    assert not run.said("paused")


@pytest.mark.parametrize("rig", [RAIL, LENS], ids=["rail", "lens"])
@pytest.mark.parametrize("state", AT_WORK)
def test_a_run_stops_after_the_slice_from_every_state(tmp_path: Path, state: str, rig: str) -> None:
    run = run_when(tmp_path / "run", When(state, lambda run: run.commands.stop("a test")), rig)
    end = run.run()
    assert (end.state, end.reason) == (State.ABORTED, FinishReason.STOPPED_BY_OPERATOR)
    assert end.message == "stopped after this slice by a test"
    assert len(run.said("exposed")) == len(run.said("counted"))
    run.observe = None
    assert run.run().reason is FinishReason.COMPLETED
    assert_done_and_right(run)


def test_a_paused_run_can_be_stopped(tmp_path: Path) -> None:
    def pause_then_stop(run: VirtualRun) -> None:
        run.commands.pause("a test")
        run.bench.clock.attach(lambda now_s: run.commands.stop("a test") if now_s > 90 else None)

    run = run_when(tmp_path / "run", When("moving", pause_then_stop))
    assert run.run().reason is FinishReason.STOPPED_BY_OPERATOR
    assert run.said("paused")
    assert not run.said("unpaused")


@pytest.mark.parametrize("state", [*AT_WORK, "paused"])
def test_an_emergency_stop_from_every_state(tmp_path: Path, state: str) -> None:
    def stop(run: VirtualRun) -> None:
        run.commands.emergency("a test")

    when = When(state, stop)
    run = run_when(tmp_path / "run", when)
    if state == "paused":
        run.commands.pause("a test")
    end = run.run()
    assert (end.state, end.message) == (State.ABORTED, "emergency stop by a test")
    edges = run.bench.board.state.edges
    run.bench.clock.advance(5.0)
    assert run.bench.board.state.edges == edges
    run.observe = None
    assert run.run().reason is FinishReason.COMPLETED
    assert_done_and_right(run)


@pytest.mark.parametrize("verb", ["pause", "stop", "abort", "emergency"])
def test_a_run_is_commanded_while_it_recovers(tmp_path: Path, verb: str) -> None:
    def act(run: VirtualRun) -> None:
        pause_and_resume_later(60.0)(run) if verb == "pause" else getattr(run.commands, verb)("us")

    run = run_when(tmp_path / "run", When("recovering", act))
    run.camera = Failing(run.camera, "collect", lambda: DeviceLost("gone"), after=2)
    end = run.run()
    if verb == "pause":
        assert len(run.said("unpaused")) == 1
    else:
        assert (end.state, end.reason) == (State.ABORTED, FinishReason.STOPPED_BY_OPERATOR)
        run.observe = None
        end = run.run()
    assert end.reason is FinishReason.COMPLETED, end.message
    assert_done_and_right(run)


def test_a_watch_pauses_and_the_run_goes_on_by_itself(tmp_path: Path) -> None:
    lamp = Lamp(run_for_s=1800.0)
    run = VirtualRun(tmp_path / "run", RAIL, SHORT, supervision=RunSupervision(watches=(lamp,)))
    lamp.run = run
    assert run.run().reason is FinishReason.COMPLETED
    assert_done_and_right(run)
    assert [fields["why"] for fields in run.said("paused")] == ["the lamp is out"]
    [unpaused] = run.said("unpaused")
    assert unpaused["why"] == "all is well again"
    assert 1700 < unpaused["paused_s"] < 1900


def test_a_pause_that_nobody_ends_ends_the_run(tmp_path: Path) -> None:
    lamp = Lamp(run_for_s=float("inf"))
    run = VirtualRun(
        tmp_path / "run",
        RAIL,
        SHORT,
        supervision=RunSupervision(watches=(lamp,), pause_at_most_s=3600.0, park=True),
    )
    lamp.run = run
    end = run.run()
    assert (end.state, end.reason) == (State.FAILED, FinishReason.PAUSED_TOO_LONG)
    assert end.message == "paused for 1 h 00 min, and no operator responded: the lamp is out"
    assert run.said("parked")
    lamp.lasts_s = 0.0
    assert run.run().reason is FinishReason.COMPLETED
    assert_done_and_right(run)


def test_a_full_disk_pauses_before_anything_is_lost(tmp_path: Path) -> None:
    run = VirtualRun(
        tmp_path / "run",
        RAIL,
        SHORT,
        wrap_camera=lambda camera: Failing(
            camera, "collect", lambda: StorageError("no space left"), after=2, times=3
        ),
    )
    assert run.run().reason is FinishReason.COMPLETED
    assert_done_and_right(run)
    assert [round(f["paused_s"], -1) for f in run.said("unpaused")] == [60, 120, 240]
    # Whoever is away is told what is the matter.
    assert {fields["why"] for fields in run.said("paused")} == {"no space left"}


def test_a_resume_by_the_operator_cuts_the_waiting_short(tmp_path: Path) -> None:
    def resume_soon(run: VirtualRun) -> None:
        end_s = run.clock.now() + 5.0
        run.bench.clock.attach(
            lambda now_s: run.commands.resume("a test") if now_s > end_s else None
        )

    run = run_when(tmp_path / "run", When("paused", resume_soon))
    run.camera = Failing(run.camera, "collect", lambda: StorageError("full"), after=2)
    run.run()
    [unpaused] = run.said("unpaused")
    assert unpaused["why"] == "resumed by a test"
    assert unpaused["paused_s"] < 10


class Compared:
    """Keeps what it is asked to compare, and may say that the scene has moved."""

    def __init__(self, moved: bool = False) -> None:
        self.pairs: list[tuple[str, str]] = []
        self.moved = moved

    def compare(self, before: Path, now: Path, check: Callable[[], None]) -> dict[str, Any]:
        assert now.is_file()
        self.pairs.append((before.name, f"{now.parent.name}/{now.name}"))
        if self.moved:
            raise SceneMoved("the picture is displaced by 40 pixels")
        return {"shift_px": 0.1, "correlation": 0.99}


@pytest.mark.parametrize("rig", [RAIL, LENS], ids=["rail", "lens"])
def test_a_resumed_run_looks_at_the_last_good_slice_first(tmp_path: Path, rig: str) -> None:
    scene = Compared()
    run = run_when(
        tmp_path / "run",
        When("moving", lambda run: run.clock.request_stop("a test"), counted=3),
        rig,
        RunSupervision(scene=scene),
    )
    run.run()
    assert scene.pairs == []
    last = run.said("counted")[-1]
    assert run.run().reason is FinishReason.COMPLETED
    assert_done_and_right(run)
    stem = f"{last['slice']:04d}"
    assert scene.pairs == [(f"{stem}.jpg", f"checks/{stem}-1.jpg")]
    [checked] = run.said("scene_checked")
    assert checked["correlation"] == 0.99
    tolerance_um = 10.0 if rig == LENS else 1.0
    assert abs(checked["achieved_um"] - last["achieved_um"]) <= tolerance_um


def test_a_scene_that_moved_while_paused_ends_the_run_with_all_slices_kept(
    tmp_path: Path,
) -> None:
    run = run_when(
        tmp_path / "run",
        When("moving", pause_and_resume_later(60.0), counted=3),
        supervision=RunSupervision(scene=Compared(moved=True)),
    )
    end = run.run()
    assert (end.state, end.reason) == (State.FAILED, FinishReason.SCENE_MOVED)
    assert "40 pixels" in end.message
    assert len(run.said("counted")) >= 3


def test_a_fault_during_the_look_at_the_scene_is_remedied(tmp_path: Path) -> None:
    scene = Compared()
    run = run_when(
        tmp_path / "run",
        When("moving", pause_and_resume_later(60.0), counted=3),
        supervision=RunSupervision(scene=scene),
    )
    run.camera = Failing(run.camera, "collect", lambda: DeviceLost("gone"), after=4)
    assert run.run().reason is FinishReason.COMPLETED
    assert_done_and_right(run)
    assert len(run.said("fault")) == 1
    assert len(scene.pairs) == 1


def test_a_finished_run_leaves_the_instrument_as_it_was_found(tmp_path: Path) -> None:
    protocol = SHORT.replace("iso: 100", "iso: 400").replace("f/8", "f/11")
    run = VirtualRun(tmp_path / "run", RAIL, protocol, supervision=RunSupervision(park=True))
    found = {name: setting.label for name, setting in run.bench.body.settings.items()}
    run.run()
    assert {name: s.label for name, s in run.bench.body.settings.items()} == found
    assert run.said("settings")[0] != run.said("settings_restored")[0]
    assert not run.bench.body.live_view
    [parked] = run.said("parked")
    assert parked["position_um"] == 1000.0
    position_um = run.bench.carriage.position_um(run.clock.now())
    assert abs(position_um - 1000.0) < 1.0


def test_a_resumed_run_restores_what_its_first_controller_found(tmp_path: Path) -> None:
    run = run_when(
        tmp_path / "run", When("moving", lambda run: run.clock.request_stop("a test"), counted=2)
    )
    found = {name: setting.label for name, setting in run.bench.body.settings.items()}
    run.run()
    # As if the first one had been killed: it restored nothing.
    for name, value in run.wanted.camera_settings.items():
        run.camera.open()
        run.camera.configure({name: value})
    run.run()
    assert {name: s.label for name, s in run.bench.body.settings.items()} == found
