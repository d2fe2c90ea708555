"""A rail that loses steps in a run is found out, and what was shot meanwhile is shot again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from macrorail.errors import PositionInDoubt
from macrorail.run_folder.events import kind_of, values_of
from macrorail.run_folder.journal import Entry
from macrorail.run_folder.manifest import build_manifest
from macrorail.states import FinishReason, State
from tests.made_events import fused
from tests.system.test_runner import assert_every_slice_counted_once
from tests.virtual import LENS, RAIL, VirtualRun, protocol_text

CHECKED = RAIL.replace("acceleration: 20 mm/s2", "acceleration: 20 mm/s2\n  check_every: 4 slices")
PROTOCOL = protocol_text("10.2 mm", "10.9 mm")


class Fused:
    """A stream that only remembers what it would fuse."""

    def __init__(self) -> None:
        self.frames: dict[int, Path] = {}

    def add(self, number: int, frame: Path, position_um: float) -> None:
        self.frames[number] = frame

    def withdraw(self, numbers: set[int]) -> None:
        for number in numbers:
            del self.frames[number]

    def relocate(self, positions_um: Mapping[int, float]) -> None:
        raise AssertionError("without images nothing is known of true places")

    def reports(self) -> list[dict[str, Any]]:
        return []

    def finish(self, check: Any) -> dict[str, Any]:
        return fused()


class Jams:
    """Lets the carriage stall for so many steps, before each of some slices is moved to."""

    def __init__(self, steps: int, *before: int) -> None:
        self.steps = steps
        self.before = set(before)
        self.run: Any = None

    def __call__(self, entry: Entry) -> None:
        if kind_of(entry.event) == "counted" and values_of(entry.event)["slice"] + 1 in self.before:
            self.before.remove(values_of(entry.event)["slice"] + 1)
            self.run.bench.carriage.jam(self.steps)


def jammed(folder: Path, jams: Jams, rig: str = CHECKED) -> VirtualRun:
    run = VirtualRun(folder, rig, PROTOCOL, stream=Fused(), listen=jams)
    jams.run = run
    return run


def watch_the_truth(run: VirtualRun) -> list[tuple[float, float]]:
    """Where the carriage truly was at each exposure, and where the journal says it was."""
    release = run.bench.body.release
    seen = []

    def watched(*arguments: Any, **named: Any) -> Any:
        true_um = run.bench.carriage.position_um(run.clock.now())
        seen.append((true_um, values_of(run.entries[-1].event)["achieved_um"]))
        return release(*arguments, **named)

    run.bench.body.release = watched
    return seen


def test_a_run_without_loss_says_that_its_count_was_right(tmp_path: Path) -> None:
    run = jammed(tmp_path / "run", Jams(0))
    assert run.run().reason is FinishReason.COMPLETED
    manifest = build_manifest(run.entries)
    checks = manifest["count_checks"]
    assert [len(check["slices"]) for check in checks][:2] == [4, 4]
    assert {number for check in checks for number in check["slices"]} == {
        counted["index"] for counted in manifest["slices"]
    }
    assert all(check["error_um"] == 0 and not check["in_doubt"] for check in checks)
    assert all(counted["position_checked"] for counted in manifest["slices"])
    assert manifest["rejected"] == []


def test_a_jam_is_reported_in_micrometres_and_its_slices_are_shot_again(tmp_path: Path) -> None:
    run = jammed(tmp_path / "run", Jams(64, 7))
    seen = watch_the_truth(run)
    end = run.run()
    assert (end.state, end.reason) == (State.DONE, FinishReason.COMPLETED), end.message
    wrong = [(true_um, said_um) for true_um, said_um in seen if true_um != said_um]
    assert wrong and all(said - true == 40.0 for true, said in wrong), "64 steps are 40 um"
    bad, *others = [check for check in run.said("count_checked") if check["in_doubt"]]
    assert bad["error_um"] == 40.0 and others == []
    assert bad["tolerance_um"] == 20.0
    assert {5, 6, 7, 8} == set(bad["slices"])
    assert_every_slice_counted_once_more(run, bad["slices"])
    manifest = build_manifest(run.entries)
    assert manifest["coverage"]["proven"]
    assert all(counted["position_checked"] for counted in manifest["slices"])
    assert bad in manifest["count_checks"]
    # What is fused is what the carriage truly stood at.
    assert isinstance(run.stream, Fused)
    truth = {said_um: true_um for true_um, said_um in seen}
    for counted in manifest["slices"]:
        assert run.stream.frames[counted["index"]].name == Path(counted["frame"]).name
        assert truth[counted["achieved_um"]] == counted["achieved_um"]


def assert_every_slice_counted_once_more(run: VirtualRun, doubtful: list[int]) -> None:
    counted = [fields["slice"] for fields in run.said("counted")]
    for number in range(1, len(run.plan.slices) + 1):
        assert counted.count(number) == 1 + (number in doubtful)
    for number in doubtful:
        assert (run.folder / "frames" / f"rejected-{number:04d}-1.jpg").exists()
        assert (run.folder / "frames" / f"{number:04d}.jpg").exists()


def test_a_jam_behind_the_last_regular_check_is_found_at_the_end(tmp_path: Path) -> None:
    run = jammed(tmp_path / "run", Jams(64, 3), RAIL)
    assert run.run().reason is FinishReason.COMPLETED
    first, last = run.said("count_checked")
    assert (first["error_um"], first["in_doubt"]) == (40.0, True)
    assert (last["error_um"], last["in_doubt"]) == (0.0, False)
    assert len(first["slices"]) == len(last["slices"]) == len(run.plan.slices)


def test_a_small_error_is_the_switch_and_not_the_motor(tmp_path: Path) -> None:
    run = jammed(tmp_path / "run", Jams(16, 7))
    assert run.run().reason is FinishReason.COMPLETED
    errors = [check["error_um"] for check in run.said("count_checked")]
    assert sorted(errors)[-1] == 10.0
    assert not any(check["in_doubt"] for check in run.said("count_checked"))
    assert_every_slice_counted_once(run)


def test_a_tolerance_of_its_own(tmp_path: Path) -> None:
    rig = CHECKED.replace("check_every", "check_tolerance: 5 um\n  check_every")
    run = jammed(tmp_path / "run", Jams(16, 7), rig)
    assert run.run().reason is FinishReason.COMPLETED
    assert [check["error_um"] for check in run.said("count_checked") if check["in_doubt"]] == [10.0]


def test_a_motor_that_goes_on_losing_steps_stops_the_run_and_a_resume_mends_it(
    tmp_path: Path,
) -> None:
    run = jammed(tmp_path / "run", Jams(64, 3, 7))
    end = run.run()
    assert (end.state, end.reason) == (State.FAILED, FinishReason.DEVICE_FAULT)
    assert "lost steps again, 40 µm this time" in end.message and "resume" in end.message
    doubtful = [check for check in run.said("count_checked") if check["in_doubt"]]
    assert [check["error_um"] for check in doubtful] == [40.0, 40.0]
    kept = {counted["index"] for counted in build_manifest(run.entries)["slices"]}
    assert kept.isdisjoint(doubtful[-1]["slices"])
    run.listen = None
    assert run.run().reason is FinishReason.COMPLETED
    indices = [counted["index"] for counted in build_manifest(run.entries)["slices"]]
    assert indices == list(range(1, len(run.plan.slices) + 1))


def test_a_check_that_fails_is_a_fault_of_the_axis_like_any_other(tmp_path: Path) -> None:
    failed: list[bool] = []

    class FailsOnce:
        def __init__(self, axis: Any) -> None:
            self._axis = axis

        def __getattr__(self, name: str) -> Any:
            return getattr(self._axis, name)

        @property
        def lost_step_check(self) -> Any:
            check = self._axis.lost_step_check

            def measure() -> float:
                if not failed:
                    failed.append(True)
                    raise PositionInDoubt("the switch was not found")
                return float(check.measure())

            return type(check)(measure, check.every_slices, check.tolerance_um)

    run = VirtualRun(tmp_path / "run", CHECKED, PROTOCOL, wrap_axis=FailsOnce)
    assert run.run().reason is FinishReason.COMPLETED
    manifest = build_manifest(run.entries)
    # Homing anew after the fault tells nothing of the slices before it: the manifest says so.
    assert [c["index"] for c in manifest["slices"] if not c["position_checked"]] == [1, 2, 3, 4]


def test_a_lens_has_nothing_to_check_against(tmp_path: Path) -> None:
    run = VirtualRun(tmp_path / "run", LENS, PROTOCOL)
    assert run.run().reason is FinishReason.COMPLETED
    assert run.said("count_checked") == []


@pytest.mark.parametrize("written", ["50", "0 slices", "1.5 slices", "50 um"])
def test_an_interval_is_a_number_of_slices(tmp_path: Path, written: str) -> None:
    rig = CHECKED.replace("4 slices", written)
    with pytest.raises(Exception, match="check_every"):
        VirtualRun(tmp_path / "run", rig, PROTOCOL)


class WantsOneAtATime:
    """An image proof that finds each frame good, and wants more slices, one each time."""

    def __init__(self, *wanted_um: float) -> None:
        self.wanted_um = list(wanted_um)
        self.ready: list[dict[str, Any]] = []

    def add(
        self, number: int, attempt: int, frame: Path, position_um: float, dof_um: float
    ) -> None:
        verdict = {"slice": number, "attempt": attempt, "action": "fuse", "faults": [], "why": ""}
        self.ready.append(verdict)

    def verdicts(self) -> list[dict[str, Any]]:
        ready, self.ready = self.ready, []
        return ready

    def last_verdicts(self, check: Any) -> list[dict[str, Any]]:
        return self.verdicts()

    def relocate(self, numbers: list[int], error_um: float, check: Any) -> dict[str, Any]:
        return {"numbers": [], "positions_um": []}

    def missing(self, check: Any) -> dict[str, Any]:
        wanted, self.wanted_um = self.wanted_um[:1], self.wanted_um[1:]
        return {"positions_um": wanted, "why": "for the test"}

    def finish(self, check: Any) -> dict[str, Any]:
        return {"proven": True, "reason": ""}


def test_slices_that_the_images_add_are_checked_together(tmp_path: Path) -> None:
    """One homing after all of them: each takes as long as many slices."""
    wanted_um = (10_950.0, 11_000.0, 11_050.0, 11_100.0)
    run = VirtualRun(tmp_path / "run", RAIL, PROTOCOL, proof=WantsOneAtATime(*wanted_um))
    assert run.run().reason is FinishReason.COMPLETED
    planned = [planned.index for planned in run.plan.slices]
    added = [planned[-1] + 1 + index for index in range(len(wanted_um))]
    assert [check["slices"] for check in run.said("count_checked")] == [planned, added]
    manifest = build_manifest(run.entries)
    assert all(counted["position_checked"] for counted in manifest["slices"])


def test_steps_lost_among_added_slices_are_found(tmp_path: Path) -> None:
    jams = Jams(64, 13)
    run = VirtualRun(
        tmp_path / "run",
        RAIL,
        PROTOCOL,
        proof=WantsOneAtATime(10_950.0, 11_000.0, 11_050.0),
        listen=jams,
    )
    jams.run = run
    assert len(run.plan.slices) == 11
    assert run.run().reason is FinishReason.COMPLETED
    (bad,) = [check for check in run.said("count_checked") if check["in_doubt"]]
    assert set(bad["slices"]) == {12, 13, 14}
    assert build_manifest(run.entries)["coverage"]["proven"]
