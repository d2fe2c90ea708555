"""Steps lost among slices: their frames are kept, at the places where the images show them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from macrorail.proof.proof_process import ProofProcess
from macrorail.run_folder.events import kind_of, values_of
from macrorail.run_folder.journal import Entry
from macrorail.run_folder.manifest import build_manifest
from macrorail.running.proof_settings import proof_settings
from macrorail.states import FinishReason
from tests.studies.coverage import FAR_UM, NEAR_UM, PROTOCOL, RIG
from tests.system.test_lost_steps import Fused, Jams, watch_the_truth
from tests.system.test_resume import crash_after
from tests.virtual import VirtualRun

ONE_TO_ONE = RIG.replace("magnification: 2", "magnification: 1")
LOST_STEPS, LOST_UM = 160, 100.0
#: A tenth of the depth of field.
NEAR_ENOUGH_UM = 14.0


class Placed(Fused):
    """A stream that remembers where it would put each frame."""

    def __init__(self) -> None:
        super().__init__()
        self.positions_um: dict[int, float] = {}

    def add(self, number: int, frame: Path, position_um: float) -> None:
        super().add(number, frame, position_um)
        self.positions_um[number] = position_um

    def relocate(self, positions_um: Mapping[int, float]) -> None:
        self.positions_um.update(positions_um)


def jammed(folder: Path, before: int, steps: int = LOST_STEPS) -> VirtualRun:
    """A run whose carriage stalls once before it comes to a slice."""
    jams = Jams(steps, before)
    protocol = PROTOCOL.format(near=NEAR_UM, far=FAR_UM, f_number=4)
    run = VirtualRun(folder, ONE_TO_ONE, protocol, stream=Placed(), listen=jams, by_images=True)
    jams.run = run
    return run


def places_of(run: VirtualRun) -> dict[int, float]:
    return {one["index"]: one["achieved_um"] for one in build_manifest(run.entries)["slices"]}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[VirtualRun, dict[int, float]]:
    """A run that lost steps in its middle; and where each slice truly was."""
    run = jammed(tmp_path_factory.mktemp("kept") / "run", 6)
    seen = watch_the_truth(run)
    assert run.run().reason is FinishReason.COMPLETED
    exposed = [fields["slice"] for fields in run.said("exposed")]
    return run, dict(zip(exposed, (true_um for true_um, _ in seen), strict=True))


def test_frames_shot_after_a_loss_are_kept_where_they_truly_were(
    kept: tuple[VirtualRun, dict[int, float]],
) -> None:
    run, true_um = kept
    assert run.said("rejected") == []
    assert len(run.said("exposed")) == len(run.plan.slices) + 1, "one gap, one slice"
    (relocated,) = run.said("relocated")
    told_um = {fields["slice"]: fields["achieved_um"] for fields in run.said("counted")}
    assert told_um[9] - true_um[9] == LOST_UM, "the axis believed something else"
    for number, achieved_um in places_of(run).items():
        assert abs(achieved_um - true_um[number]) < NEAR_ENOUGH_UM
    assert set(relocated["slices"]) == set(range(1, len(run.plan.slices) + 1))
    coverage = build_manifest(run.entries)["coverage"]
    assert coverage["proven"] and coverage["images"]["shortfalls"] == []
    overlaps = [one["overlap"] for one in build_manifest(run.entries)["slices"]]
    assert overlaps.count(None) == 1, "the first has none before it"


def test_a_loss_of_several_depths_of_field_is_one_as_well(tmp_path: Path) -> None:
    run = jammed(tmp_path / "run", 5, 4 * LOST_STEPS)
    seen = watch_the_truth(run)
    assert run.run().reason is FinishReason.COMPLETED
    assert run.said("relocated")
    exposed = [(fields["slice"], fields["attempt"]) for fields in run.said("exposed")]
    true_um = dict(zip(exposed, (true_um for true_um, _ in seen), strict=True))
    for one in build_manifest(run.entries)["slices"]:
        true = true_um[one["index"], one["attempts"]]
        assert abs(one["achieved_um"] - true) < NEAR_ENOUGH_UM
    assert len(places_of(run)) == len(run.plan.slices) + 4


def test_align_and_blend_are_told_as_well(kept: tuple[VirtualRun, dict[int, float]]) -> None:
    run, _ = kept
    assert isinstance(run.stream, Placed)
    assert run.stream.positions_um == places_of(run)


def test_a_controller_that_dies_at_the_check_leaves_nothing_wrong(
    kept: tuple[VirtualRun, dict[int, float]], tmp_path: Path
) -> None:
    """What was in doubt and not yet settled is shot again; what was settled stays as it was."""
    run, _ = kept
    line = {kind_of(entry.event): entry.number for entry in reversed(run.entries)}
    resumed = {}
    for event in ("count_checked", "relocated"):
        folder = tmp_path / event
        crash_after(run.folder, line[event], folder, keep_frame=False)
        again = jammed(folder, -1)
        assert again.run().reason is FinishReason.COMPLETED
        resumed[event] = again
        assert {*places_of(again)} >= set(range(1, len(run.plan.slices) + 1))
    shot_again, settled = resumed["count_checked"], resumed["relocated"]
    assert len(shot_again.said("rejected")) == len(run.plan.slices)
    targets = {number: slice_.target_um for number, slice_ in enumerate(run.plan.slices, 1)}
    assert places_of(shot_again) == pytest.approx(targets, abs=1.0)
    assert settled.said("rejected") == []
    before, after = places_of(run), places_of(settled)
    assert {n: after[n] for n in targets} == {n: before[n] for n in targets}
    assert len(after) == len(before)


@pytest.mark.parametrize("deadly", [{"relocated"}, {"count_checked", "relocated"}])
def test_a_dead_judge_costs_neither_places_nor_slices(tmp_path: Path, deadly: set[str]) -> None:
    run = jammed(tmp_path / "run", 6)
    proof = ProofProcess(proof_settings(run.plan, run.wanted, run.rig), run.folder)
    run.proof = proof
    jams = run.listen

    def kill_it(entry: Entry) -> None:
        assert jams is not None
        jams(entry)
        if kind_of(entry.event) in deadly:
            proof.kill()

    run.listen = kill_it
    try:
        end = run.run()
    finally:
        proof.close()
    twice = len(deadly) == 2
    assert end.reason is (FinishReason.NOT_VERIFIED if twice else FinishReason.COMPLETED)
    assert len(run.said("exposed")) == len(run.plan.slices) + 1
    images = run.said("coverage")[0]["images"]
    assert images["proven"] is (True if len(deadly) == 1 else None)


def test_steps_lost_on_the_way_home_are_no_reason_to_move_slices(tmp_path: Path) -> None:
    """The images contradict a loss among the slices, so that the axis's word is worth nothing."""
    run = jammed(tmp_path / "run", -1)
    last = len(run.plan.slices)

    def stall(entry: Entry) -> None:
        if (
            kind_of(entry.event) == "counted"
            and values_of(entry.event)["slice"] == last
            and not run.said("rejected")
        ):
            run.bench.carriage.jam(LOST_STEPS)

    run.listen = stall
    assert run.run().reason is FinishReason.COMPLETED
    assert run.said("count_checked")[0]["in_doubt"]
    assert run.said("relocated") == []
    assert len(run.said("rejected")) == last
