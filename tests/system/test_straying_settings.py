"""A camera that is not what the run believes: dials turned, another body, another image size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from macrorail.devices.frame_settings import read_frame_settings
from macrorail.running import scene_worker
from macrorail.running.ending import RunEnd
from macrorail.running.supervision import RunSupervision
from macrorail.states import FinishReason, State
from macrorail_sims.bodies.base import Timing
from macrorail_sims.bodies.faults import Action, Fault
from tests.studies import straying_settings
from tests.virtual import RAIL, VirtualRun, protocol_text

MakeRun = Callable[..., VirtualRun]

SHORT = protocol_text("10.2 mm", "10.45 mm") + "proof: {extend: 0 %}\n"
CABLE = (
    RAIL.replace("driver: virtual\n  port", "driver: cable\n  press: 0.1 s\n  port", 1)
    .replace("bench:\n  driver: virtual", "bench:\n  driver: virtual\n  set_by_hand: BY_HAND")
    .replace("BY_HAND", '{aperture: f/8, shutter: 1/60, iso: "100"}')
)


@pytest.fixture
def make_run(tmp_path: Path) -> Iterator[MakeRun]:
    runs = []

    def make(rig: str, **options: Any) -> VirtualRun:
        runs.append(VirtualRun(tmp_path / "run", rig, SHORT, **options))
        return runs[-1]

    yield make
    for run in runs:
        run.bench.close()


def turn_dials(run: VirtualRun, aperture: str, iso: str) -> None:
    settings = run.bench.body.settings
    for name, label in (("aperture", aperture), ("iso", iso)):
        settings[name].value = settings[name].choices[label]


def exposed(run: VirtualRun) -> set[tuple[float, float]]:
    """Aperture and ISO of the frames that count."""
    frames = [run.folder / fields["frame"] for fields in run.said("counted")]
    values = [read_frame_settings(frame).values for frame in frames]
    return {(each["aperture"], each["iso"]) for each in values}


def test_dials_turned_mid_run_are_set_back_and_the_slice_shot_again(
    make_run: MakeRun,
) -> None:
    def turn(state: State) -> None:
        if state is State.EXPOSING and run.bench.body.exposures == 4:
            turn_dials(run, "f/11", "400")

    run = make_run(RAIL, observe=turn, by_images=True)
    end = run.run()
    assert end.state is State.DONE, end.message
    assert exposed(run) == {(8.0, 100)}
    assert {fields["error"] for fields in run.said("fault")} == {"SettingsDiffer"}
    assert "f/11 instead of f/8 and ISO 400 instead of ISO 100" in run.said("fault")[0]["message"]
    assert not run.said("inserted"), "a turned dial was taken for something else"
    assert len(run.said("counted")) == len(run.plan.slices)


def test_dials_of_a_camera_on_the_cable_are_turned_back_by_a_hand(
    make_run: MakeRun,
) -> None:
    def turn(state: State) -> None:
        if state is State.EXPOSING and run.bench.body.exposures == 4:
            turn_dials(run, "f/11", "400")
        if state is State.PAUSED:
            turn_dials(run, "f/8", "100")

    run = make_run(CABLE, observe=turn)
    end = run.run()
    assert end.state is State.DONE, end.message
    assert exposed(run) == {(8.0, 100)}
    [fault] = run.said("fault")
    assert (fault["error"], fault["remedy"]) == ("SettingsByHandDiffer", "pause")
    assert "set the camera to the required values again" in fault["message"]


def test_another_body_that_answers_is_refused_also_by_resume(
    make_run: MakeRun,
) -> None:
    def exchange(state: State) -> None:
        if state is State.RECOVERING:
            run.bench.body.serial = "7009999"
        if state is State.EXPOSING and run.bench.body.exposures == 3 and not run.said("fault"):
            run.camera._opened = None  # unplugged

    run = make_run(RAIL, observe=exchange)
    end = run.run()
    assert end.reason is FinishReason.DEVICE_FAULT
    assert "7009999" in end.message
    assert "6001234" in end.message
    counted = len(run.said("counted"))
    run.observe = None
    again = run.run()
    assert (again.reason, "7009999" in again.message) == (FinishReason.DEVICE_FAULT, True)
    assert len(run.said("counted")) == counted
    run.bench.body.serial = "6001234"
    assert run.run().reason is FinishReason.COMPLETED


@pytest.mark.parametrize("rig", [RAIL, CABLE], ids=["library", "cable"])
def test_another_image_size_is_refused_at_the_first_frame(make_run: MakeRun, rig: str) -> None:
    run = make_run(rig)
    run.bench.body.image_scale = 0.5
    end = run.run()
    assert end.reason is FinishReason.DEVICE_FAULT
    assert "has 48 x 32 pixels, and the rig says 96 x 64" in end.message
    assert not run.said("counted")


@pytest.mark.parametrize("times", [1, 3])
def test_a_frame_whose_link_stalled_is_fetched_and_counted(make_run: MakeRun, times: int) -> None:
    run = make_run(RAIL)
    run.bench.body.faults.add(Fault("read", Action.STALL, delay_s=4.0, after=2, times=times))
    end = run.run()
    assert end.reason is FinishReason.COMPLETED, end.message
    slices = len(run.plan.slices)
    assert run.bench.body.exposures == slices, "a frame on the card was shot again"
    assert sorted(fields["slice"] for fields in run.said("counted")) == [*range(1, slices + 1)]
    assert not any(fields["files"] for fields in run.said("drained")), "called somebody else's"
    assert len(run.said("fault")) == times
    assert not run.bench.body.files


def test_a_frame_that_is_not_alone_on_the_card_is_shot_again(make_run: MakeRun) -> None:
    """Somebody released the camera by hand while the connection was lost."""

    pressed: list[bool] = []

    def press(state: State) -> None:
        if state is State.RECOVERING and not pressed:
            pressed.append(True)
            body = run.bench.body
            shot = body.release(to_card=True)
            run.clock.sleep(1.0)
            body.develop(shot)

    run = make_run(RAIL, observe=press)
    run.bench.body.faults.add(Fault("read", Action.DROP, after=2))
    end = run.run()
    assert end.reason is FinishReason.COMPLETED, end.message
    slices = len(run.plan.slices)
    assert sorted(fields["slice"] for fields in run.said("counted")) == [*range(1, slices + 1)]
    assert run.bench.body.exposures == slices + 2
    names = {fields["camera_name"] for fields in run.said("counted")}
    assert not names & {"DSC_0003.JPG", "DSC_0004.JPG"}


class InThisProcess:
    """The comparison of ``macrorail.running.scene_worker`` without its process."""

    def differences(
        self, held: Path, leaving: Path, away: Path, check: Callable[[], None]
    ) -> dict[str, float]:
        return scene_worker.differences(held, leaving, away)


def lagging(
    make_run: MakeRun, lag_s: float, keys: str = "", compared: bool = True
) -> tuple[VirtualRun, RunEnd]:
    """A run on the cable whose shutter opens ``lag_s`` after the release."""
    run = make_run(
        CABLE.replace("  press: 0.1 s", f"  press: 0.1 s{keys}"),
        supervision=RunSupervision(lag=InThisProcess() if compared else None),
    )
    run.bench.body.world = replace(run.bench.world, diary=run.folder / "diary")
    run.bench.body.timing = Timing(shutter_lag_s=lag_s)
    return run, run.run()


def wrong_um(run: VirtualRun) -> float:
    """How far a counted frame was exposed from where the journal says, at most."""
    lines = (run.folder / "diary").read_text().splitlines()
    true_um = {int(number): float(um) for number, um in map(str.split, lines)}
    return max(
        abs(true_um[int(fields["camera_name"][4:8])] - fields["achieved_um"])
        for fields in run.said("counted")
    )


@pytest.mark.parametrize("lag_s", [2.0, 10.0])
def test_a_self_timer_is_found_before_the_first_slice(make_run: MakeRun, lag_s: float) -> None:
    run, end = lagging(make_run, lag_s)
    assert end.reason is FinishReason.DEVICE_FAULT
    assert "'shutter_lag'" in end.message
    assert not run.said("counted")
    [checked] = run.said("shutter_lag_checked")
    assert checked["late"]


def test_a_shutter_without_a_lag_is_seen_to_have_none(make_run: MakeRun) -> None:
    run, end = lagging(make_run, 0.02)
    assert end.reason is FinishReason.COMPLETED, end.message
    [checked] = run.said("shutter_lag_checked")
    assert (checked["late"], checked["certain"]) == (False, True)
    assert wrong_um(run) < 3.0


@pytest.mark.parametrize("keys", ["\n  shutter_lag: 2 s", "\n  shutter_lag: 2 s\n  hot_shoe: true"])
def test_a_lag_that_the_rig_knows_is_waited_for(make_run: MakeRun, keys: str) -> None:
    run, end = lagging(make_run, 2.0, keys)
    assert end.reason is FinishReason.COMPLETED, end.message
    assert wrong_um(run) < 1.0


def test_where_nothing_tells_the_lag_the_axis_waits_for_each_frame(make_run: MakeRun) -> None:
    run, end = lagging(make_run, 2.0, compared=False)
    assert end.reason is FinishReason.COMPLETED, end.message
    assert wrong_um(run) < 1.0


def test_no_camera_that_strays_gives_a_wrong_result() -> None:
    """A few runs of ``tests.studies.straying_settings``, which has the larger study."""
    found = straying_settings.study(runs=20, seed=11)
    assert (found.wrong, found.doubts, found.lost) == ([], [], [])
    assert found.runs.total() == 20
