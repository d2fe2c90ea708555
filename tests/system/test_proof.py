"""Coverage proven from the images: small campaigns over seeds, and a judge that dies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from macrorail.proof.proof_process import ProofProcess
from macrorail.results.report import write_report
from macrorail.results.report.account import run_account
from macrorail.run_folder.events import kind_of, values_of
from macrorail.run_folder.journal import Entry
from macrorail.run_folder.manifest import build_manifest
from macrorail.run_folder.record import read_record
from macrorail.running.proof_settings import proof_settings
from macrorail.states import FinishReason, State
from macrorail_sims.bodies.exposure import SimulatedExposure
from tests.studies import coverage, frames, optics
from tests.studies.coverage import FAR_UM, NEAR_UM, PROTOCOL, RIG, Case, shoot
from tests.virtual import VirtualRun

ONE_TO_ONE = RIG.replace("magnification: 2", "magnification: 1")


def protocol(far_um: float = FAR_UM, extra: str = "") -> str:
    return PROTOCOL.format(near=NEAR_UM, far=far_um, f_number=4) + extra


def counted_frames(run: VirtualRun) -> list[int]:
    return [fields["slice"] for fields in run.said("judged") if fields["action"] == "fuse"]


def test_a_good_run_is_proven_and_costs_no_slice_more() -> None:
    assert coverage.clean(2, 500) == {"alarms": 0, "warned": 0}


@pytest.mark.parametrize("kind", ["reported", "held", "lost"])
def test_moves_that_fall_short_leave_nothing_uncovered(kind: str) -> None:
    told = coverage.short_moves(kind, 4, 510)
    assert told["runs"] >= 1
    assert told["good"] == told["runs"]


def test_a_held_move_is_found_where_it_was_and_the_gap_filled(tmp_path: Path) -> None:
    outcome = shoot(Case(2000, "held", 0.12), tmp_path / "run")
    assert outcome.faults == 1
    assert [short["slice"] for short in outcome.images["shortfalls"]] == [8]
    assert outcome.images["shortfalls"][0]["size_um"] == pytest.approx(-86, abs=20)
    assert outcome.fused == outcome.planned + 1
    assert outcome.uncovered == 0


@pytest.mark.parametrize(
    "case",
    [
        Case(740011, "held", 0.12),  # five holds, two of them on neighbours
        Case(750034, "adrift", 0.05),  # losses at the last moves
        Case(5282, "adrift", 0.1),  # a loss behind a smaller one
        Case(890003, "adrift", 0.1),  # two losses that only together are worth claiming
        Case(970081, "adrift", 0.05),  # the second is small and among the last moves
        Case(870021, "held", 0.12),  # two holds at the near end, much like a loss
    ],
    ids=[
        "holds",
        "losses at the end",
        "a small loss first",
        "two small losses",
        "a small loss last",
        "holds or a loss",
    ],
)
def test_moves_that_are_hard_to_tell_leave_no_gap_in_silence(case: Case, tmp_path: Path) -> None:
    outcome = shoot(case, tmp_path / "run")
    assert outcome.faults >= 2
    assert outcome.uncovered == 0 or outcome.reason is FinishReason.COVERAGE_NOT_PROVEN


@pytest.mark.parametrize("seed", [930004, 930018])
def test_good_frames_beside_a_held_move_at_the_end_are_no_blur(seed: int, tmp_path: Path) -> None:
    """The last slice stands before its neighbour, though the axis says behind."""
    outcome = shoot(Case(seed, "held", 0.12), tmp_path / "run")
    assert outcome.reason is FinishReason.COMPLETED
    assert outcome.uncovered == 0


@pytest.mark.parametrize("seed", [910001, 910005])
def test_an_objective_s_flat_topped_curves_feign_no_lost_steps(seed: int, tmp_path: Path) -> None:
    setup = optics.SETUPS["10x 0.25"]
    run = optics.run_of(setup, setup, seed, tmp_path / "run")
    run.run()
    assert run.said("coverage")[0]["images"]["shortfalls"] == []


def test_a_specimen_beyond_either_end_is_followed() -> None:
    told = coverage.ends(3, 520)
    assert told["total"] >= 1
    assert told["found"] == told["total"]


def test_wrong_optics_are_named_in_all_that_a_run_tells(tmp_path: Path) -> None:
    setup = optics.SETUPS["1:1 f/4"]
    said = optics.wrong(setup, "aperture a stop too large")
    run = optics.run_of(setup, said, 530, tmp_path / "run")
    run.run()
    warning = build_manifest(run.entries)["coverage"]["images"]["dof"]["warning"]
    assert "f-number" in warning and "magnification" in warning
    assert warning in run_account(read_record(run.folder))
    assert warning in write_report(run.folder).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["5:1 f/5.6", "10x 0.25"])
def test_right_optics_far_beyond_life_size_are_believed(tmp_path: Path, name: str) -> None:
    setup = optics.SETUPS[name]
    ratio, warning = optics.doubted(setup, setup, 531, tmp_path / "run")
    assert 0.65 < ratio < 1.1
    assert warning == ""


@pytest.mark.parametrize("kind", frames.KINDS)
def test_each_frame_fault_is_found(kind: str) -> None:
    total = frames.table(3, 540, (kind,))[kind]
    assert total["found"] >= total["faulty"] - (kind == "blur")
    assert total["alarms"] == 0


def test_the_far_end_cannot_be_followed_past_closest_approach(tmp_path: Path) -> None:
    run = VirtualRun(
        tmp_path / "run",
        ONE_TO_ONE.replace("closest_approach: 45 mm", "closest_approach: 10.65 mm"),
        protocol(far_um=10_600),
        by_images=True,
    )
    end = run.run()
    assert end.reason is FinishReason.COVERAGE_NOT_PROVEN
    assert end.error is not None and end.error.exit_code == 4
    assert "far end" in end.message
    assert max(fields["achieved_um"] for fields in run.said("moved")) <= 10_650
    assert not build_manifest(run.entries)["coverage"]["proven"]


def test_an_end_that_is_meant_is_left_alone(tmp_path: Path) -> None:
    run = VirtualRun(
        tmp_path / "run", ONE_TO_ONE, protocol(10_600, "proof: {extend: 0 %}\n"), by_images=True
    )
    end = run.run()
    assert end.reason is FinishReason.COMPLETED, end.message
    assert len(counted_frames(run)) == len(run.plan.slices)


def spoil(
    run: VirtualRun, change: Callable[[SimulatedExposure], SimulatedExposure | bytes]
) -> None:
    """Let ``change`` stand between the camera and its world."""
    world = run.bench.world
    render = world.render

    def changed(light: SimulatedExposure) -> bytes:
        told = change(light)
        picture: bytes = told if isinstance(told, bytes) else render(told)
        return picture

    object.__setattr__(world, "render", changed)


def test_a_faulty_frame_is_set_aside_and_shot_again(tmp_path: Path) -> None:
    run = VirtualRun(tmp_path / "run", ONE_TO_ONE, protocol(), by_images=True)

    def no_flash(light: SimulatedExposure) -> SimulatedExposure:
        if light.number != 5:
            return light
        fields: dict[str, Any] = {**vars(light), "iso": light.iso // 8}
        return SimulatedExposure(**fields)

    spoil(run, no_flash)
    end = run.run()
    assert end.reason is FinishReason.COMPLETED, end.message
    manifest = build_manifest(run.entries)
    assert [(r["slice"], r["faults"]) for r in manifest["rejected"]] == [(5, ["exposure"])]
    assert manifest["slices"][4]["attempts"] == 2
    assert (run.folder / "frames" / "rejected-0005-1.jpg").exists()
    assert sorted(manifest["fusion_order"]) == list(range(1, len(run.plan.slices) + 1))
    assert json.dumps(manifest)


def test_a_policy_can_end_the_run(tmp_path: Path) -> None:
    run = VirtualRun(
        tmp_path / "run",
        ONE_TO_ONE,
        protocol(extra="proof: {faults: {exposure: stop}}\n"),
        by_images=True,
    )

    def no_flash(light: SimulatedExposure) -> SimulatedExposure:
        fields: dict[str, Any] = {**vars(light)}
        if light.number == 5:
            fields["iso"] = light.iso // 8
        return SimulatedExposure(**fields)

    spoil(run, no_flash)
    end = run.run()
    assert end.error is not None and end.error.exit_code == 3
    assert "slice 5" in end.message and "EV darker" in end.message


class DarkSlice:
    """Lets too little light on every exposure of one slice, as long as it is dark."""

    def __init__(self, run: VirtualRun, number: int) -> None:
        self.dark = True
        self.stop_at = 0
        self._run = run
        self._number = number
        self._now = 0
        run.listen = self.hear
        spoil(run, self.spoiled)

    def hear(self, entry: Entry) -> None:
        if kind_of(entry.event) == "intent":
            self._now = values_of(entry.event)["slice"]
        if kind_of(entry.event) == "counted" and values_of(entry.event)["slice"] == self.stop_at:
            self._run.commands.stop("the test")
        if kind_of(entry.event) == "paused":
            self.dark = False

    def spoiled(self, light: SimulatedExposure) -> SimulatedExposure:
        if not self.dark or self._now != self._number:
            return light
        fields: dict[str, Any] = {**vars(light), "iso": light.iso // 8}
        return SimulatedExposure(**fields)


def test_what_was_judged_before_an_interruption_is_not_shot_again(tmp_path: Path) -> None:
    run = VirtualRun(tmp_path / "run", ONE_TO_ONE, protocol(), by_images=True)
    dark = DarkSlice(run, 5)
    dark.stop_at = 8
    assert run.run().reason is FinishReason.STOPPED_BY_OPERATOR
    dark.stop_at = 0
    run.run()
    tries = [fields["attempt"] for fields in run.said("exposed") if fields["slice"] == 5]
    assert tries == [1, 2, 3]
    assert build_manifest(run.entries)["slices"][4]["attempts"] == 3


def test_a_policy_can_pause_the_run_until_somebody_has_looked(tmp_path: Path) -> None:
    run = VirtualRun(
        tmp_path / "run",
        ONE_TO_ONE,
        protocol(extra="proof: {faults: {exposure: pause}}\n"),
        by_images=True,
    )

    def somebody_looks(state: State) -> None:
        if state is State.PAUSED:
            run.commands.resume("the test")

    run.observe = somebody_looks
    DarkSlice(run, 5)
    assert run.run().reason is FinishReason.COMPLETED
    assert ["slice 5" in fields["why"] for fields in run.said("paused")] == [True]
    tries = [fields["attempt"] for fields in run.said("exposed") if fields["slice"] == 5]
    assert tries == [1, 2]


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_dead_judge_costs_no_slice(tmp_path: Path, deaths: int) -> None:
    run = VirtualRun(tmp_path / "run", ONE_TO_ONE, protocol())
    settings = proof_settings(run.plan, run.wanted, run.rig)
    proof = ProofProcess(settings, run.folder)
    run.proof = proof
    left = deaths

    def kill_it(light: SimulatedExposure) -> SimulatedExposure:
        nonlocal left
        if light.number >= 4 and left > 0:
            left -= 1
            proof.kill()
        return light

    spoil(run, kill_it)
    try:
        end = run.run()
    finally:
        proof.close()
    if deaths == 1:
        assert end.reason is FinishReason.COMPLETED, end.message
    else:
        assert end.reason is FinishReason.NOT_VERIFIED
        assert end.error is not None and end.error.exit_code == 7
        assert "did not confirm it: the image proof crashed" in end.message
    assert sorted(counted_frames(run)) == list(range(1, len(run.plan.slices) + 1))
    images = run.said("coverage")[0]["images"]
    assert images["proven"] is (True if deaths == 1 else None)


class WrongLead:
    """An axis that moves ``factor`` times as far as it reports, counted from ``pivot_um``."""

    def __init__(self, axis: Any, factor: float, pivot_um: float) -> None:
        self._axis, self._factor, self._pivot_um = axis, factor, pivot_um

    def __getattr__(self, name: str) -> Any:
        return getattr(self._axis, name)

    def start_move(self, position_um: float) -> None:
        away_um = position_um - self._pivot_um
        self._axis.start_move(self._pivot_um + self._factor * away_um)

    def finish_move(self) -> float:
        away_um = self._axis.finish_move() - self._pivot_um
        return float(self._pivot_um + away_um / self._factor)


def test_slices_that_overlap_by_the_rig_alone_are_not_proven(tmp_path: Path) -> None:
    """With a lead twice as long each step is twice the depth of field, though all adds up."""
    setup = optics.SETUPS["1:1 f/4"]
    run = optics.run_of(setup, setup, 541, tmp_path / "run")
    half = run.protocol.replace("far: 11000", "far: 10500").replace(
        "overlap: 30 %", "overlap: 15 %"
    )
    assert half != run.protocol
    run = VirtualRun(
        tmp_path / "twice",
        run.rig_text,
        half + "proof: {extend: 0 %}\n",
        wrap_axis=lambda axis: WrongLead(axis, 2.0, 10_000.0),
        by_images=True,
    )
    end = run.run()
    images = run.said("coverage")[0]["images"]
    assert images["dof"]["ratio"] == pytest.approx(0.5, abs=0.12)
    assert end.reason is FinishReason.COVERAGE_NOT_PROVEN, end.message
    for cause in ("lead", "microsteps", "f-number", "magnification"):
        assert cause in images["reason"]
